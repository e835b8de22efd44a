"""Pseudonyms, roles, and from whom may be learned."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from pipelines.errors import BadInput
from pipelines.governance.people import ROLES, Actor, needs, pseudonym
from pipelines.storage import consents, jobs
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.tables import Consent, Withdrawal

BEGAN = datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_a_pseudonym_does_not_mind_the_spelling() -> None:
    assert pseudonym("Aoi@Studio.example ") == pseudonym("aoi@studio.example")
    name = "岡部 ガク Ünal"
    assert pseudonym(unicodedata.normalize("NFD", name)) == pseudonym(name)
    assert len(pseudonym("x")) == 16 and int(pseudonym("x"), 16) >= 0
    assert pseudonym("aoi") != pseudonym("aoi2")
    with pytest.raises(BadInput, match="user id: is empty"):
        pseudonym("  ")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_lower_ones_may(role: str) -> None:
    actor = Actor("mika", role)  # type: ignore[arg-type]
    for wanted in ROLES:
        if ROLES.index(wanted) <= ROLES.index(actor.role):
            needs(actor, wanted)
        else:
            with pytest.raises(BadInput, match=r"mika: is an? .*, and this needs"):
                needs(actor, wanted)


def test_no_role_of_ones_own_making() -> None:
    with pytest.raises(BadInput, match="is no role; choose from viewer"):
        Actor("mika", "root")  # type: ignore[arg-type]


def _job(database: Database, owner: str, *, training: bool, granted: datetime = BEGAN) -> int:
    with database.session() as session:
        made, _ = jobs.add(session, NewJob(f"job of {owner}", f"{owner}-{granted}", owner))
        session.add(Consent(job_id=made, owner=owner, quality=True, training=training, granted_at=granted))
    return made


def _trainable(database: Database) -> set[int]:
    with database.session() as session:
        return set(session.execute(consents.trainable_jobs()).scalars())


def _withdraw(database: Database, user: str, at: datetime, *, done: bool = False) -> None:
    row = Withdrawal(user_id=pseudonym(user) if done else user, keep_originals=False, requested_by=user)
    row.requested_at, row.due_at, row.completed_at = at, at + timedelta(hours=24), at if done else None
    with database.session() as session:
        session.add(row)


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("spelling", ["aoi@example.org", "Aoi@Example.org "])
def test_who_withdrew_is_learned_from_no_more_until_they_come_back(
    database: Database, done: bool, spelling: str
) -> None:
    first = _job(database, "aoi@example.org", training=True)
    other = _job(database, "ren", training=True)
    _job(database, "sora", training=False)
    persons = {pseudonym(p) for p in ("aoi@example.org", "ren", "sora", "unknown")}
    with database.session() as session:
        assert set(session.execute(consents.trainable_jobs()).scalars()) == {first, other}
        assert consents.withdrawn_pseudonyms(session, persons) == {pseudonym("sora")}
    _withdraw(database, spelling, BEGAN + timedelta(days=1), done=done)
    assert _trainable(database) == {other}
    with database.session() as session:
        gone = consents.withdrawn_pseudonyms(session, persons)
        assert gone == {pseudonym("sora"), pseudonym("aoi@example.org")}
    again = _job(database, "aoi@example.org", training=True, granted=BEGAN + timedelta(days=2))
    assert _trainable(database) == {other, again}
    with database.session() as session:
        assert pseudonym(spelling) not in consents.withdrawn_pseudonyms(session, persons)
        assert pseudonym(spelling) in consents.withdrawn_pseudonyms(session, persons, since=BEGAN)
        assert not consents.withdrawn_pseudonyms(session, {pseudonym("ren"), pseudonym("unknown")})


def test_one_consent_taken_back_is_one_job_less(database: Database) -> None:
    kept, lost = _job(database, "aoi", training=True), _job(database, "AOI", training=True)
    with database.session() as session:
        row = session.execute(select(Consent).where(Consent.job_id == lost)).scalar_one()
        row.withdrawn_at = BEGAN
    assert _trainable(database) == {kept}
    with database.session() as session:
        assert not consents.withdrawn_pseudonyms(session, {pseudonym("aoi")})
