"""Keys as the API and the pages show, make and revoke them: one's own, or everybody's with the scope ``keys``."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pipelines import clock
from pipelines.errors import Conflict, NotFound
from pipelines.governance.people import pseudonym
from pipelines.identity import keys
from pipelines.identity.callers import SCOPES, Caller, scopes_of
from pipelines.storage import api_keys
from pipelines.storage.serving_tables import ApiKey
from serving.views import paging
from serving.wire.base import Page
from serving.wire.keys import Key, KeyWish, Me, NewKey

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from serving.api.house import House

MOST = 100  # working keys of one person


def me(caller: Caller) -> Me:
    return Me(
        name=caller.name,
        pseudonym=caller.actor.pseudonym,
        role=caller.actor.role,
        scopes=tuple(scope for scope in SCOPES if scope in caller.scopes),
        everybody=caller.everybody,
        label=caller.label,
    )


def listed(
    house: House, caller: Caller, *, owner: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Key]:
    """Newest first; the caller's own without the scope ``keys``. NotAllowed for another's ``owner`` then."""
    if owner is None and "keys" not in caller.scopes:
        owner = caller.name
    if owner is not None and not caller.owns(owner):
        caller.needs("keys")
    before = paging.decode(cursor)
    with house.session() as session:
        names = None if owner is None else _spellings(session, owner)
        rows = list(api_keys.listed(session, names=names, before=before, limit=limit + 1))
    further = paging.encode(rows[limit - 1].id) if len(rows) > limit else None
    now = clock.now()
    return Page[Key](items=tuple(_key(row, now) for row in rows[:limit]), next=further)


def get(house: House, caller: Caller, prefix: str) -> Key:
    """NotFound for one that is none, or not theirs to see."""
    with house.session() as session:
        return _key(_theirs(session, caller, prefix), clock.now())


def make(house: House, caller: Caller, wish: KeyWish) -> NewKey:
    """A new key. NotAllowed for more than the caller may give; Conflict when its owner has a hundred."""
    now, managed = clock.now(), "keys" in caller.scopes
    owner, role = wish.owner or caller.name, wish.role or caller.actor.role
    if not caller.owns(owner) or wish.days is None:
        caller.needs("keys")
    allowed = scopes_of(role) if managed else scopes_of(role) & caller.scopes
    scopes = allowed if wish.scopes is None else wish.scopes
    if not managed:
        for scope in scopes:
            caller.needs(scope)
    until = now + timedelta(days=wish.days) if wish.days is not None else None
    with house.session() as session:
        mine = api_keys.listed(session, names=_spellings(session, owner))
        if sum(keys.living(row, now) for row in mine) >= MOST:
            raise Conflict(f"{owner}'s keys", f"are {MOST} already", "revoke one that is not needed")
        own = api_keys.get(session, caller.key_id) if caller.key_id is not None else None
        if not managed and own is not None and own.expires_at is not None and until is not None:
            until = min(until, own.expires_at)
        made = keys.make(
            session,
            owner,
            role,
            label=wish.label,
            scopes=scopes,
            expires_at=until,
            by=caller.actor,
            now=now,
        )
        row = api_keys.by_prefix(session, made.prefix)
        assert row is not None
        return NewKey(**_key(row, now).model_dump(), key=made.key)


def revoke(house: House, caller: Caller, prefix: str) -> Key:
    """From now on it is none. NotFound for one that is not theirs; the same key again when it was revoked before."""
    from serving.api.callers import Callers

    now = clock.now()
    with house.session() as session:
        row = _theirs(session, caller, prefix, locked=True)
        keys.revoke(session, row, caller.actor, now)
        session.flush()
    if (callers := house.made(Callers)) is not None:
        callers.forget_key(row.id)
    return _key(row, now)


def _theirs(session: Session, caller: Caller, prefix: str, *, locked: bool = False) -> ApiKey:
    row = api_keys.by_prefix(session, prefix, locked=locked)
    if row is None or not ("keys" in caller.scopes or caller.owns(row.owner)):
        raise NotFound(f"key {prefix}", "does not exist", "list the keys for those that do")
    return row


def _spellings(session: Session, owner: str) -> list[str]:
    person = pseudonym(owner)
    return [name for name in api_keys.owners(session) if pseudonym(name) == person]


def _key(row: ApiKey, now: datetime) -> Key:
    caller = keys.caller_of(row)
    return Key(
        id=row.prefix,
        label=row.label,
        owner=row.owner,
        role=caller.actor.role,
        scopes=tuple(scope for scope in SCOPES if scope in caller.scopes),
        status=keys.status(row, now),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
