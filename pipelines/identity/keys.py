"""API keys: what one looks like, making, checking, revoking them. Only a hash is kept; who made which is audited.

Keys that were checked a moment ago are remembered in known.py, so that a request costs no question.
"""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, NotAllowed
from pipelines.governance.people import ROLES, Actor, Role, pseudonym
from pipelines.identity.callers import MAX_NAME, Caller, KeyStatus, Scope, narrowed, plain, scopes_of
from pipelines.storage import api_keys, audit
from pipelines.storage.serving_tables import ApiKey
from pipelines.studio import Studio

FORM = re.compile(r"orm_([0-9a-f]{8})_[A-Za-z0-9_-]{43}\Z")
MAX_LABEL = 100  # characters
_NOBODYS = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Made:
    """A new key. ``key`` is to be shown once: it is kept nowhere."""

    id: int
    prefix: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """Whose key it is, and until when it is one."""

    caller: Caller
    expires_at: datetime | None


def make(
    session: Session,
    owner: str,
    role: Role,
    *,
    label: str = "",
    scopes: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    by: Actor | None = None,
    now: datetime | None = None,
) -> Made:
    """A key of ``owner``'s with this role and these scopes, all that the role has by default; audited as made ``by``
    somebody, the owner by default.

    BadInput for a name, role or scope that is none and for a moment that has passed; NotAllowed when ``by`` is below an
    administrator and gives a role above their own, or a key to somebody else.
    """
    actor = Actor(owner.strip(), role)
    by, now = by or actor, now or clock.now()
    label = " ".join(label.split())
    for thing, words, most in (("owner", actor.name, MAX_NAME), ("label", label, MAX_LABEL)):
        if not plain(words, most):
            raise BadInput(thing, f"is longer than {most} characters or not printable", "write it shorter and plainly")
    if expires_at is not None and expires_at <= now:
        raise BadInput("the key", "would have expired already", "give a moment that is still to come")
    if by.role != "administrator":
        if by.pseudonym != actor.pseudonym:
            raise NotAllowed(by.name, "may make keys of their own only", "ask an administrator for another's")
        if ROLES.index(role) > ROLES.index(by.role):
            raise NotAllowed(by.name, f"is no {role} and may not make such a key", "ask an administrator for it")
    given = narrowed(role, scopes_of(role) if scopes is None else scopes)
    prefix = secrets.token_hex(4)
    while api_keys.by_prefix(session, prefix) is not None:
        prefix = secrets.token_hex(4)
    key = f"orm_{prefix}_{base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b'=').decode()}"
    row = ApiKey(
        prefix=prefix,
        digest=digest(key),
        label=label,
        owner=actor.name,
        role=role,
        scopes=sorted(given),
        created_by=by.pseudonym,
        created_at=now,
        expires_at=expires_at,
    )
    api_keys.add(session, row)
    detail = {"owner": actor.pseudonym, "role": role, "scopes": sorted(given)}
    detail |= {"expires_at": expires_at.isoformat()} if expires_at else {}
    audit.write(session, actor=by.pseudonym, action="key.create", subject=f"key:{prefix}", detail=detail)
    return Made(row.id, prefix, key)


def digest(key: str) -> str:
    """What is kept of a key: 256 random bits want no salt and no slow hash."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def verify(session: Session, key: str, now: datetime | None = None) -> Found | None:
    """Who is behind the key; None when it is none, revoked or expired. Notes that it was used."""
    now = now or clock.now()
    form = FORM.match(key)
    row = api_keys.by_prefix(session, form.group(1)) if form else None
    same = hmac.compare_digest(row.digest if row else _NOBODYS, digest(key))
    if row is None or not same or not living(row, now):
        return None
    api_keys.used(session, row.id, now)
    return Found(caller_of(row), row.expires_at)


def living(row: ApiKey, now: datetime) -> bool:
    """Whether the key works at this moment."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def status(row: ApiKey, now: datetime) -> KeyStatus:
    return "revoked" if row.revoked_at is not None else "works" if living(row, now) else "expired"


def caller_of(row: ApiKey) -> Caller:
    role = cast(Role, row.role)
    scopes = frozenset(cast(Iterable[Scope], row.scopes)) & scopes_of(role)
    return Caller(Actor(row.owner, role), scopes, f"key:{row.prefix}", row.id)


def revoke(session: Session, row: ApiKey, by: Actor, now: datetime | None = None) -> None:
    """From now on it is none, within ten seconds everywhere. Revoked again: nothing. NotAllowed for another's, below an
    administrator."""
    if by.role != "administrator" and pseudonym(row.owner) != by.pseudonym:
        raise NotAllowed(by.name, "may revoke keys of their own only", "ask an administrator to revoke another's")
    if row.revoked_at is not None:
        return
    row.revoked_at = now or clock.now()
    detail = {"owner": pseudonym(row.owner)}
    audit.write(session, actor=by.pseudonym, action="key.revoke", subject=f"key:{row.prefix}", detail=detail)


def first(studio: Studio) -> str | None:
    """An administrator's key of the machine's user, where there has been no key yet; None otherwise, and where an
    issuer says who people are. Two that ask at once do not both get one."""
    if studio.settings.oidc_issuer:
        return None
    with studio.database.session() as session:
        if api_keys.any_at_all(session):
            return None
        return make(session, getpass.getuser(), "administrator", label="first key of this machine").key
