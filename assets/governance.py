"""Governance assets: what is deleted and when, how full the store is, whether the audit trail is whole. The rules are
pipelines/governance's."""

import dagster as dg

from assets.presentation import cell, page
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

GROUP = "governance"
OWNERS = ["team:studio"]


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="Deletes everything of the people who withdrew their consent, within 24 hours, and looks again "
    "that nothing is left: database, object store, caches, results, and this UI's own records of the batches.",
)
def withdrawals(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from assets.wiping import wipe
    from pipelines.governance import records, withdrawal

    with failures_told_apart():
        reports = withdrawal.carry_out(studio)
        wiped = wipe(
            context.instance,
            records.named_batches(studio),
            records.named_sheets(studio),
            records.last_completed(studio),
        )
    return dg.MaterializeResult(
        metadata={
            "page": page(studio.settings, "/withdrawals"),
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


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="Deletes originals and results whose time is up: stems after 7 days, masters after 15, previews and "
    "scored sheets after 30; takes back videos that a killed run had lent to Gemini. A legal hold keeps what it is on. "
    "`orimono retention --dry-run` lists what would go.",
)
def retention(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.errors import BadInput
    from pipelines.governance import retention
    from pipelines.scoring import video

    taken_back, left = 0, ""

    with failures_told_apart():
        report = retention.expire(studio)
        try:
            taken_back = video.sweep(studio.settings, studio.database)
        except BadInput as error:  # no key (any more): Gemini itself deletes them after two days
            left = str(error)
    return dg.MaterializeResult(
        metadata={
            "deleted": len(report.expired),
            "lent_files_taken_back": taken_back,
            **({"lent_files_left": left} if left else {}),
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
    description="How full the object store is. At 80 % of ORIMONO_STORAGE_BUDGET_GB it is told, at 90 % what can "
    "be made again goes, at 95 % no new job is taken.",
)
def storage_use(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.governance import budget
    from pipelines.notifier import Notifier

    with failures_told_apart():
        usage = budget.measure(studio)
        freed = budget.relieve(studio, usage)
    if usage.level:
        Notifier(studio.settings, studio.database).send(
            "alarms", "The object store fills up", [str(usage)], f"storage-{usage.level}"
        )
    return dg.MaterializeResult(
        metadata={
            "page": page(studio.settings, "/"),
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
    description="The audit trail, verified: every row's hash computed again from the row and the hash before it. "
    "Note the newest hash somewhere else; `orimono audit verify --head` holds the trail against it.",
)
def audit_trail(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.governance import audit
    from pipelines.notifier import Notifier

    with failures_told_apart(), studio.database.session() as session:
        verdict = audit.verify(session)
    if not verdict.ok:
        Notifier(studio.settings, studio.database).send(
            "alarms", "The audit trail is broken", [str(verdict)], f"audit-{verdict.head}"
        )
    return dg.MaterializeResult(
        metadata={
            "page": page(studio.settings, "/audit"),
            "rows": verdict.n,
            "whole": int(verdict.ok),
            "head": str(verdict.head),
            "verdict": str(verdict),
        }
    )
