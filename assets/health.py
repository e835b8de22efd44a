"""Looks at the whole: what is left undone, so that no batch stays failed unseen; whether what was promised is kept."""

import dagster as dg

from assets.presentation import cell
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

TOLD = 10  # of what was given up, in one message
TOLD_AGAIN_S = 7 * 86_400.0  # the same


@dg.asset(
    group_name="operation",
    owners=["team:studio"],
    kinds={"postgres"},
    code_version="1",
    description="Batches and items that are failed or unfinished, with their errors; what is not tried again by itself "
    "is told as an alarm. `orimono retry` runs them again.",
)
def batch_health(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines import status
    from pipelines.notifier import Notifier

    with failures_told_apart():
        report = status.report(studio)
        if left := report.given_up():
            key = f"given-up/{'/'.join(left)}"  # told anew when something is added
            lines = [*left[:TOLD], *([f"and {len(left) - TOLD} more"] if len(left) > TOLD else [])]
            notifier = Notifier(studio.settings, studio.database)
            notifier.send("alarms", "Work was given up", lines, key, TOLD_AGAIN_S)
        return dg.MaterializeResult(
            metadata={
                "failed_batches": len(report.failed_batches),
                "open_batches": len(report.open_batches),
                "failed_items": len(report.failed_items),
                "bad_jobs": len(report.bad_jobs),
                "report": dg.MetadataValue.md(
                    "\n".join(f"- {cell(line)}" for line in report.lines()) or "All is done."
                ),
            }
        )


@dg.asset(
    group_name="operation",
    owners=["team:studio"],
    kinds={"postgres"},
    code_version="1",
    description="Whether what is promised is kept: answers without failure and in time, weekly training, deletion "
    "within 24 hours, inputs that the models know. What is broken is told as an alarm, once in six hours.",
)
def service_levels(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from assets.runs import last_training
    from pipelines import service_levels as levels
    from pipelines.notifier import Notifier

    with failures_told_apart():
        verdicts = levels.measure(studio, last_training(context.instance))
    levels.tell(verdicts, Notifier(studio.settings, studio.database))
    rows = "\n".join(f"| {cell(v.promise)} | {v.result} | {cell(v.measured)} |" for v in verdicts)
    return dg.MaterializeResult(
        metadata={
            "kept": sum(v.result == "kept" for v in verdicts),
            "broken": sum(v.result == "broken" for v in verdicts),
            "unknown": sum(v.result == "unknown" for v in verdicts),
            "levels": dg.MetadataValue.md(f"| promise | verdict | measured |\n|---|---|---|\n{rows}"),
        }
    )
