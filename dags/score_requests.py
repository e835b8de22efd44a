"""Which chunks of sheets need a run, and which sheets are ready to be written: by what the database says of them and
what Dagster knows of the runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

import dagster as dg
from sqlalchemy.orm import Session

from assets.partitions import FIRST, LAST, PARTITION, SHEET_TAG
from dags.run_requests import LOST_AFTER_SECONDS, next_attempt
from pipelines.scoring import chunks
from pipelines.scoring.chunks import Due

CHUNKS, SHEETS = "scoring_chunks", "scoring_sheets"  # jobs
PROVIDER_TAG = "orimono/provider"  # one run at a time asks a provider: each finds out by itself how much it takes
WRITTEN_TAG = "orimono/sheets_of"  # the batch whose sheets a run writes, and after how many tries of its chunks
CHUNK = re.compile(r"(\d+)-(\d{4,})")  # a partition: the sheet and the number
# Only the sensor retries: it knows how long a chunk is to wait.
ALONE = {"dagster/max_retries": "0"}
AHEAD = 3  # runs of a sheet that were asked for and have not ended; the rest is asked for when they have


def chunk_requests(
    instance: dg.DagsterInstance,
    session: Session,
    now: datetime,
    retries: int,
    lost_after: float = LOST_AFTER_SECONDS,
) -> Iterator[tuple[dg.RunRequest, list[str]]]:
    """Runs for chunks that were never asked for, whose wait is over, or whose run is gone; each with its partitions.

    A run that was asked for and is not there ``lost_after`` seconds later will not come.
    A chunk that failed runs alone: what ails it must not hold up others.
    """
    asked_for = chunks.under_way(session, now - timedelta(seconds=lost_after))
    runs = _runs(instance) if asked_for else []
    lost = [c for c in asked_for if not any(c.number in _numbers(run, c.score_job_id) for run in runs)]
    held = chunks.held(session, lost)  # by whatever run, though Dagster should know of none
    chunks.lose(session, [c.chunk_id for c in lost if c.id not in held], now, retries=retries)
    due = chunks.due(session, now)
    runs = _runs(instance) if due else []
    held = chunks.held(session, due)
    for sheet, theirs in groupby(due, key=lambda c: c.score_job_id):
        alive = [numbers for run in runs if (numbers := _numbers(run, sheet))]  # or waiting to try again by itself
        waiting = [c for c in theirs if c.id not in held and not any(c.number in numbers for numbers in alive)]
        for group in chunks.grouped(waiting)[: max(AHEAD - len(alive), 0)]:
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


def _runs(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """Those that have not ended."""
    ended = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    alive = [status for status in dg.DagsterRunStatus if status not in ended]
    return instance.get_runs(dg.RunsFilter(statuses=alive))


def _numbers(run: dg.DagsterRun, sheet: int) -> range:
    """Of the sheet's chunks that the run is for, whoever asked for it: a person's has no tag of the sheet."""
    one = run.tags.get(PARTITION, "")
    first, last = CHUNK.fullmatch(run.tags.get(FIRST, one)), CHUNK.fullmatch(run.tags.get(LAST, one))
    if first is None or last is None or not int(first[1]) <= sheet <= int(last[1]):
        return range(0)
    begin = int(first[2]) if int(first[1]) == sheet else 1
    return range(begin, int(last[2]) + 1 if int(last[1]) == sheet else sys.maxsize)
