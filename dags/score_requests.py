"""Which chunks of sheets need a run, and which sheets are ready to be written: by what the database says of them and
what Dagster knows of the runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import dagster as dg
from sqlalchemy.orm import Session

from assets.partitions import SHEET_TAG
from dags.run_requests import LOST_AFTER_SECONDS, next_attempt
from pipelines.scoring import chunks
from pipelines.scoring.chunks import Due

CHUNKS, SHEETS = "scoring_chunks", "scoring_sheets"  # jobs
PROVIDER_TAG = "orimono/provider"  # one run at a time asks a provider: each finds out by itself how much it takes
WRITTEN_TAG = "orimono/sheets_of"  # the batch whose sheets a run writes, and after how many tries of its chunks
PARTITION, FIRST, LAST = (
    "dagster/partition",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)
# Only the sensor retries: it knows how long a chunk is to wait.
ALONE = {"dagster/max_retries": "0"}
AHEAD = 3  # runs of a sheet that were asked for and have not ended; the rest is asked for when they have


def chunk_requests(
    instance: dg.DagsterInstance, session: Session, now: datetime, retries: int
) -> Iterator[tuple[dg.RunRequest, list[str]]]:
    """Runs for chunks that were never asked for, whose wait is over, or whose run is gone; each with its partitions.

    A chunk that failed runs alone: what ails it must not hold up others.
    """
    asked_for = chunks.under_way(session, now - timedelta(seconds=LOST_AFTER_SECONDS))
    for sheet, theirs in groupby(asked_for, key=lambda c: c.score_job_id):
        alive = {number for run in _runs(instance, sheet) for number in _numbers(run)}
        chunks.lose(session, [c.chunk_id for c in theirs if c.number not in alive], now, retries=retries)
    for sheet, due in groupby(chunks.due(session, now), key=lambda c: c.score_job_id):
        runs = _runs(instance, sheet)
        alive = {number for run in runs for number in _numbers(run)}  # it may be waiting to try again by itself
        waiting = [c for c in due if c.number not in alive]
        for group in chunks.grouped(waiting)[: max(AHEAD - len(runs), 0)]:
            ids = [c.chunk_id for c in group]
            chunks.request(session, ids, now)
            yield _request(group), ids


def sheet_requests(instance: dg.DagsterInstance, session: Session) -> Iterator[dg.RunRequest]:
    """Runs that write the sheets of batches in which every chunk has ended since they were last written."""
    for batch, state in chunks.unwritten(session).items():
        if (attempt := next_attempt(instance, WRITTEN_TAG, state)) is not None:
            tags = {WRITTEN_TAG: state, **ALONE}
            yield dg.RunRequest(f"sheets {state} {attempt}", partition_key=batch, tags=tags, job_name=SHEETS)


def _request(group: Sequence[Due]) -> dg.RunRequest:
    first, last = group[0], group[-1]
    tags = {SHEET_TAG: str(first.score_job_id), PROVIDER_TAG: first.provider, **ALONE}
    key = f"{first.chunk_id}:{len(group)}:{first.attempts + 1}"  # a run key is remembered for ever
    if len(group) == 1:
        return dg.RunRequest(key, partition_key=first.chunk_id, tags=tags, job_name=CHUNKS)
    return dg.RunRequest(key, tags={**tags, FIRST: first.chunk_id, LAST: last.chunk_id}, job_name=CHUNKS)


def _runs(instance: dg.DagsterInstance, sheet: int) -> Sequence[dg.DagsterRun]:
    """Those that have not ended."""
    ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    alive = [status for status in dg.DagsterRunStatus if status not in ended]
    return instance.get_runs(dg.RunsFilter(tags={SHEET_TAG: str(sheet)}, statuses=alive))


def _numbers(run: dg.DagsterRun) -> range:
    """Of the chunks that the run is for."""
    one = run.tags.get(PARTITION, "")
    first, last = run.tags.get(FIRST, one), run.tags.get(LAST, one)
    return range(_number(first), _number(last) + 1) if first and last else range(0)


def _number(chunk_id: str) -> int:
    return int(chunk_id.rpartition("-")[2])
