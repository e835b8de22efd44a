"""Dagster schedules, made from cadences.py and from nothing else."""

from __future__ import annotations

import dagster as dg

from dags.cadences import CADENCES, Cadence
from dags.jobs import HEAVY


def from_cadences() -> list[dg.ScheduleDefinition]:
    return [_schedule(c) for c in CADENCES]


def _schedule(cadence: Cadence) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=cadence.name,
        cron_schedule=cadence.cron,
        execution_timezone=cadence.time_zone,
        target=dg.AssetSelection.from_string(cadence.selection),
        description=cadence.description,
        tags=HEAVY if cadence.heavy else None,
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
