"""Dagster's own records on a real PostgreSQL: what is old and needed by nothing goes, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._core.storage.runs.schema import BulkActionsTable, RunsTable
from dagster._core.storage.schedules.schema import JobTickTable
from dagster._core.test_utils import create_run_for_test

from assets import run_history, upkeep, upkeep_checks
from assets.partitions import PARTITION
from assets.partitions import batches as batch_partitions
from assets.wiping import event_log, run_log
from pipelines.intake import batches
from pipelines.settings import Settings
from pipelines.storage.database import Database
from pipelines.storage.tables import BatchRow
from pipelines.studio import Studio
from resources import instance as instances

NOW = datetime.now(UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def instance(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Dagster's, as the product sets it up, in a home of its own; empty, whatever tests of its database left."""
    for name, value in instances.prepare(settings, database).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as found:
        wipe(found)
        yield found
        wipe(found)


def wipe(instance: dg.DagsterInstance) -> None:
    instance.wipe()
    instance.schedule_storage.wipe()  # type: ignore[union-attr]
    with event_log(instance).index_connection() as connection:
        connection.execute(sa.text("truncate dynamic_partitions, asset_check_executions"))
    with run_log(instance).connect() as connection:
        connection.execute(sa.text("truncate bulk_actions, backfill_tags"))


@dg.asset(partitions_def=batch_partitions)
def of_batches() -> None: ...


@dg.asset
def plain() -> None: ...


@dg.asset_check(asset=plain)
def fine() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def make(instance: dg.DagsterInstance, partition: str | None = None) -> str:
    if partition is None:
        return dg.materialize([plain, fine], instance=instance).run_id
    return dg.materialize([of_batches], instance=instance, partition_key=partition).run_id


def age(instance: dg.DagsterInstance, *but: str) -> None:
    """All runs but these ended long ago."""
    with run_log(instance).connect() as connection:
        old = sa.update(RunsTable).where(RunsTable.c.run_id.not_in(but))
        moment = LONG_AGO.replace(tzinfo=None)
        connection.execute(old.values(update_timestamp=moment, create_timestamp=moment))


