"""Dagster's own records kept small: runs with their events and logs, ticks, backfills, partitions of long ago.

What may go is decided here by what Dagster keeps; which batches still need their runs, storage/partitions.py tells. Not
loaded with the code location, since it needs the database's library.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.runs.schema import BackfillTagsTable, BulkActionsTable, RunsTable, RunTagsTable
from dagster._core.storage.schedules.schema import JobTickTable
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage

from assets.partitions import PARTITION, batches, chunks
from assets.runs import SCHEDULE_TAG
from assets.wiping import delete, event_log, run_log

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
# Runs with the same value of these are counted when the next one is asked for: all of them go, or none.
COUNTED = ("orimono/labels", "orimono/sheets_of")
MOST_SECONDS = 900.0  # of deleting in one run; the rest is left to the next night
UNDER_WAY = ("REQUESTED", "CANCELING", "FAILING")  # states of a backfill
RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Pruned:
    """``kept``: ended runs from before the moment that something still needs."""

    runs: int
    kept: int
    left: int  # to the next night
    ticks: int
    backfills: int
    partitions: int
    logs: int  # folders of runs that are gone


def prune(instance: dg.DagsterInstance, before: datetime, under_way: Collection[str]) -> Pruned:
    """Deletes ended runs from before that moment, but for those that something needs, then what hung on them.
    ``under_way``: batches whose runs say what becomes of them. Cut off anywhere, the next call goes on."""
    old = _ended(instance, before)
    needed = _needed(instance, under_way) | _counted(instance, set(old))
    doomed = [run_id for run_id in old if run_id not in needed]
    end, gone = time.monotonic() + MOST_SECONDS, 0
    for run_id in doomed:
        if time.monotonic() > end:
            break
        delete(instance, run_id)
        gone += 1
    return Pruned(
        runs=gone,
        kept=len(old) - len(doomed),
        left=len(doomed) - gone,
        ticks=_drop_ticks(instance, before),
        backfills=_drop_backfills(instance, before),
        partitions=0,
        logs=_drop_logs(instance, before),
    )


def prune_partitions(
    instance: dg.DagsterInstance, pruned_batches: Collection[str], living_chunks: Collection[str]
) -> int:
    """Deletes partitions of batches that were pruned, and of chunks without a living row; how many."""
    known = _partitions(instance, batches.name) & set(pruned_batches)
    stale = _partitions(instance, chunks.name) - set(living_chunks)
    for name, keys in ((batches.name, known), (chunks.name, stale)):
        for key in sorted(keys):
            instance.delete_dynamic_partition(str(name), key)
    return len(known) + len(stale)


def overdue(instance: dg.DagsterInstance, before: datetime, under_way: Collection[str]) -> int:
    """Runs that ``prune`` would delete."""
    old = _ended(instance, before)
    return len(set(old) - _needed(instance, under_way) - _counted(instance, set(old)))


def _ended(instance: dg.DagsterInstance, before: datetime) -> list[str]:
    """Ids, oldest first."""
    runs = RunsTable.c
    query = sa.select(runs.run_id).where(
        runs.status.in_([status.value for status in ENDED]), runs.update_timestamp < before.replace(tzinfo=None)
    )
    with run_log(instance).connect() as connection:
        return list(connection.execute(query.order_by(runs.id)).scalars())


def _needed(instance: dg.DagsterInstance, under_way: Collection[str]) -> set[str]:
    """Runs that made what an asset (each partition of it, where that is kept) is now, or checked it last; the last of
    each job and schedule; those of batches and backfills that are under way."""
    events, checks, runs, tags = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c, RunsTable.c, RunTagsTable.c
    living = {*_partitions(instance, batches.name), *_partitions(instance, chunks.name), None}
    with event_log(instance).index_connection() as connection:
        newest = sa.select(sa.func.max(events.id)).where(events.dagster_event_type == "ASSET_MATERIALIZATION")
        newest = newest.where(events.asset_key.is_not(None)).group_by(events.asset_key, events.partition)
        made = connection.execute(sa.select(events.run_id, events.partition).where(events.id.in_(newest)))
        found = {run_id for run_id, partition in made if partition in living}
        last = sa.select(sa.func.max(checks.id)).group_by(checks.asset_key, checks.check_name, checks.partition)
        checked = connection.execute(sa.select(checks.run_id, checks.partition).where(checks.id.in_(last)))
        found |= {run_id for run_id, partition in checked if partition in living}
    with run_log(instance).connect() as connection:
        of_jobs = sa.select(sa.func.max(runs.id)).group_by(runs.pipeline_name, runs.status)
        found |= set(connection.execute(sa.select(runs.run_id).where(runs.id.in_(of_jobs))).scalars())
        scheduled = sa.select(sa.func.max(runs.id)).join(RunTagsTable, tags.run_id == runs.run_id)
        scheduled = scheduled.where(tags.key == SCHEDULE_TAG).group_by(tags.value, runs.status)
        found |= set(connection.execute(sa.select(runs.run_id).where(runs.id.in_(scheduled))).scalars())
        theirs = sa.select(tags.run_id, tags.value).where(tags.key == PARTITION)
        found |= {run_id for run_id, key in connection.execute(theirs) if key in under_way}
        open_ones = sa.select(BulkActionsTable.c.key).where(BulkActionsTable.c.status.in_(UNDER_WAY))
        found |= set(connection.execute(sa.select(runs.run_id).where(runs.backfill_id.in_(open_ones))).scalars())
    return found


def _counted(instance: dg.DagsterInstance, old: set[str]) -> set[str]:
    """Of runs that are counted by a tag's value those of values that have a run which is not old."""
    tags = RunTagsTable.c
    with run_log(instance).connect() as connection:
        query = sa.select(tags.key, tags.value, tags.run_id).where(tags.key.in_(COUNTED))
        groups: dict[tuple[str, str], set[str]] = {}
        for key, value, run_id in connection.execute(query):
            groups.setdefault((key, value), set()).add(run_id)
    return set().union(*(runs for runs in groups.values() if not runs <= old))


