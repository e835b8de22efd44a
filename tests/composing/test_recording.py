"""What was arranged and chosen is written down once, can be found by the file, and personalises the ranking."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from pipelines.composing import midi_reading, midi_writing, recording, taste
from pipelines.composing.arranging import Candidate, arrange
from pipelines.composing.wishes import Wishes
from pipelines.errors import BadInput
from pipelines.governance import consent, withdrawal
from pipelines.governance.people import Actor
from pipelines.settings import Settings
from pipelines.storage import storage_use
from pipelines.storage.cache import Cache
from pipelines.storage.composing_tables import Arrangement
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.storage.tables import VaultItem
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
    assert record(studio, candidates) == once and record(studio, candidates[::-1]) == once[::-1]
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
    again = record(studio, (anew, candidates[2]))
    assert again[1].id == third.id
    assert {row.id for row in rows(studio)} == {again[0].id, second.id, third.id}
    assert not studio.objects.exists(first.object_key) and studio.objects.exists(second.object_key)


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
    by_hand = record(studio, candidates)
    made = recording.record(
        studio, AOI, candidates, WISHES, content_hash=HASH, name="Amazing Grace", job_id=given.job_id
    )
    assert made == by_hand and {row.job_id for row in rows(studio)} == {given.job_id}
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
