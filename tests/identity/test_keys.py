"""Keys: what is kept of one, who may make which, and when it stops to work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from pipelines.errors import BadInput, NotAllowed
from pipelines.governance.people import Actor, pseudonym
from pipelines.identity import keys
from pipelines.identity.callers import scopes_of
from pipelines.settings import Settings
from pipelines.storage import api_keys, audit
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

NOON = datetime(2031, 5, 4, 12, tzinfo=UTC)
ADA = Actor("Ada", "editor")


def test_a_key_says_who_comes_and_what_for(database: Database) -> None:
    with database.session() as session:
        made = keys.make(session, "Ada", "editor", label=" her  laptop ", scopes=["jobs:read", "infer"])
    with database.session() as session:
        found = keys.verify(session, made.key)
    assert found is not None and found.expires_at is None
    assert (found.caller.actor, found.caller.scopes) == (ADA, {"jobs:read", "infer"})
    assert (found.caller.label, found.caller.key_id) == (f"key:{made.prefix}", made.id)
    with database.session() as session:
        (row,) = api_keys.listed(session)
        assert (row.label, row.created_by) == ("her laptop", pseudonym("Ada"))


def test_only_a_hash_is_kept(database: Database) -> None:
    with database.session() as session:
        made = keys.make(session, "Ada", "editor")
        stored = session.execute(text("select k::text from api_keys k")).scalar_one()
        told = session.execute(text("select a::text from audit_logs a")).scalar_one()
    assert keys.FORM.match(made.key) and made.key.startswith(f"orm_{made.prefix}_")
    for kept in (stored, told, repr(made)):
        assert made.key not in kept and made.key[13:] not in kept
    assert keys.digest(made.key) in stored
    assert "Ada" not in told, "the audit trail knows pseudonyms only"


def test_no_two_keys_are_alike(database: Database) -> None:
    with database.session() as session:
        made = [keys.make(session, "Ada", "viewer").key for _ in range(50)]
    assert len(set(made)) == 50 and len({key[13:] for key in made}) == 50


def test_what_is_no_key(database: Database) -> None:
    with database.session() as session:
        made = keys.make(session, "Ada", "editor").key
        last = "A" if made[-1] != "A" else "B"
        for wrong in (
            *("", "orm_", made[:-1], made + "A", made[:-1] + last, made.upper(), f" {made}", f"{made}\n", made * 2),
            *(made.replace("orm_", "orm-"), f"orm_00000000_{made[13:]}", made[:13] + "é" * 43, "\ud800", "\x00"),
            *("' or '1'='1", "orm_' or 1=1 _" + "A" * 43, "orm_%_" + "A" * 43, "A" * 1_000_000),
        ):
            assert keys.verify(session, wrong) is None, wrong[:80]
        assert keys.verify(session, made) is not None


def test_the_hash_is_compared_in_constant_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = keys.hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    with database.session() as session:
        made = keys.make(session, "Ada", "editor")
        for key in (made.key, made.key[:-2] + "xx", f"orm_00000000_{'A' * 43}", "no key at all"):
            keys.verify(session, key)
    assert [len(a) == len(b) == 64 for a, b in compared] == [True] * 4, "also where there is nothing to compare with"


def test_it_expires_and_is_revoked(database: Database) -> None:
    with database.session() as session:
        made = keys.make(session, "Ada", "editor", expires_at=NOON + timedelta(days=1), now=NOON)
        row = api_keys.by_prefix(session, made.prefix)
        assert row is not None
        before, after = NOON + timedelta(hours=23, minutes=59), NOON + timedelta(days=1)
        assert keys.verify(session, made.key, before) is not None and keys.status(row, before) == "works"
        assert keys.verify(session, made.key, after) is None and keys.status(row, after) == "expired"
        keys.revoke(session, row, ADA, NOON + timedelta(hours=1))
        assert keys.verify(session, made.key, before) is None and keys.status(row, before) == "revoked"
        keys.revoke(session, row, ADA, NOON + timedelta(hours=2))
        assert row.revoked_at == NOON + timedelta(hours=1)
        told = [entry.action for entry in audit.of_subject(session, f"key:{made.prefix}")]
        assert told == ["key.create", "key.revoke"]


def test_who_may_give_which_key(database: Database) -> None:
    admin = Actor("Adam", "administrator")
    with database.session() as session:
        assert keys.make(session, "Bo", "operator", by=admin).key
        assert keys.make(session, "ADA ", "viewer", by=ADA).key, "one's own, however it is spelt"
        with pytest.raises(NotAllowed, match="their own"):
            keys.make(session, "Bo", "viewer", by=Actor("Olga", "operator"))
        with pytest.raises(NotAllowed, match="is no operator"):
            keys.make(session, "Ada", "operator", by=ADA)
        row = api_keys.listed(session)[-1]
        with pytest.raises(NotAllowed):
            keys.revoke(session, row, ADA)


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"owner": " "}, "empty"),
        ({"owner": "a\x00b"}, "printable"),
        ({"owner": "a" * 201}, "longer"),
        ({"role": "root"}, "is no role"),
        ({"scopes": ["jobs:delete"]}, "is no scope"),
        ({"scopes": ["audit"]}, "more than the role"),
        ({"label": "x" * 101}, "longer"),
        ({"label": "a\x00b"}, "printable"),
        ({"expires_at": NOON}, "expired already"),
    ],
)
def test_keys_that_cannot_be(database: Database, wish: dict[str, object], word: str) -> None:
    with database.session() as session, pytest.raises(BadInput, match=word):
        keys.make(session, **{"owner": "Ada", "role": "editor", "now": NOON} | wish)  # type: ignore[arg-type]


def test_names_of_all_the_world(database: Database) -> None:
    with database.session() as session:
        for name in ("花村　葵", "Zoë O’Hara", "مریم‌السادات", "👩‍🎤"):
            assert keys.make(session, name, "viewer", label=name).key


def test_a_role_that_has_less_today_gives_less(database: Database) -> None:
    with database.session() as session:
        made = keys.make(session, "Ada", "operator")
        session.execute(text("update api_keys set role = 'viewer'"))
    with database.session() as session:
        found = keys.verify(session, made.key)
    assert found is not None and found.caller.scopes == scopes_of("viewer")


def test_when_it_was_used_is_written_once_a_minute(database: Database) -> None:
    with database.session() as session:
        made = keys.make(session, "Ada", "editor", now=NOON)
    used = []
    for seconds in (0, 30, 59, 61, 100, 122):
        with database.session() as session:
            keys.verify(session, made.key, NOON + timedelta(seconds=seconds))
        with database.session() as session:
            (row,) = api_keys.listed(session)
            assert row.last_used_at is not None
            used.append((row.last_used_at - NOON).total_seconds())
    assert used == [0, 0, 0, 61, 61, 122]


def test_the_first_key_is_made_once(database: Database, settings: Settings) -> None:
    objects = Objects.open(settings)
    studio = Studio(settings, database, objects, Cache(objects))
    with ThreadPoolExecutor(4) as threads:
        made = [key for key in threads.map(lambda _: keys.first(studio), range(4)) if key is not None]
    assert len(made) == 1
    with database.session() as session:
        found = keys.verify(session, made[0])
    assert found is not None and found.caller.actor.role == "administrator"
    assert keys.first(studio) is None


def test_an_issuer_says_who_people_are(database: Database, settings: Settings) -> None:
    settings = replace(settings, oidc_issuer="https://issuer.example")
    objects = Objects.open(settings)
    assert keys.first(Studio(settings, database, objects, Cache(objects))) is None
