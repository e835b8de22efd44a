"""What orchestration costs: small uploads through sensor, batches and features beside the same work done directly.

`python -m benchmarks.bench_orchestration 1000 10000` (sizes in uploads) prints its progress and writes the results.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import func, select

from benchmarks import feature_house, small_uploads
from benchmarks.measure import Figure, write
from benchmarks.small_uploads import UPLOADS_OF_A_JOB
from pipelines import items
from pipelines.editing import steps
from pipelines.intake import content
from pipelines.items import Item, Produced
from pipelines.media.files import MediaFile
from pipelines.media.hashing import content_hash
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.storage.cache import Cache
from pipelines.storage.tables import BatchRow, ItemResult, Job
from pipelines.studio import Studio

SIZES = (1000, 10_000)  # uploads
DIRECT = 400  # uploads whose work is done directly, for comparison
LOOK_SECONDS = 2.0
MOST_SECONDS = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one upload, in seconds: by the clock, and of processors."""

    wall: float
    cpu: float


def run(sizes: Sequence[int] = SIZES) -> dict[str, Figure]:
    direct = work(DIRECT)
    told(f"the work alone: {1000 * direct.wall:.1f} ms an upload ({1000 * direct.cpu:.1f} ms of processors)")
    costs = {size: through(size) for size in sizes}
    figures = {
        "work_ms_an_upload": Figure(1000 * direct.wall, "ms", note="hashed, checked, stored, analysed; all cores"),
        "work_cpu_ms_an_upload": Figure(1000 * direct.cpu, "ms"),
    }
    for size, cost in costs.items():
        most = 20.0 if size == max(sizes) else None
        figures |= {
            f"ms_an_upload_of_{size}": Figure(1000 * cost.wall, "ms", note="from the last file's arrival on"),
            f"overhead_of_{size}": Figure(100 * (cost.wall / direct.wall - 1), "%", at_most=most, note="by the clock"),
            f"cpu_overhead_of_{size}": Figure(100 * (cost.cpu / direct.cpu - 1), "%", note="of processors"),
        }
    if len(sizes) > 1:
        growth = costs[max(sizes)].wall / costs[min(sizes)].wall
        figures["cost_an_upload_largest_over_smallest"] = Figure(growth, "x", at_most=1.1)
    return figures


def work(uploads: int) -> Cost:
    """What the house does for each upload but to know of it: a loop over all cores, nothing written down."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=home)
        jobs = range(uploads // UPLOADS_OF_A_JOB)
        small_uploads.put_jobs(settings.inbox, jobs)
        paths = sorted(settings.inbox.glob("take-*/*.mp[34]"))
        warm, rest = paths[:16], paths[16:]
        items.run(settings, [Item(str(p), str(p), p) for p in warm], alone)  # the workers' imports
        before, start = _processors(os.getpid()), time.monotonic()
        results = items.run(settings, [Item(str(p), str(p), p) for p in rest], alone)
        wall, cpu = time.monotonic() - start, _processors(os.getpid()) - before
        assert all(result.error is None for result in results)
        return Cost(wall / len(rest), cpu / len(rest))


def alone(settings: Settings, cache: Cache, path: Path) -> Produced:
    kind = "music" if path.suffix == ".mp3" else "clip"
    digest = content_hash(path)
    content.check(path, kind, settings)
    key = cache.objects.put_hashed(path, digest)
    file = MediaFile(cache.objects.local(key), digest, path.name, ())
    if kind == "music":
        return steps.analyse_music(settings, cache, steps.Song(file, None))
    return steps.analyse_clip(settings, cache, file)


def through(uploads: int) -> Cost:
    """So many uploads dropped into the inbox of a house that runs; until the last batch has ended."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Settings(home=folder)
        studio = Studio.open(settings)
        jobs = uploads // UPLOADS_OF_A_JOB
        try:
            with feature_house.opened(home, "dagster-daemon", "run"):
                small_uploads.put_jobs(settings.inbox, range(1_000_000, 1_000_001))  # the house is awake
                for state in _until(studio, 1, 1800):
                    told(f"the house wakes: {state}")
                aside = home / "aside"
                small_uploads.put_jobs(aside, range(jobs))
                meter = Meter(folder)
                before, start = meter.read(), time.monotonic()
                for job in sorted(aside.iterdir()):
                    job.rename(settings.inbox / job.name)
                for state in _until(studio, jobs + 1, MOST_SECONDS):
                    meter.read()
                    told(f"{uploads} uploads, {time.monotonic() - start:5.0f} s: {state}")
                wall, cpu = time.monotonic() - start, meter.read() - before
        finally:
            studio.database.close()
            embedded.stop(home, force=True)
    return Cost(wall / uploads, cpu / uploads)


def _until(studio: Studio, jobs: int, seconds: float) -> Iterator[str]:
    """Yields how far it is, until so many jobs are in batches that have finished, with all their items."""
    end, told_at = time.monotonic() + seconds, 0.0
    while True:
        with studio.database.session() as session:
            taken = session.execute(select(func.count(Job.id))).scalar_one()
            batches = dict(session.execute(select(BatchRow.status, func.count()).group_by(BatchRow.status)).all())
            done = select(func.count(Job.id)).join(BatchRow).where(BatchRow.status == "finished")
            finished = session.execute(done).scalar_one()
            good = select(func.count(ItemResult.id)).where(ItemResult.status == "ok")
            good_items = session.execute(good).scalar_one()
        if batches.get("failed"):
            raise RuntimeError(f"batches failed: {batches}")
        if finished >= jobs:
            assert good_items == UPLOADS_OF_A_JOB * jobs, good_items
            return
        assert time.monotonic() < end, f"{finished} of {jobs} jobs after {seconds} s"
        if time.monotonic() - told_at > 5 * LOOK_SECONDS:
            told_at = time.monotonic()
            yield f"{taken - 1} jobs taken, {good_items} items, batches {batches}"
        time.sleep(LOOK_SECONDS)


class Meter:
    """Processor seconds of every process of one home, those that have ended with them."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._seen: dict[tuple[int, float], float] = {}
        self._others: set[tuple[int, float]] = set()

    def read(self) -> float:
        for process in psutil.process_iter():
            try:
                key = (process.pid, process.create_time())
                if key in self._others:
                    continue
                if key not in self._seen and not self._ours(process):
                    self._others.add(key)
                    continue
                times = process.cpu_times()
                self._seen[key] = times.user + times.system
            except psutil.Error:
                continue
        return sum(self._seen.values())

    def _ours(self, process: psutil.Process) -> bool:
        named = any(self._home in word for word in process.cmdline())
        return named or process.environ().get("ORIMONO_HOME") == self._home


def _processors(pid: int) -> float:
    """CPU seconds of a process and its children."""
    process = psutil.Process(pid)
    return sum(p.cpu_times().user + p.cpu_times().system for p in [process, *process.children(recursive=True)])


def told(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    write("orchestration", run([int(size) for size in sys.argv[1:]] or SIZES))
