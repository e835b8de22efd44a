"""The morning's look at what is left undone, so that no batch stays failed unseen."""

import dagster as dg

from assets.presentation import cell
from assets.retrying import failures_told_apart
from pipelines.studio import Studio


@dg.asset(
    group_name="operation",
    owners=["team:studio"],
    kinds={"postgres"},
    code_version="1",
    description="Batches and items that are failed or unfinished, with their errors. `orimono retry` runs them again.",
)
def batch_health(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines import status

    with failures_told_apart():
        report = status.report(studio)
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
