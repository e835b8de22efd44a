"""Jobs and Dagster schedules, made from cadences.py and from nothing else.

Each cadence is a job, whoever starts it. Schedules are there only while Dagster owns the cadences: one that is stopped
could be started in the UI, and then everything would happen twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.runs import CADENCE_TAG
from dags.cadences import CADENCES, Cadence
from dags.jobs import HEAVY

SLOT_TAG = "orimono/slot"  # the moment that a run was due at, in UTC: both schedulers write it
AIRFLOW_TAG = "orimono/airflow_run"  # dag/run/task/map index/how often a person cleared it


def cadence_jobs() -> list[Any]:
    return [_job(cadence) for cadence in CADENCES]


def from_cadences(scheduler: str) -> list[dg.ScheduleDefinition]:
    """``scheduler``: the setting of that name."""
    return [_schedule(cadence) for cadence in CADENCES] if scheduler == "dagster" else []


def slot(moment: datetime) -> str:
    """A moment at which a cadence is due, as both schedulers write it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _job(cadence: Cadence) -> Any:
    return dg.define_asset_job(
        cadence.name,
        selection=dg.AssetSelection.from_string(cadence.selection),
        description=cadence.description,
        # Dagster itself ends a run that takes longer.
        tags={CADENCE_TAG: cadence.name, "dagster/max_runtime": f"{cadence.hours * 3600:.0f}"}
        | (HEAVY if cadence.heavy else {}),
    )


def _schedule(cadence: Cadence) -> dg.ScheduleDefinition:
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """When the cadences pass from Airflow to Dagster, the latest slot may already have had its run."""
        tags = {SLOT_TAG: slot(context.scheduled_execution_time)}
        for run in context.instance.get_runs(dg.RunsFilter(tags={CADENCE_TAG: cadence.name, **tags})):
            if AIRFLOW_TAG in run.tags:
                return dg.SkipReason(f"Airflow has started it: run {run.run_id}")
        return dg.RunRequest(tags=tags)

    return dg.ScheduleDefinition(
        name=cadence.name,
        cron_schedule=cadence.cron,
        execution_timezone=cadence.time_zone,
        job_name=cadence.name,
        execution_fn=due,
        description=cadence.description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
