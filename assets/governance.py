"""Governance assets: what is deleted and when, how full the store is, whether the audit trail is whole. The rules are
pipelines/governance's."""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg
import sqlalchemy
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from assets.presentation import cell
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

GROUP = "governance"
OWNERS = ["team:studio"]
# What tells of single items, and the schedules that run it.
LOOKS = ("withdrawals", "retention", "batch_health")
LOOKING = ("daily_health", "hourly_retention")


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="Deletes everything of the people who withdrew their consent, within 24 hours, and looks again that "
    "nothing "
    "is left: database, object store, caches, results, and this UI's own records of the batches.",
)
def withdrawals(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.governance import records, withdrawal

    with failures_told_apart():
        reports = withdrawal.carry_out(studio)
        wiped = _wipe(context.instance, records.named_batches(studio), records.last_completed(studio))
    return dg.MaterializeResult(
        metadata={
            "completed": sum(r.done for r in reports),
            "unfinished": sum(not r.done for r in reports),
            "overdue": sum(r.overdue for r in reports),
            "runs_wiped": wiped,
            "reports": dg.MetadataValue.md(
                "\n".join(f"- user {r.person}: {cell(r.waiting or f'all deleted: {r.summary}')}" for r in reports)
                or "none was asked for"
            ),
        }
    )


def _wipe(instance: dg.DagsterInstance, batches: dict[str, datetime], until: datetime | None) -> int:
    """Deletes the ended runs of these batches from before their moment, and all looks at what is left undone or has
    expired from before ``until``: their logs hold pictures, names and hashes of people's files. Those that are gone
    already are no matter."""
    if until is None:
        return 0
    doomed = [dg.RunsFilter(tags={"dagster/partition": key}, created_before=t) for key, t in batches.items()]
    doomed.append(dg.RunsFilter(tags={"dagster/schedule_name": list(LOOKING)}, created_before=until))
    by_hand = _runs_of(instance, LOOKS, until)
    if by_hand:
        doomed.append(dg.RunsFilter(run_ids=by_hand, created_before=until))
    runs = {r.dagster_run.run_id: r.dagster_run for wanted in doomed for r in instance.get_run_records(wanted)}
    ended = [run_id for run_id, run in runs.items() if run.is_finished]
    for run_id in ended:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        _forget_events(instance, run_id)
        instance.delete_run(run_id)  # last, so that a run whose wiping was cut off is found again
    return len(ended)


def _runs_of(instance: dg.DagsterInstance, assets: Sequence[str], until: datetime) -> list[str]:
    """Whoever started them."""
    events = SqlEventLogStorageTable.c
    wanted = events.asset_key.in_([dg.AssetKey(name).to_string() for name in assets])
    with _event_log(instance).index_connection() as connection:
        query = sqlalchemy.select(events.run_id).where(wanted, events.timestamp <= until.replace(tzinfo=None))
        return list(connection.execute(query.distinct()).scalars())


def _forget_events(instance: dg.DagsterInstance, run_id: str) -> None:
    """The copies that Dagster itself leaves behind when it deletes a run: sentences of checks, and with each asset its
    last materialization. Without it, Dagster looks for the newest that is left."""
    storage, checks, assets = _event_log(instance), AssetCheckExecutionsTable, AssetKeyTable
    storage.delete_events(run_id)
    with storage.index_connection() as connection:
        connection.execute(checks.delete().where(checks.c.run_id == run_id))
        copied = assets.c.last_materialization.contains(run_id)  # the column of the run's id may name a later run
        connection.execute(assets.update().where(copied).values(last_materialization=None))


def _event_log(instance: dg.DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise TypeError(f"Dagster keeps its events in a {type(storage).__name__}, not in a database")
    return storage


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="Deletes originals and results whose time is up: stems after 7 days, masters after 15, previews after "
    "30. A "
    "legal hold keeps them. `orimono retention --dry-run` lists what would go.",
)
def retention(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.governance import retention

    with failures_told_apart():
        report = retention.expire(studio)
    return dg.MaterializeResult(
        metadata={
            "deleted": len(report.expired),
            "MB_freed": report.freed / 1e6,
            "held": len(report.held),
            "list": dg.MetadataValue.md(
                "\n".join(f"- {cell(line)}" for line in report.lines(keys=False)[:100]) or "nothing"
            ),
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="How full the object store is. At 80 % of ORIMONO_STORAGE_BUDGET_GB it is told, at 90 % what can be "
    "made "
    "again goes, at 95 % no new job is taken.",
)
def storage_use(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.governance import budget
    from pipelines.notifier import Notifier

    with failures_told_apart():
        usage = budget.measure(studio)
        freed = budget.relieve(studio, usage)
    if usage.level:
        Notifier(studio.settings).send("alarms", "The object store fills up", [str(usage)], f"storage-{usage.level}")
    return dg.MaterializeResult(
        metadata={
            "used_MB": usage.used / 1e6,
            "budget_MB": usage.budget / 1e6,
            "level": usage.level,
            "MB_freed": freed / 1e6,
            "by_kind": dg.MetadataValue.md(
                "\n".join(f"- {cell(kind)}: {size / 1e6:.1f} MB" for kind, size in usage.kinds.items()) or "empty"
            ),
        }
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="The audit trail, verified: every row's hash computed again from the row and the hash before it. Note "
    "the "
    "newest hash somewhere else; `orimono audit verify --head` holds the trail against it.",
)
def audit_trail(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.governance import audit
    from pipelines.notifier import Notifier

    with failures_told_apart(), studio.database.session() as session:
        verdict = audit.verify(session)
    if not verdict.ok:
        Notifier(studio.settings).send("alarms", "The audit trail is broken", [str(verdict)], f"audit-{verdict.head}")
    return dg.MaterializeResult(
        metadata={"rows": verdict.n, "whole": int(verdict.ok), "head": str(verdict.head), "verdict": str(verdict)}
    )