def _partitions(instance: dg.DagsterInstance, name: str | None) -> set[str]:
    if name is None:
        raise TypeError("the partitions have no name")
    return set(instance.get_dynamic_partitions(name))


def _drop_ticks(instance: dg.DagsterInstance, before: datetime) -> int:
    """But for the last of each schedule and sensor, which says where it is."""
    storage, ticks = instance.schedule_storage, JobTickTable.c
    if not isinstance(storage, SqlScheduleStorage):
        raise TypeError(f"Dagster keeps its ticks in a {type(storage).__name__}, not in a database")
    last = sa.select(sa.func.max(ticks.id)).group_by(ticks.job_origin_id)
    gone = sa.delete(JobTickTable).where(ticks.timestamp < before.replace(tzinfo=None), ticks.id.not_in(last))
    with storage.connect() as connection:
        return int(connection.execute(gone).rowcount)


def _drop_backfills(instance: dg.DagsterInstance, before: datetime) -> int:
    """Those that have ended, and of which no run is left."""
    actions = BulkActionsTable.c
    with run_log(instance).connect() as connection:
        runs = sa.select(RunsTable.c.backfill_id).where(RunsTable.c.backfill_id.is_not(None))
        over = (actions.status.not_in(UNDER_WAY), actions.timestamp < before.replace(tzinfo=None))
        keys = connection.execute(sa.select(actions.key).where(*over, actions.key.not_in(runs))).scalars().all()
        connection.execute(sa.delete(BackfillTagsTable).where(BackfillTagsTable.c.backfill_id.in_(keys)))
        connection.execute(sa.delete(BulkActionsTable).where(actions.key.in_(keys)))
    return len(keys)


def _drop_logs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Folders with what steps printed, of runs that Dagster does not know any more."""
    root = Path(instance.storage_directory())
    folders = [p for p in root.iterdir() if RUN.fullmatch(p.name) and p.is_dir()] if root.is_dir() else []
    old = {p.name: p for p in folders if p.stat().st_mtime < before.timestamp()}
    if not old:
        return 0
    with run_log(instance).connect() as connection:
        known = set(connection.execute(sa.select(RunsTable.c.run_id).where(RunsTable.c.run_id.in_(old))).scalars())
    for name in old.keys() - known:
        shutil.rmtree(old[name], ignore_errors=True)
    return len(old.keys() - known)
