"""Checks of scoring: whether every sheet could be read, and whether what was written is whole.

What must hold is said in pipelines/scoring.
"""

import dagster as dg

from assets.checks import Find, check_of, partitions_of
from assets.presentation import cell
from assets.retrying import failures_told_apart
from pipelines.studio import Studio


def _find(name: str) -> Find:
    def find(studio: object, key: str) -> list[str]:
        from pipelines.scoring import findings

        found: list[str] = getattr(findings, name)(studio, key)
        return found

    return find


@dg.asset_check(
    asset="score_chunks",
    description="Of every finished chunk of the run as many rows are recorded as it has.",
)
def every_row_recorded(context: dg.AssetCheckExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.AssetCheckResult:
    from pipelines.scoring import findings

    with failures_told_apart():
        problems = findings.unrecorded(studio, partitions_of(context))
    listed = "\n".join(f"- {cell(problem)}" for problem in problems[:100]) or "none"
    return dg.AssetCheckResult(
        passed=not problems,
        description="; ".join(problems[:3]) or None,
        metadata={"problems": len(problems), "list": dg.MetadataValue.md(listed)},
    )


def scoring_checks() -> list[dg.AssetChecksDefinition]:
    return [
        check_of(
            "score_jobs",
            "every_sheet_read",
            "Every sheet of the batch could be read and has the column to score.",
            _find("unread"),
            warn=True,
        ),
        every_row_recorded,
        check_of(
            "scored_sheets",
            "every_row_scored",
            "Read back from what was written: each row with a text has a score in every category.",
            _find("unscored"),
        ),
        check_of(
            "scored_sheets",
            "few_fallbacks",
            "At most one row in fifty got the middle of the scale because no valid answer came.",
            _find("fallbacks"),
            warn=True,
        ),
    ]
