"""What `orimono status` tells and `orimono retry` asks for, over a real database."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest

from pipelines import status
from pipelines.intake import batches, scan
from pipelines.settings import Settings
from pipelines.storage import items, jobs, score_jobs, uploads
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.jobs import NewJob
from pipelines.storage.objects import Objects
from pipelines.storage.score_jobs import NewScoreJob
from pipelines.studio import Studio


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(settings, database, objects, Cache(objects))


def take(studio: Studio, name: str, content: str, error: str | None = None) -> int:
    """A job as a scan records it."""
    with studio.database.session() as session:
        job_id, _ = jobs.add(session, NewJob(name, content, "yamada", error=error))
        jobs.save_folder(session, name, content, {}, job_id)
    return job_id


def plan(studio: Studio) -> str:
    with studio.database.session() as session:
        (batch,) = batches.plan_batches(session)
    return batch.key


def fail(studio: Studio, job_id: int) -> None:
    with studio.database.session() as session:
        items.record(
            session, job_id=job_id, kind="video_features", content_hash="h", code_version="1", error="a.mp4: is damaged"
        )


def test_a_failed_item_is_told_and_its_ended_batch_asked_for_again(studio: Studio) -> None:
    fail(studio, take(studio, "song", "c1"))
    key = plan(studio)
    with studio.database.session() as session:
        batches.mark_finished(session, key)
    assert status.report(studio).lines() == ["job song, video_features: a.mp4: is damaged"]
    assert status.retry(studio).batches == (key,)
    assert status.report(studio).lines()[0] == f"batch {key} waits for its run"


def test_a_batch_under_way_gets_no_second_run(studio: Studio) -> None:
    fail(studio, take(studio, "song", "c1"))
    key = plan(studio)
    with studio.database.session() as session:
        batches.mark_requested(session, key)
    assert status.retry(studio).batches == ()
    assert status.report(studio).lines()[0] == f"batch {key} is under way"


def test_what_failed_of_a_replaced_job_is_done_with(studio: Studio) -> None:
    fail(studio, take(studio, "song", "c1"))
    key = plan(studio)
    with studio.database.session() as session:
        batches.mark_finished(session, key)
    take(studio, "song", "c2", error="song: has no usable clip")
    assert [f.job for f in status.report(studio).failed_items] == ["song"]  # nothing sound took its place yet
    take(studio, "song", "c3")
    assert status.report(studio).failed_items == ()
    assert status.retry(studio).batches == ()


def test_refused_jobs_are_judged_anew(studio: Studio) -> None:
    take(studio, "song", "c1", error="song: has no usable clip")
    put(studio, "song", _COMPLETE=b"")
    assert "job song was refused: song: has no usable clip" in status.report(studio).lines()
    assert status.retry(studio) == status.Retried((), 1, 0)


def put(studio: Studio, name: str, **files: bytes) -> None:
    folder = studio.settings.inbox / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file.replace("__", ".")).write_bytes(content)


def test_a_refused_file_is_told_while_its_job_lies_in_the_inbox(studio: Studio) -> None:
    job_id = take(studio, "song", "c1")
    with studio.database.session() as session:
        bad = uploads.NewUpload("clip.mp4", "clip", "h", 3, error="clip.mp4: is text; give a clip that plays")
        uploads.add(session, job_id, "yamada", [bad])
    put(studio, "song")
    told = "job song goes on without a file: clip.mp4: is text; give a clip that plays"
    assert told in status.report(studio).lines()
    (studio.settings.inbox / "song").rmdir()
    assert status.report(studio).refused_files == ()


def test_a_refused_job_that_was_taken_out_of_the_inbox_is_no_trouble_any_more(studio: Studio) -> None:
    take(studio, "broken", "c1", error="job.yaml: is no YAML; mend it")
    put(studio, "broken")
    assert [j.job for j in status.report(studio).bad_jobs] == ["broken"]
    (studio.settings.inbox / "broken").rmdir()
    assert status.report(studio).bad_jobs == ()


def test_a_folder_that_is_not_taken_in_is_told_with_its_reason(studio: Studio) -> None:
    put(studio, "copying", job__yaml=b"owner: x")
    put(studio, "edited", words__lrc=b"walked", _COMPLETE=b'{"files": {"words.lrc": {"size": 8, "sha256": "x"}}}')
    put(studio, "ready", words__lrc=b"walked", _COMPLETE=b"")
    lines = status.report(studio).lines()
    assert len(lines) == 3
    assert "job copying is not taken in: it has no _COMPLETE yet" in lines[0]
    assert "job edited is not taken in: words.lrc has another size than _COMPLETE says" in lines[1]
    assert lines[2] == "job ready is not taken in: it is complete; the sensor inbox takes it in while the house runs"
    at_once = replace(studio.settings, settle_seconds="0.001")
    scan.scan(studio.settings.inbox, studio.database, studio.objects, at_once)
    assert not any("ready is not taken in" in line for line in status.report(studio).lines())


def test_what_was_given_up_is_an_alarm_and_names_nobody(studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    from assets.health import batch_health

    take(studio, "song of Aoi", "c1")
    key = plan(studio)
    instance = dg.DagsterInstance.ephemeral()

    def look() -> list[str]:
        caplog.clear()
        dg.materialize([batch_health], resources={"studio": studio}, instance=instance)
        return [record.message for record in caplog.records if record.name == "pipelines.notifier"]

    assert look() == []
    with studio.database.session() as session:
        batches.mark_requested(session, key)
        batches.mark_failed(session, key, "its run ended as FAILURE")
    new = NewScoreJob(
        "Aoi.csv", "csv", "/Aoi.csv", "h", {"categories": ["joy"]}, {}, 3, job_id=take(studio, "Aoi", "c2")
    )
    with studio.database.session() as session:
        sheet = score_jobs.add(session, new)
        score_jobs.fail(session, sheet, "Aoi.csv: is gone")
    said = f"Work was given up: batch {key} failed after 1 attempts | the sheet of score job {sheet} is failed"
    assert look() == [said]
    assert look() == []
    instance.dispose()
