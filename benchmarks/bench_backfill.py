"""What a partition of a backfill costs: a step that works and one that has nothing to do, over many batches through the
real daemon, beside runs of one batch each.

    python -m benchmarks.bench_backfill --partitions 1000
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy import func, select

from benchmarks.measure import Figure, write
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.storage.tables import ItemResult
from pipelines.studio import Studio
from resources import instance
from tests.assets import small_batches
from tests.dags.house import House, opened

PARTITIONS = 1000
WORKS, IDLE = "lyrics_features", "score_jobs"  # 20 and 50 batches a run; no job here has a sheet
APART = 10  # batches that are no neighbours, so a run each
_STATE = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
_COUNT = "query($path: [String!]!) { assetNodes(assetKeys: [{path: $path}]) { partitionStats { numMaterialized } } }"


def run(partitions: int = PARTITIONS) -> dict[str, Figure]:
    home = Path(tempfile.mkdtemp(prefix="orimono-bench-"))
    try:
        with _studio(home) as studio:
            keys = _batches(studio, partitions)
            with opened(home) as house:
                house.environment["ORIMONO_DAGSTER_URL"] = f"http://127.0.0.1:{house.port}"
                return _measured(house, studio, keys)
    finally:
        embedded.stop(home, force=True)
        shutil.rmtree(home, ignore_errors=True)


def _measured(house: House, studio: Studio, keys: Sequence[str]) -> dict[str, Figure]:
    n = len(keys)
    listing = _seconds(lambda: house.orimono("stale"))
    before = len(house.runs())
    apart = _backfill(house, IDLE, "--batches", ",".join(keys[1 : 2 * APART : 2]))
    assert len(house.runs()) - before == APART
    idle = _backfill(house, IDLE, "--all")
    works = _backfill(house, WORKS, "--stale")
    runs = len(house.runs()) - before - APART
    for step in (IDLE, WORKS):
        (node,) = house.ask(_COUNT, path=[step])["assetNodes"]
        assert node["partitionStats"]["numMaterialized"] == n, (step, node)
    assert house.orimono("stale")["steps"] == []
    with studio.database.session() as session:
        made = ItemResult.code_version != "an earlier one"
        work = session.execute(select(func.sum(ItemResult.seconds)).where(ItemResult.kind == WORKS, made)).scalar_one()
    note = f"{n} batches of one small job, wall clock from the command to the end of the last run"
    return {
        "partitions": Figure(n, "batches"),
        "runs": Figure(runs, "runs", note=f"of {WORKS} (20 batches a run) and {IDLE} (50 a run)"),
        "seconds_per_partition": Figure(works / n, "s", note=f"{WORKS}: {note}"),
        "work_per_partition": Figure(work / n, "s", note="of it in the step itself, as the items' rows say"),
        "overhead_per_partition": Figure((works - work) / n, "s", note="the rest: runs, checks, pictures, events"),
        "idle_seconds_per_partition": Figure(idle / n, "s", note=f"{IDLE}, nothing to do: {note}"),
        "one_run_each_seconds": Figure(apart / APART, "s", note=f"{IDLE}, {APART} batches with a run each"),
        "several_over_one_run_each": Figure(idle / n / (apart / APART), "x", at_most=0.2),
        "stale_seconds": Figure(listing, "s", note=f"`orimono stale` with {n} stale batches, a fresh process"),
    }


def _backfill(house: House, step: str, *which: str) -> float:
    began = time.monotonic()
    backfill = house.orimono("backfill", step, *which)["backfill"]
    status = "REQUESTED"
    while status in ("REQUESTED", "COMPLETING"):
        time.sleep(0.5)
        status = house.ask(_STATE, id=backfill)["partitionBackfillOrError"]["status"]
    assert status == "COMPLETED_SUCCESS", (step, status, house.log()[-6000:])
    seconds = time.monotonic() - began
    print(f"{step} {which[0]}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return seconds


def _batches(studio: Studio, count: int) -> list[str]:
    """Batches that have ended, known to Dagster, their words analysed by an older version."""
    began = time.monotonic()
    small_batches.fill(studio.settings.inbox, [f"job{number:05d}" for number in range(count)], seconds=1.0)
    keys = small_batches.plan(studio, count, deadline=3600.0)
    small_batches.finish(studio, keys)
    small_batches.left_by_older_code(studio, keys, WORKS)
    os.environ.update(instance.prepare(studio.settings, studio.database))
    with dg.DagsterInstance.get() as dagster:
        dagster.add_dynamic_partitions("batches", keys)
    print(f"{count} batches after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return keys


@contextmanager
def _studio(home: Path) -> Iterator[Studio]:
    studio = Studio.open(Settings(home=str(home), settle_seconds="0.05"))
    try:
        yield studio
    finally:
        studio.database.close()


def _seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=PARTITIONS)
    write("backfill", run(parser.parse_args().partitions))
