"""The store is measured as it is, and each level has its consequence."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from pipelines.governance import budget, retention, vault
from pipelines.storage import audit, storage_use
from pipelines.studio import Studio
from tests.governance.house import ADMINISTRATOR, NOW, give, item_of

SONG = {"mix-a.wav": b"a song" * 500}


def with_budget(studio: Studio, n_bytes: float) -> Studio:
    return replace(studio, settings=replace(studio.settings, storage_budget_gb=f"{n_bytes / 1e9:.12f}"))


@pytest.mark.parametrize(
    ("used", "level"), [(0, 0), (799, 0), (800, 80), (899, 80), (900, 90), (949, 90), (950, 95), (5000, 95)]
)
def test_levels(used: int, level: int) -> None:
    assert budget.level_of(used, 1000) == level


def test_it_is_measured_by_kind(any_studio: Studio) -> None:
    given = give(any_studio, "hers", "aoi", SONG)
    any_studio.objects.local(given.keys["mix-a.wav"])  # on S3: a copy here, which costs nothing there
    usage = budget.measure(any_studio, NOW)
    assert usage.level == 0
    assert (
        usage.used
        == sum(usage.kinds.values())
        == sum(len(any_studio.objects.get(i.key)) for i in storage_use.stored(any_studio.objects) if not i.copy)
    )
    assert usage.kinds["media"] >= len(SONG["mix-a.wav"])
    assert {"features/music", "features/plan", "features/preview"} <= set(usage.kinds)
    assert "of 50 GB (0 %)" in str(usage)


def test_a_level_is_told_and_held_for_a_day(studio: Studio) -> None:
    give(studio, "hers", "aoi", SONG)
    used = budget.measure(studio, NOW - timedelta(hours=2)).used
    with studio.database.session() as session:
        assert budget.level(session, NOW) == 0
    for share, level in ((0.85, 80), (0.92, 90), (1.5, 95), (1.5, 95)):
        assert budget.measure(with_budget(studio, used / share), NOW).level == level
        with studio.database.session() as session:
            assert budget.level(session, NOW + timedelta(hours=23)) == level
    with studio.database.session() as session:
        for late in (timedelta(hours=25), timedelta(hours=-25)):
            assert budget.level(session, NOW + late) == 0
        told = [(e.detail["before"], e.detail["level"]) for e in audit.of_subject(session, "store")]
    assert told == [(0, 80), (80, 90), (90, 95)], "a level is written down when it changes"


def test_from_90_per_cent_on_what_can_be_made_again_goes(any_studio: Studio) -> None:
    studio = any_studio
    given = give(studio, "hers", "aoi", SONG)
    held = give(studio, "held", "ren", {"mix-b.wav": b"another" * 300})
    with studio.database.session() as session:
        vault.hold(session, item_of(studio, held, "preview").id, ADMINISTRATOR, "case 7")
    used = budget.measure(studio, NOW).used
    assert budget.relieve(studio, budget.measure(with_budget(studio, used / 0.85), NOW), NOW) == 0
    assert studio.objects.exists(given.keys["preview"])

    usage = budget.measure(with_budget(studio, used / 0.901), NOW)
    freed = budget.relieve(studio, usage, NOW)
    assert 0 < freed < used * 0.05, "no more than needed"
    assert not studio.objects.exists(given.keys["preview"]), "previews first"
    assert item_of(studio, given, "preview").deleted_reason == "budget"
    assert studio.objects.exists(held.keys["preview"])

    budget.relieve(studio, budget.measure(with_budget(studio, 1), NOW), NOW)
    left = {item.key for item in storage_use.stored(studio.objects) if not item.copy}
    for job in (given, held):
        assert not studio.objects.exists(job.keys["render"])
        assert {job.keys["master"], job.keys["plan"]} <= left, "deliveries and decisions stay"
    assert not [key for key in left if key.endswith(".png")]
    assert len([key for key in left if key.startswith("features/music/")]) == 2, "numbers stay"
    assert {given.keys["mix-a.wav"], held.keys["mix-b.wav"], held.keys["preview"]} <= left


def test_what_cannot_be_made_again_stays(studio: Studio) -> None:
    given = give(studio, "hers", "aoi", {"vocal-a.wav": b"her voice" * 90, "mix-a.wav": b"a song" * 90})
    retention.expire(studio, NOW + timedelta(days=16))  # the stems are gone, and the master
    budget.relieve(studio, budget.measure(with_budget(studio, 1), NOW), NOW)
    assert studio.objects.exists(given.keys["preview"])
    pictures = list(storage_use.stored(studio.objects, "features/music_picture"))
    assert len(pictures) == 1, "the song's can be drawn again, the voice's cannot"


def test_an_empty_store(any_studio: Studio) -> None:
    usage = budget.measure(any_studio, NOW)
    assert (usage.used, usage.level, usage.kinds) == (0, 0, {})
    assert budget.relieve(any_studio, usage) == 0
