"""A batch's jobs stay apart, however alike they are: real media, a real database, no Dagster."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipelines.editing import batch, quality
from pipelines.errors import BadInput
from pipelines.intake import batches, scan
from pipelines.settings import Settings
from pipelines.storage import edits, jobs
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"
CLIPS = ("big_buck_bunny_5s.mp4",)


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(replace(settings, workers="1"), database, objects, Cache(objects))


def put(studio: Studio, name: str, *, fps: str = "25", clips: Sequence[str] = CLIPS) -> None:
    """A job folder of this name in the inbox, in place of the one that was there, and taken from it."""
    folder = studio.settings.inbox / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in ("vibe_ace.ogg", *clips):
        shutil.copy(MEDIA / file, folder)
    listed = "".join(f"  - {{file: {file}, kind: clip}}\n" for file in clips)
    (folder / "job.yaml").write_text(
        f"owner: tester\nfiles:\n  - {{file: vibe_ace.ogg, kind: music}}\n{listed}"
        f"edit: {{duration: 2, fps: {fps}, patterns: [dynamic]}}\n"
    )
    (folder / "_COMPLETE").touch()
    time.sleep(studio.settings.number("settle_seconds") * 2)
    scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)


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
