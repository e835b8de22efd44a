"""The code location: assets, checks, jobs, schedules, sensors and resources, put together in one place."""

from __future__ import annotations

import warnings
from typing import Any

import dagster as dg


def build_defs(**overrides: Any) -> dg.Definitions:
    """All definitions; ``overrides`` replace whole arguments of ``dg.Definitions`` (``resources`` ...), for tests."""
    # In beta, and what lets a run take several chunks of a sheet, or several batches in a backfill.
    warnings.filterwarnings("ignore", message="Parameter `backfill_policy` of function `asset`")
    # As is meant: a run of the job `batch` takes one batch; in a backfill of assets each step has its own measure.
    warnings.filterwarnings("ignore", message=r"Asset job \w+ materializes assets with varying BackfillPolicies")
    from assets import (
        analysis,
        checks,
        composing,
        composing_checks,
        editing,
        governance,
        health,
        intake,
        mastering,
        model_checks,
        models,
        recommending,
        recommending_checks,
        scoring,
        scoring_checks,
        upkeep,
        upkeep_checks,
    )
    from dags import jobs, schedules, sensors
    from pipelines import settings
    from resources.studio import StudioResource

    arguments: dict[str, Any] = {
        "assets": [
            *dg.load_assets_from_modules(
                [intake, analysis, editing, mastering, health, governance, scoring, composing, upkeep]
            ),
            *models.all_assets(),
            *recommending.all_assets(),
        ],
        "asset_checks": [
            *checks.editing_checks(),
            *model_checks.model_checks(),
            *model_checks.governance_checks(),
            *model_checks.operation_checks(),
            *recommending_checks.recommending_checks(),
            *scoring_checks.scoring_checks(),
            *composing_checks.composing_checks(),
            *upkeep_checks.upkeep_checks(),
        ],
        "jobs": [
            jobs.batch,
            jobs.partial_fit,
            jobs.recommending,
            jobs.composing,
            jobs.scoring_chunks,
            jobs.scoring_sheets,
            *schedules.cadence_jobs(),
        ],
        "schedules": schedules.from_cadences(settings.load().scheduler),
        "sensors": [sensors.inbox, sensors.new_labels, sensors.score_chunks_due, sensors.failed_runs],
        "resources": {"studio": StudioResource()},
        # A process a run, not a step: twenty empty steps take 4 s so and 66 s with a process each.
        "executor": dg.in_process_executor,
    }
    return dg.Definitions(**{**arguments, **overrides})


@dg.definitions
def definitions() -> dg.Definitions:
    return build_defs()
