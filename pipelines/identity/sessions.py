"""Who is signed in to the pages: a cookie in place of the key, for twelve hours. Only its hash is kept.

A session begun with a key is worth what the key is worth at each page; one begun with a token keeps the token's say.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.governance.people import Actor, Role
from pipelines.identity import keys
from pipelines.identity.callers import Caller, Scope, scopes_of
from pipelines.storage import audit, browser_sessions
from pipelines.storage.serving_tables import BrowserSession

COOKIE = "orimono_session"
CSRF_HEADER = "X-CSRF-Token"  # of requests that change something and come with the cookie
LIFE = timedelta(hours=12)
TOKEN_LIFE = timedelta(hours=1)  # nobody tells us when an issuer takes a role away
_FORM = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True, slots=True)
class Begun:
    cookie: str = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SignedIn:
    """``csrf`` is what every form of theirs carries."""

    caller: Caller
    csrf: str = field(repr=False)
    expires_at: datetime

    def meant(self, csrf: str) -> bool:
        """Whether a request with this token came from one of our own pages."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "surrogatepass"))


def begin(session: Session, caller: Caller, now: datetime | None = None) -> Begun:
    """Signs in whoever came with a key or token."""
    now = now or clock.now()
    life = TOKEN_LIFE if caller.key_id is None else LIFE
    begun = Begun(secrets.token_urlsafe(32), secrets.token_urlsafe(32), now + life)
    row = BrowserSession(
        digest=_digest(begun.cookie),
        csrf=begun.csrf,
        key_id=caller.key_id,
        owner=caller.name,
        role=caller.actor.role,
        scopes=sorted(caller.scopes),
        created_at=now,
        expires_at=begun.expires_at,
    )
    browser_sessions.add(session, row)
    audit.write(session, actor=caller.actor.pseudonym, action="session.begin", subject=caller.label)
    return begun


def find(session: Session, cookie: str, now: datetime | None = None) -> SignedIn | None:
    """Who comes with this cookie; None when nobody, for too long, or the key behind it works no more."""
    now = now or clock.now()
    found = browser_sessions.by_digest(session, _digest(cookie)) if _FORM.match(cookie) else None
    if found is None:
        return None
    row, key = found
    if row.expires_at <= now or (row.key_id is not None and (key is None or not keys.living(key, now))):
        return None
    if key is not None:
        until = row.expires_at if key.expires_at is None else min(row.expires_at, key.expires_at)
        return SignedIn(keys.caller_of(key), row.csrf, until)
    role = cast(Role, row.role)
    scopes = frozenset(cast(Iterable[Scope], row.scopes)) & scopes_of(role)
    caller = Caller(Actor(row.owner, role), scopes, f"session:{row.digest[:8]}")
    return SignedIn(caller, row.csrf, row.expires_at)


def end(session: Session, cookie: str) -> None:
    """Signs out. Nothing when nobody comes with it."""
    browser_sessions.drop(session, _digest(cookie))


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
