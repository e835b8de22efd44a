"""A batch's jobs stay apart, however alike they are: real media, a real database, no Dagster."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from pipelines.editing import batch, findings, quality
from pipelines.errors import BadInput
from pipelines.intake import batches, scan
from pipelines.settings import Settings
from pipelines.storage import edits, jobs
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from pipelines.validation import invariants

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"
CLIPS = ("big_buck_bunny_5s.mp4",)


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(replace(settings, workers="1"), database, objects, Cache(objects))


def put(
    studio: Studio, name: str, *, fps: str = "25", clips: Sequence[str] = CLIPS, seconds: float = 2, whole: bool = True
) -> None:
    """A job folder of this name in the inbox, in place of the one that was there, and taken from it."""
    folder = studio.settings.inbox / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in ("vibe_ace.ogg", *clips):
        shutil.copy(MEDIA / file, folder)
        if file in clips and not whole:
            (folder / file).write_bytes(without_pictures(file))
    listed = "".join(f"  - {{file: {file}, kind: clip}}\n" for file in clips)
    (folder / "job.yaml").write_text(
        f"owner: tester\nfiles:\n  - {{file: vibe_ace.ogg, kind: music}}\n{listed}"
        f"edit: {{duration: {seconds}, fps: {fps}, patterns: [dynamic]}}\n"
    )
    (folder / "_COMPLETE").touch()
    time.sleep(studio.settings.number("settle_seconds") * 2)
    scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)


def without_pictures(name: str) -> bytes:
    """A clip with a sound header over pictures that are gone: only its analysis finds out."""
    data = bytearray((MEDIA / name).read_bytes())
    start = data.index(b"mdat") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big") - 8
    data[start : start + size] = bytes(size)
    return bytes(data)


def plan_batch(studio: Studio) -> str:
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session)
    return made.key


def rate_of(path: Path) -> Fraction | None:
    with av.open(str(path)) as file:
        return file.streams.video[0].average_rate


def test_jobs_of_equal_files_keep_their_own_rates_and_folders(studio: Studio) -> None:
    put(studio, "replaced", fps="50")
    put(studio, "replaced", fps="24")
    put(studio, "other", fps="30")
    put(studio, "twin", fps="30")
    key = plan_batch(studio)
    for step in (batch.analyse_music, batch.analyse_clips, batch.share, batch.plan, batch.render, batch.judge):
        assert [r.error for r in step(studio, key) if r.error] == []

    results = studio.settings.home_path / "results"
    rates = {folder.name: rate_of(folder / "dynamic.mp4") for folder in results.iterdir()}
    assert rates == {"replaced": 24, "other": 30, "twin": 30}
    with studio.database.session() as session:
        rows = [edits.of_job(session, job.id)[0] for job in jobs.of_batch(session, key)]
    assert len({row.plan_key for row in rows}) == 3
    assert all(row.quality for row in rows)  # the replaced one is measured, too


def test_a_measurement_that_fails_leaves_the_former_results_whole(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(studio, "song")
    key = plan_batch(studio)
    for step in (batch.analyse_music, batch.analyse_clips, batch.plan):
        step(studio, key)

    def fails(*_: object, **__: object) -> None:
        raise BadInput("dynamic.mp4", "is damaged", "render it again")

    monkeypatch.setattr(quality, "measure", fails)
    (result,) = batch.judge(studio, key)
    assert result.error == "dynamic.mp4: is damaged; render it again"
    assert not (studio.settings.home_path / "results").exists()


def findings_of(studio: Studio, key: str) -> list[str]:
    """What the blocking checks say."""
    kinds = ("music_features", "video_features", "lyrics_features", "edit_patterns")
    return [
        *(problem for kind in kinds for problem in findings.problems(studio, key, kind)),
        *findings.check_feature_store(studio, key),
        *findings.check_shared_features(studio, key),
        *findings.alike_patterns(studio, key),
    ]


@pytest.mark.parametrize(
    "wish", [{"whole": False}, {"seconds": 40}], ids=["a clip without pictures", "too little material"]
)
def test_a_job_that_fails_blocks_no_other(studio: Studio, wish: dict[str, Any]) -> None:
    put(studio, "poor", **wish)
    alone = plan_batch(studio)
    put(studio, "poor", **wish, fps="30")
    put(studio, "good")
    for key in (alone, plan_batch(studio)):
        failed = False
        for step in (batch.analyse_music, batch.analyse_clips, batch.share, batch.plan):
            failed |= any(result.failure for result in step(studio, key))
        assert failed
        assert findings_of(studio, key) == []


def test_a_problem_names_its_job_however_alike_the_files_names_are(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(studio, "first")
    put(studio, "second", fps="30")
    key = plan_batch(studio)
    for step in (batch.analyse_music, batch.analyse_clips):
        step(studio, key)
    monkeypatch.setattr(invariants, "music_problems", lambda _: ["BPM -7.0 is outside 20 to 400"])
    assert [p.split(":")[0] for p in findings.problems(studio, key, "music_features")] == [
        "first/vibe_ace.ogg",
        "second/vibe_ace.ogg",
    ]


def test_a_failure_is_told_by_the_step_that_met_it_and_by_no_later_one(studio: Studio) -> None:
    put(studio, "poor", seconds=40)
    key = plan_batch(studio)
    steps = (batch.analyse_music, batch.analyse_clips, batch.share, batch.plan, batch.render, batch.judge)
    assert [[bool(result.failure) for result in step(studio, key)] for step in steps] == [
        [False], [False], [False], [True], [], []
    ]  # fmt: skip
