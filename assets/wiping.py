"""Deletes Dagster's own records of what people took back; of which runs, pipelines/governance/records.py tells.

Not loaded with the code location, since it needs the database's library.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.schema import RunTagsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from assets.partitions import FIRST, LAST, PARTITION, SHEET_TAG, chunks
from assets.runs import CADENCE_TAG, SCHEDULE_TAG

# What tells of single items, and the cadences that run it.
LOOKS = ("withdrawals", "retention", "batch_health")
BATCH = re.compile(r"\d{8}-\d{4,}")  # a partition of batches, and none of a sheet's chunks: those have a smaller number
LOOKING = ("daily_health", "hourly_retention")


def wipe(
    instance: dg.DagsterInstance, batches: dict[str, datetime], sheets: dict[str, datetime], until: datetime | None
) -> int:
    """Deletes the ended runs of these batches and sheets from before their moment, and all looks at what is left undone
    or has expired from before ``until``: their logs hold pictures, names and hashes of people's files. Also the sheets'
    partitions. Those that are gone already are no matter."""
    if until is None:
        return 0
    doomed = [dg.RunsFilter(tags={PARTITION: key}, created_before=t) for key, t in batches.items()]
    doomed += [dg.RunsFilter(run_ids=[run], created_before=t) for run, t in _over_batches(instance, batches).items()]
    for sheet, moment in sheets.items():
        if theirs := _of_sheet(instance, sheet):
            doomed.append(dg.RunsFilter(run_ids=theirs, created_before=moment))
    for tag in (SCHEDULE_TAG, CADENCE_TAG):  # Airflow's runs have no schedule
        doomed.append(dg.RunsFilter(tags={tag: list(LOOKING)}, created_before=until))
    by_hand = _runs_of(instance, LOOKS, until)
    if by_hand:
        doomed.append(dg.RunsFilter(run_ids=by_hand, created_before=until))
    runs = {r.dagster_run.run_id: r.dagster_run for wanted in doomed for r in instance.get_run_records(wanted)}
    ended = [run_id for run_id, run in runs.items() if run.is_finished]
    for run_id in ended:
        delete(instance, run_id)
    _forget_partitions(instance, sheets)
    return len(ended)


def delete(instance: dg.DagsterInstance, run_id: str) -> None:
    """An ended run with its logs and events, and the copies of them that Dagster keeps."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    _forget_events(instance, run_id)
    instance.delete_run(run_id)  # last, so that a run whose wiping was cut off is found again


def _over_batches(instance: dg.DagsterInstance, batches: dict[str, datetime]) -> dict[str, datetime]:
    """Runs of backfills over several batches, one of them among these -> the latest of their moments. With such a run
    goes what Dagster knows of the other batches in it; the results of those are the house's own, and stay."""
    tags = RunTagsTable.c
    with run_log(instance).connect() as connection:
        query = sqlalchemy.select(tags.run_id, tags.key, tags.value).where(tags.key.in_((FIRST, LAST)))
        rows = connection.execute(query).all() if batches else []
    ends: dict[str, dict[str, str]] = {}
    for run, tag, value in rows:
        if BATCH.fullmatch(value):
            ends.setdefault(run, {})[tag] = value
    found: dict[str, datetime] = {}
    for run, span in ends.items():
        first, last = span.get(FIRST, ""), span.get(LAST, "")
        moments = [t for key, t in batches.items() if _place(first) <= _place(key) <= _place(last)]
        if moments:
            found[run] = max(moments)
    return found


def _place(key: str) -> tuple[str, int]:
    """Where a batch lies among others: after those of the days before, by its number."""
    day, _, number = key.partition("-")
    return day, int(number or 0)


def _of_sheet(instance: dg.DagsterInstance, sheet: str) -> list[str]:
    """Runs that the sensor started, which are tagged with the sheet; those that a person started for chunks of it; and
    those over chunks of several sheets, which tell of it only by what they made."""
    tags, events = RunTagsTable.c, SqlEventLogStorageTable.c
    named = tags.key.in_((PARTITION, FIRST, LAST)) & tags.value.startswith(f"{sheet}-", autoescape=True)
    with run_log(instance).connect() as connection:
        query = sqlalchemy.select(tags.run_id).where(named | ((tags.key == SHEET_TAG) & (tags.value == sheet)))
        found = set(connection.execute(query).scalars())
    made = events.partition.startswith(f"{sheet}-", autoescape=True) & events.asset_key.is_not(None)
    with event_log(instance).index_connection() as connection:
        found.update(connection.execute(sqlalchemy.select(events.run_id).where(made).distinct()).scalars())
    return sorted(found)


def _forget_partitions(instance: dg.DagsterInstance, sheets: Collection[str]) -> None:
    """The rows of their chunks are gone, so nothing else would ever name them."""
    name = chunks.name
    if name is None:
        raise TypeError("the partitions of chunks have no name")
    for partition in instance.get_dynamic_partitions(name) if sheets else ():
        if partition.rpartition("-")[0] in sheets:
            instance.delete_dynamic_partition(name, partition)


def _runs_of(instance: dg.DagsterInstance, assets: Sequence[str], until: datetime) -> list[str]:
    """Whoever started them."""
    events = SqlEventLogStorageTable.c
    wanted = events.asset_key.in_([dg.AssetKey(name).to_string() for name in assets])
    with event_log(instance).index_connection() as connection:
        query = sqlalchemy.select(events.run_id).where(wanted, events.timestamp <= until.replace(tzinfo=None))
        return list(connection.execute(query.distinct()).scalars())


def _forget_events(instance: dg.DagsterInstance, run_id: str) -> None:
    """The copies that Dagster itself leaves behind when it deletes a run: sentences of checks, and with each asset its
    last materialization. Without it, Dagster looks for the newest that is left."""
    storage, checks, assets = event_log(instance), AssetCheckExecutionsTable, AssetKeyTable
    storage.delete_events(run_id)
    with storage.index_connection() as connection:
        connection.execute(checks.delete().where(checks.c.run_id == run_id))
        copied = assets.c.last_materialization.contains(run_id)  # the column of the run's id may name a later run
        connection.execute(assets.update().where(copied).values(last_materialization=None))


def event_log(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"Dagster keeps its events in a {type(storage).__name__}, not in a database")
    return storage


def run_log(instance: dg.DagsterInstance) -> SqlRunStorage:
    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        raise TypeError(f"Dagster keeps its runs in a {type(storage).__name__}, not in a database")
    return storage