def known(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_what_made_the_present_stays(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("batches", ["20260101-0001", "20260101-0002"])
    first = [make(instance, "20260101-0001"), make(instance, "20260101-0002"), make(instance)]
    second = [make(instance, "20260101-0001"), make(instance, "20260101-0002"), make(instance)]
    age(instance)
    before = NOW - timedelta(days=30)
    assert run_history.overdue(instance, before, set()) == 3
    done = run_history.prune(instance, before, set())
    assert (done.runs, done.kept, done.left) == (3, 3, 0)
    assert known(instance) == set(second)
    assert run_history.overdue(instance, before, set()) == 0
    for run_id in first:
        assert instance.all_logs(run_id) == []
    assert instance.get_materialized_partitions(of_batches.key) == {"20260101-0001", "20260101-0002"}
    newest = instance.get_latest_materialization_event(plain.key)
    assert newest is not None
    assert newest.run_id == second[-1]
    # A partition that was pruned needs no run any more.
    assert run_history.prune_partitions(instance, {"20260101-0001"}, set()) == 1
    assert instance.get_dynamic_partitions("batches") == ["20260101-0002"]
    make(instance, "20260101-0002")  # else it were the last of its job
    age(instance)
    run_history.prune(instance, before, set())
    assert second[0] not in known(instance)
    assert second[2] in known(instance)


def test_what_is_asked_for_again_by_its_runs_stays(instance: dg.DagsterInstance) -> None:
    failed, done, started = (dg.DagsterRunStatus[s] for s in ("FAILURE", "SUCCESS", "STARTED"))

    def run(tags: dict[str, str], status: dg.DagsterRunStatus = failed) -> str:
        return create_run_for_test(instance, job_name="batch", status=status, tags=tags).run_id

    under_way = run({PARTITION: "20260101-0003", "orimono/attempt": "1"})
    going_on = run({}, started)
    ended = [run({PARTITION: "20260101-0001"}), run({"orimono/labels": "preset_cls:100"}), run({}, done)]
    counted = [run({"orimono/labels": "preset_cls:200"}) for _ in range(2)]
    scheduled = run({"dagster/schedule_name": "weekly_retraining"}, done)
    of_backfill = create_run_for_test(instance, job_name="batch", status=done, tags={"dagster/backfill": "b"}).run_id
    with run_log(instance).connect() as connection:
        connection.execute(sa.update(RunsTable).where(RunsTable.c.run_id == of_backfill).values(backfill_id="b"))
    add_backfill(instance, "b", BulkActionStatus.REQUESTED)
    add_backfill(instance, "over", BulkActionStatus.COMPLETED_SUCCESS)
    last = [run({}, failed), run({}, done)]  # of the job and each way to end
    age(instance, counted[1])
    gone = run_history.prune(instance, NOW - timedelta(days=30), {"20260101-0003"})
    assert known(instance) == {under_way, going_on, *counted, scheduled, of_backfill, *last}
    assert gone.runs == len(ended)
    assert gone.backfills == 1
    assert [b.backfill_id for b in instance.get_backfills()] == ["b"]


def add_backfill(instance: dg.DagsterInstance, name: str, status: BulkActionStatus) -> None:
    instance.add_backfill(
        PartitionBackfill(
            backfill_id=name,
            status=status,
            from_failure=False,
            tags={},
            backfill_timestamp=LONG_AGO.timestamp(),
        )
    )
    with run_log(instance).connect() as connection:
        moment = LONG_AGO.replace(tzinfo=None)
        connection.execute(sa.update(BulkActionsTable).where(BulkActionsTable.c.key == name).values(timestamp=moment))


def test_ticks_and_logs_of_long_ago(instance: dg.DagsterInstance) -> None:
    for origin in ("inbox", "nightly"):
        for day in range(3):
            told = TickData(
                instigator_origin_id=origin,
                instigator_name=origin,
                instigator_type=InstigatorType.SENSOR,
                status=TickStatus.SUCCESS,
                timestamp=(LONG_AGO + timedelta(days=day)).timestamp(),
                selector_id=origin,
                run_ids=[],
            )
            instance.create_tick(told)
    root = Path(instance.storage_directory())
    mine, others = root / make(instance), root / str(uuid.uuid4())
    for folder in (mine, others):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "out").write_text("printed")
    moment = datetime.now(UTC) + timedelta(seconds=5)
    done = run_history.prune(instance, moment, set())
    assert (done.ticks, done.logs) == (4, 1)
    assert mine.is_dir()
    assert not others.exists()
    schedule_storage = instance.schedule_storage
    with schedule_storage.connect() as connection:  # type: ignore[union-attr]
        left = connection.execute(sa.select(JobTickTable.c.job_origin_id)).scalars().all()
    assert sorted(left) == ["inbox", "nightly"]


def test_the_nightly_run_does_all_of_it(instance: dg.DagsterInstance, studio: Studio, tmp_path: Path) -> None:
    studio = replace(studio, settings=replace(studio.settings, backup_folder=str(tmp_path / "backups")))
    with studio.database.session() as session:
        old = LONG_AGO - timedelta(days=1)
        session.add(BatchRow(key="20260101-0001", status="finished", created_at=old, finished_at=old))
        session.add(BatchRow(key="20260101-0002", status="requested", created_at=old))
    instance.add_dynamic_partitions("batches", ["20260101-0001", "20260101-0002"])
    before = make(instance)
    again = make(instance)
    age(instance)
    assets = [upkeep.run_history, upkeep.object_garbage, upkeep.database_upkeep, upkeep.house_backup]
    done = dg.materialize(
        [*assets, *upkeep_checks.upkeep_checks()], instance=instance, resources={"studio": studio}, raise_on_error=True
    )
    checks = done.get_asset_check_evaluations()
    assert {c.check_name: c.passed for c in checks} == {
        "bounded": True,
        "nothing_missing": True,
        "not_bloated": True,
        "restorable": True,
    }
    assert instance.get_dynamic_partitions("batches") == ["20260101-0002"]
    assert before not in known(instance)
    assert again in known(instance)
    assert len([p for p in (tmp_path / "backups").iterdir() if p.name.endswith("Z")]) == 1
    with studio.database.session() as session:
        assert batches.listed(session, "requested")[0].key == "20260101-0002"


def test_a_backup_that_cannot_be_restored_is_an_alarm(
    instance: dg.DagsterInstance, studio: Studio, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    studio = replace(studio, settings=replace(studio.settings, backup_folder=str(tmp_path / "backups")))
    (check,) = (c for c in upkeep_checks.upkeep_checks() if {k.name for k in c.check_keys} == {"restorable"})
    only = dg.AssetSelection.checks(check)
    for _ in range(2):
        dg.materialize([check], instance=instance, resources={"studio": studio}, selection=only)
    told = [r.message.rpartition(" - ")[2] for r in caplog.records if r.name == "pipelines.notifier"]  # after its run
    assert told == [f"A check failed: restorable: {tmp_path / 'backups'} holds no finished backup"]
