"""What was arranged and chosen is written down once, can be found by the file, and personalises the ranking."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from pipelines.composing import midi_reading, midi_writing, recording, taste
from pipelines.composing.arranging import Candidate, arrange
from pipelines.composing.wishes import Wishes, wish_hash
from pipelines.errors import BadInput
from pipelines.governance import consent, withdrawal
from pipelines.governance.people import Actor
from pipelines.settings import Settings
from pipelines.storage import arrangements, storage_use
from pipelines.storage.cache import Cache
from pipelines.storage.composing_tables import Arrangement
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import Job, VaultItem
from pipelines.studio import Studio
from tests.governance.house import give

TUNE = Path(__file__).parents[2] / "sample" / "tunes" / "amazing_grace.mid"
HASH = hashlib.sha256(TUNE.read_bytes()).hexdigest()
WISHES = Wishes(style="pop", candidates=3)
AOI = "Aoi <aoi@example.org>"


@pytest.fixture
def studio(settings: Settings, database: Database) -> Studio:
    objects = Objects.open(settings)
    return Studio(replace(settings, database_url=database.settings.database_url), database, objects, Cache(objects))


@pytest.fixture(scope="module")
def candidates() -> tuple[Candidate, ...]:
    return arrange(midi_reading.read(TUNE), WISHES).candidates


def rows(studio: Studio) -> list[Arrangement]:
    with studio.database.session() as session:
        return list(session.execute(select(Arrangement).order_by(Arrangement.id)).scalars())


def record(studio: Studio, made: tuple[Candidate, ...], wishes: Wishes = WISHES) -> list[recording.Recorded]:
    return recording.record(studio, AOI, made, wishes, content_hash=HASH, name="Amazing Grace")


def test_the_same_wish_is_recorded_once(studio: Studio, candidates: tuple[Candidate, ...]) -> None:
    once = record(studio, candidates)
    assert [one.candidate for one in once] == [1, 2, 3]
    assert record(studio, candidates) == once
    found = rows(studio)
    assert [row.id for row in found] == [one.id for one in once]
    assert {(row.owner, row.name, row.content_hash, row.style) for row in found} == {
        (AOI, "Amazing Grace", HASH, "pop")
    }
    for row, candidate in zip(found, candidates, strict=True):
        assert row.object_key is not None
        assert studio.objects.get(row.object_key) == midi_writing.to_bytes(candidate.piece)
        assert row.measures == pytest.approx(dict(candidate.measures)) and row.chosen_at is None
    other = replace(WISHES, seed=1)
    assert {one.id for one in record(studio, candidates, other)}.isdisjoint(one.id for one in once)


def test_what_the_same_wish_gives_now_replaces_what_nobody_chose(
    studio: Studio, candidates: tuple[Candidate, ...]
) -> None:
    first, second, third = record(studio, candidates)
    recording.choose(studio, AOI, second.id)
    anew = replace(candidates[0], piece=replace(candidates[0].piece, name="made by a later version"))
    made = (anew, replace(candidates[2], number=2))
    again = record(studio, made)
    assert again[1].id == third.id
    numbers = {row.id: row.candidate for row in rows(studio)}
    assert numbers == {again[0].id: 1, third.id: 2, second.id: 0}, "what was chosen stays, but is none of the two"
    assert not studio.objects.exists(first.object_key) and studio.objects.exists(second.object_key)
    assert record(studio, made) == again and len(rows(studio)) == 3
    taken = recording.choose(studio, AOI, second.id)
    assert (taken.candidate, taken.among) == (0, 3)
    taken = recording.choose(studio, AOI, third.id)
    assert (taken.candidate, taken.among) == (2, 2)
    assert record(studio, made) == again
    assert [row.id for row in rows(studio) if row.id == second.id] == [], "it is nobody's choice any more"
    assert [row.candidate for row in sorted(rows(studio), key=lambda row: row.candidate)] == [1, 2]


def test_candidates_have_the_numbers_of_the_last_making(studio: Studio, candidates: tuple[Candidate, ...]) -> None:
    first, second, third = record(studio, candidates)
    turned = [replace(c, number=n, rating=5.0 - n) for n, c in enumerate((candidates[2], *candidates[:2]), 1)]
    assert [one.id for one in record(studio, tuple(turned))] == [third.id, first.id, second.id]
    digest = hashlib.sha256(studio.objects.get(first.object_key)).hexdigest()
    taken = recording.choose(studio, AOI, digest)
    assert (taken.id, taken.candidate, taken.among) == (first.id, 2, 3)
    assert {row.id: row.rating for row in rows(studio)} == {third.id: 4.0, first.id: 3.0, second.id: 2.0}


def test_a_person_in_two_spellings_is_one(studio: Studio, candidates: tuple[Candidate, ...]) -> None:
    once = record(studio, candidates)
    recording.choose(studio, AOI, once[0].id)
    shouted = recording.record(
        studio, AOI.upper(), candidates, WISHES, content_hash=HASH, name="Amazing Grace", job_id=None
    )
    assert shouted == once
    assert {row.owner for row in rows(studio)} == {AOI}
    taken = recording.choose(studio, AOI.upper(), shouted[1].id)
    assert (taken.candidate, taken.among) == (2, 3)
    assert taste.of(studio, AOI).choices == {"pop": 1}
    recording.record(studio, "Ren", candidates, WISHES, content_hash=HASH, name="Amazing Grace")
    assert len(rows(studio)) == 6, "somebody else's are theirs"


def test_each_job_has_rows_of_its_own(studio: Studio, candidates: tuple[Candidate, ...]) -> None:
    jobs = [
        give(studio, name, AOI, {f"melody-{name}.mid": TUNE.read_bytes()}, cached=False).job_id for name in ("a", "b")
    ]
    about = {"content_hash": HASH, "name": "Amazing Grace"}
    by_job = {job: recording.record(studio, AOI, candidates, WISHES, job_id=job, **about) for job in (*jobs, None)}
    ids = [one.id for made in by_job.values() for one in made]
    assert len(set(ids)) == 9
    for job, made in by_job.items():
        assert recording.record(studio, AOI, candidates, WISHES, job_id=job, **about) == made
    with studio.database.session() as session:
        for job in jobs:
            assert [row.id for row in arrangements.of_job(session, job)] == [one.id for one in by_job[job]]
    recording.choose(studio, AOI, by_job[jobs[0]][0].id)
    recording.choose(studio, AOI, by_job[jobs[1]][1].id)
    assert [row.id for row in rows(studio) if row.chosen_at] == [by_job[jobs[0]][0].id, by_job[jobs[1]][1].id]

    with studio.database.session() as session:
        session.execute(delete(Job).where(Job.id == jobs[0]))
    assert {row.id for row in rows(studio)} == {one.id for job in (jobs[1], None) for one in by_job[job]}
    with studio.database.session() as session:
        assert len(arrangements.of_job(session, jobs[1])) == 3
        doubled = {"job_id": None, "owner": AOI, "wish": wish_hash(WISHES), "content_hash": HASH, "candidate": 1}
        other = {"name": "x", "style": "pop", "seed": 0, "rating": 0.0, "made_by": "x"}
        with pytest.raises(IntegrityError), session.begin_nested():
            session.execute(insert(Arrangement).values(**doubled, **other))


def test_a_choice_is_found_by_id_or_file_and_the_last_word_counts(
    studio: Studio, candidates: tuple[Candidate, ...]
) -> None:
    first, second, _ = record(studio, candidates)
    assert recording.choose(studio, AOI.upper(), first.id).candidate == 1
    digest = hashlib.sha256(studio.objects.get(second.object_key)).hexdigest()
    taken = recording.choose(studio, AOI, digest)
    assert (taken.id, taken.name, taken.candidate, taken.among, taken.style) == (
        second.id,
        "Amazing Grace",
        2,
        3,
        "pop",
    )
    assert [row.chosen_at is not None for row in rows(studio)] == [False, True, False]
    moment = rows(studio)[1].chosen_at
    recording.choose(studio, AOI, second.id)
    assert rows(studio)[1].chosen_at == moment
    for which in (99, "0" * 64, "no hash", HASH):
        with pytest.raises(BadInput, match="no arrangement made for"):
            recording.choose(studio, AOI, which)
    with pytest.raises(BadInput, match="made for Ren"):
        recording.choose(studio, "Ren", first.id)


def test_choices_personalise_the_ranking_of_their_composer_alone(
    studio: Studio, candidates: tuple[Candidate, ...]
) -> None:
    source = midi_reading.read(TUNE)
    last = record(studio, candidates)[-1]
    assert not taste.of(studio, AOI).knows("pop")
    recording.choose(studio, AOI, last.id)
    learned = taste.of(studio, AOI.upper())
    assert learned.knows("pop") and not learned.knows("chorale") and learned.choices == {"pop": 1}
    assert not taste.of(studio, "Ren").knows("pop")
    for seed in (1, 2, 3, 4):  # they always take what the house ranks last
        wishes = replace(WISHES, seed=seed)
        made = arrange(source, wishes).candidates
        recording.choose(studio, AOI, record(studio, made, wishes)[-1].id)
    ranked = arrange(source, WISHES, taste=taste.of(studio, AOI)).candidates
    assert ranked[0].piece == candidates[-1].piece
    assert ranked[0].reasons[0] == "closest to what you chose before"
    assert {c.piece for c in ranked} == {c.piece for c in candidates}, "the same candidates in another order"


def test_nothing_is_learned_from_choices_that_may_not_be(studio: Studio, candidates: tuple[Candidate, ...]) -> None:
    given = give(studio, "hers", AOI, {"melody-hers.mid": TUNE.read_bytes()}, cached=False)
    made = recording.record(
        studio, AOI, candidates, WISHES, content_hash=HASH, name="Amazing Grace", job_id=given.job_id
    )
    assert {row.job_id for row in rows(studio)} == {given.job_id}
    with studio.database.session() as session:
        kept = session.execute(select(VaultItem).where(VaultItem.kind == "arrangement")).scalars().all()
        assert {item.object_key for item in kept} == {one.object_key for one in made}
        assert all(item.expires_at is None for item in kept)
    recording.choose(studio, AOI, made[1].id)
    assert taste.of(studio, AOI).knows("pop")
    with studio.database.session() as session:
        consent.give(session, Actor(AOI, "viewer"), given.job_id, quality=True, training=False)
    assert not taste.of(studio, AOI).knows("pop")
    by_hand = record(studio, candidates, replace(WISHES, seed=5))
    recording.choose(studio, AOI, by_hand[0].id)
    assert taste.of(studio, AOI).choices == {"pop": 1}, "chosen since, at the command line"
    withdrawal.request(studio, AOI, Actor(AOI, "viewer"))
    assert not taste.of(studio, AOI).knows("pop")
    assert withdrawal.carry_out(studio)[0].done
    assert rows(studio) == [] and not [i for i in storage_use.stored(studio.objects) if i.key.endswith(".mid")]
