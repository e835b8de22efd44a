"""Ten thousand jobs that wait: how long a tick of the inbox sensor, `orimono status` and the list of jobs take.

Every folder lies in the inbox, every job is in the tables with its files, every batch has a run.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from benchmarks import feature_house, small_uploads
from benchmarks.measure import Figure, write
from pipelines import clock, job_state, status
from pipelines.intake import batches, scan
from pipelines.settings import Settings
from pipelines.storage import embedded, items, jobs, uploads
from pipelines.storage.items import NewOutcome
from pipelines.storage.jobs import NewJob, SeenFolder
from pipelines.storage.uploads import NewUpload
from pipelines.studio import Studio

JOBS = 10_000
STEPS = ("music_features", "video_features", "shared_features", "edit_patterns")
SMALL = 8  # jobs of a batch, as few as there ever are: so there are the most batches


def run(count: int = JOBS) -> dict[str, Figure]:
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=home, settle_seconds="0.05")
        studio = Studio.open(settings)
        try:
            return _measured(studio, count)
        finally:
            studio.database.close()
            embedded.stop(Path(home), force=True)


def _measured(studio: Studio, count: int) -> dict[str, Figure]:
    from dagster._core.test_utils import create_run_for_test

    from assets.partitions import PARTITION
    from dags import sensors
    from dags.run_requests import ATTEMPT_TAG

    _work_off(studio, count)
    small_uploads.put_jobs(studio.settings.inbox, range(count))
    first = _first_look(studio)
    with feature_house.instance(studio) as instance:

        def tick() -> dg.SensorResult:
            context = dg.build_sensor_context(instance=instance, resources={"studio": studio})
            found = sensors.inbox(context)
            assert isinstance(found, dg.SensorResult), found
            return found

        with studio.database.session() as session:
            keys = [batch.key for batch in batches.plan_batches(session, size=SMALL)]
        asked = _seconds(tick, 1)
        for key in keys:
            tags = {PARTITION: key, ATTEMPT_TAG: "1"}
            create_run_for_test(instance, job_name="batch", status=dg.DagsterRunStatus.STARTED, tags=tags)
        waiting = _seconds(tick, 5)
    told = _seconds(lambda: status.report(studio), 5)

    def listed() -> object:
        with studio.database.session() as session:
            return job_state.newest(session, None, None, 50)

    note = f"{count} folders and jobs, {len(keys)} batches"
    return {
        "first_look_tick_s": Figure(first, "s", at_most=10, note="the longest of the scans that took all folders in"),
        "tick_that_asks_s": Figure(asked, "s", at_most=10, note=f"{note}, each asked for in this one tick"),
        "tick_s": Figure(waiting, "s", at_most=10, note=f"{note}, each with its run under way"),
        "status_s": Figure(told, "s", at_most=2, note=note),
        "newest_50_jobs_ms": Figure(1000 * _seconds(listed, 5), "ms", at_most=300, note=note),
    }


def _first_look(studio: Studio) -> float:
    """Scans until every folder is taken; the longest scan, in seconds."""
    longest = 0.0
    while True:
        start = time.monotonic()
        report = scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
        longest = max(longest, time.monotonic() - start)
        print(f"first look: {report.summary()}", file=sys.stderr, flush=True)
        if not report.new and not report.waiting and not report.postponed:
            return longest


def _work_off(studio: Studio, count: int) -> None:
    """As many jobs again, long done, with the outcomes of their steps: what has been is not to weigh on what waits."""
    for first in range(0, count, 500):
        numbers = range(first, min(first + 500, count))
        with studio.database.session() as session:
            ids = jobs.add_first(session, [NewJob(f"done-{n:06d}", "c", "bench@example.com") for n in numbers])
            files = [NewUpload("song.mp3", "music", f"{n:064x}", 1000, (), f"media/{n}") for n in numbers]
            uploads.add_many(session, [(i, "bench@example.com", f) for i, f in zip(ids, files, strict=True)])
            made = [(i, kind, f.content_hash, "1") for i, f in zip(ids, files, strict=True) for kind in STEPS]
            items.record_all(session, [NewOutcome(*one, seconds=0.5) for one in made])
            jobs.save_folders(
                session, [SeenFolder(f"done-{n:06d}", "f", {}, i) for i, n in zip(ids, numbers, strict=True)]
            )
    with studio.database.session() as session:
        for batch in batches.plan_batches(session, clock.now(), 1000):
            batches.mark_finished(session, batch.key)


def _seconds(call: Callable[[], object], times: int) -> float:
    """The median."""
    found = []
    for _ in range(times):
        start = time.monotonic()
        call()
        found.append(time.monotonic() - start)
    return statistics.median(found)


if __name__ == "__main__":
    write("waiting", run(*(int(count) for count in sys.argv[1:2])))
