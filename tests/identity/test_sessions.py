"""Signing in: a cookie in place of a key, that is worth no more and no longer than the key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from pipelines.governance.people import Actor
from pipelines.identity import keys, sessions
from pipelines.identity.callers import Caller
from pipelines.storage import api_keys, audit, browser_sessions
from pipelines.storage.database import Database

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)
TOKEN = Caller(Actor("Ada", "operator"), frozenset({"operate"}), "token:0123456789abcdef")


def signed_in(database: Database, expires_at: datetime | None = None) -> tuple[keys.Made, sessions.Begun]:
    with database.session() as session:
        made = keys.make(session, "Ada", "editor", scopes=["jobs:read"], expires_at=expires_at, now=NOON)
        found = keys.verify(session, made.key, NOON)
        assert found is not None
        return made, sessions.begin(session, found.caller, NOON)


def find(database: Database, cookie: str, now: datetime = NOON) -> sessions.SignedIn | None:
    with database.session() as session:
        return sessions.find(session, cookie, now)


def test_a_cookie_stands_for_the_key(database: Database) -> None:
    made, begun = signed_in(database)
    found = find(database, begun.cookie)
    assert found is not None
    assert (found.caller.name, found.caller.scopes, found.caller.key_id) == ("Ada", {"jobs:read"}, made.id)
    assert found.caller.label == f"key:{made.prefix}", "limits and logs know both as one"
    assert found.meant(begun.csrf)
    assert not any(found.meant(wrong) for wrong in ("", begun.csrf[:-1], begun.cookie, "é", "\ud800"))
    with database.session() as session:
        stored = session.execute(text("select s::text from browser_sessions s")).scalar_one()
        told = [entry.action for entry in audit.of_subject(session, f"key:{made.prefix}")]
    assert begun.cookie not in stored + repr(begun) + repr(found) and begun.csrf not in repr(found)
    assert told == ["key.create", "session.begin"]


def test_it_ends_after_twelve_hours_or_with_the_key(database: Database) -> None:
    _, long = signed_in(database)
    assert find(database, long.cookie, NOON + sessions.LIFE - timedelta(seconds=1)) is not None
    assert find(database, long.cookie, NOON + sessions.LIFE) is None
    _, short = signed_in(database, NOON + timedelta(hours=1))
    found = find(database, short.cookie, NOON + timedelta(minutes=59))
    assert found is not None and found.expires_at == NOON + timedelta(hours=1)
    assert find(database, short.cookie, NOON + timedelta(hours=1)) is None


def test_a_revoked_key_signs_out(database: Database) -> None:
    made, begun = signed_in(database)
    with database.session() as session:
        row = api_keys.by_prefix(session, made.prefix)
        assert row is not None
        keys.revoke(session, row, Actor("Ada", "editor"))
    assert find(database, begun.cookie) is None


def test_signing_out(database: Database) -> None:
    _, begun = signed_in(database)
    _, other = signed_in(database)
    with database.session() as session:
        sessions.end(session, begun.cookie)
        sessions.end(session, "nobody's")
    assert find(database, begun.cookie) is None
    assert find(database, other.cookie) is not None


def test_a_tokens_word_is_kept(database: Database) -> None:
    with database.session() as session:
        begun = sessions.begin(session, TOKEN, NOON)
    found = find(database, begun.cookie, NOON + timedelta(minutes=59))
    assert found is not None
    assert find(database, begun.cookie, NOON + timedelta(hours=1)) is None, "the issuer may think otherwise by then"
    assert (found.caller.actor, found.caller.scopes, found.caller.key_id) == (TOKEN.actor, {"operate"}, None)


def test_what_is_no_cookie(database: Database) -> None:
    _, begun = signed_in(database)
    for wrong in ("", begun.cookie[:-1], begun.cookie + "A", begun.csrf, "' or 1=1 --", "\ud800", "A" * 1_000_000):
        assert find(database, wrong) is None


def test_old_ones_are_dropped(database: Database) -> None:
    signed_in(database)
    with database.session() as session:
        assert browser_sessions.drop_expired(session, NOON + sessions.LIFE - timedelta(seconds=1)) == 0
        assert browser_sessions.drop_expired(session, NOON + sessions.LIFE) == 1
