"""Governance assets: what is deleted and when, how full the store is, whether the audit trail is whole. The rules are
pipelines/governance's."""

import dagster as dg

from assets.presentation import cell
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

GROUP = "governance"
OWNERS = ["team:studio"]


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
    from pipelines.governance import withdrawal

    with failures_told_apart():
        reports = withdrawal.carry_out(studio)
        wiped = _wipe(context.instance, sorted({key for report in reports for key in report.batches}), context.run_id)
    return dg.MaterializeResult(
        metadata={
            "completed": sum(1 for r in reports if r.completed),
            "unfinished": sum(1 for r in reports if not r.completed),
            "runs_wiped": wiped,
            "reports": dg.MetadataValue.md("\n".join(f"- {cell(r.sentence)}" for r in reports) or "none was asked for"),
        }
    )


def _wipe(instance: dg.DagsterInstance, batches: list[str], own: str) -> int:
    """Deletes the ended runs of these batches with their logs: those hold pictures and names of the people's files."""
    count = 0
    for key in batches:
        for record in instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": key})):
            if record.dagster_run.run_id != own and record.dagster_run.is_finished:
                instance.delete_run(record.dagster_run.run_id)
                count += 1
    return count


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
            "deleted": report.deleted,
            "MB_freed": report.bytes_freed / 1e6,
            "held": report.held,
            "list": dg.MetadataValue.md("\n".join(f"- {cell(line)}" for line in report.lines()[:100]) or "nothing"),
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
    from pipelines.notifier import Notifier

    from pipelines.governance import budget

    with failures_told_apart():
        usage = budget.measure(studio, Notifier(studio.settings))
    return dg.MaterializeResult(
        metadata={
            "used_MB": usage.used / 1e6,
            "budget_MB": usage.budget / 1e6,
            "level": usage.level,
            "by_kind": dg.MetadataValue.md(
                "\n".join(f"- {cell(kind)}: {size / 1e6:.1f} MB" for kind, size in usage.by_kind.items()) or "empty"
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

    with failures_told_apart(), studio.database.session() as session:
        verdict = audit.verify(session)
    return dg.MaterializeResult(
        metadata={"rows": verdict.n, "whole": int(verdict.ok), "head": verdict.head, "verdict": verdict.sentence}
    )
