"""Checks of upkeep: that records stay bounded, that nothing is missing, and that a backup can be restored from."""

from collections.abc import Sequence

import dagster as dg

from assets.checks import Find, check_of
from pipelines.studio import Studio


def _upkeep(name: str) -> Find:
    def find(studio: Studio, key: str) -> Sequence[str]:
        from pipelines.upkeep import findings

        found: Sequence[str] = getattr(findings, name)(studio)
        return found

    return find


@dg.asset_check(
    asset="run_history",
    name="bounded",
    description="No run is left that is older than ORIMONO_RUN_DAYS, has ended and is needed by nothing.",
)
def bounded(context: dg.AssetCheckExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.AssetCheckResult:
    from assets import run_history as history
    from assets.retrying import failures_told_apart
    from pipelines.upkeep import periods

    with failures_told_apart():
        _, _, under_way = periods.partitions(studio)
        left = history.overdue(context.instance, periods.runs_before(studio), under_way)
    return dg.AssetCheckResult(
        passed=not left,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{left} runs are left to the next night" if left else None,
        metadata={"left": left},
    )


def upkeep_checks() -> list[dg.AssetChecksDefinition]:
    return [
        bounded,
        check_of(
            "object_garbage",
            "nothing_missing",
            "Every object that a table names is in the store.",
            _upkeep("missing_objects"),
            warn=True,
            tell=True,
        ),
        check_of(
            "database_upkeep",
            "not_bloated",
            "No large table is mostly dead rows.",
            _upkeep("bloated_tables"),
            warn=True,
        ),
        check_of(
            "house_backup",
            "restorable",
            "The newest backup is of the last two days, its dumps can be read and have the bytes that were written, "
            "and the content that it names is there.",
            _upkeep("broken_backup"),
            tell=True,
        ),
    ]
