"""Orimono's cadences as Airflow DAGs, one for each entry of dags/cadences.py and for nothing else.

Airflow's DAG folder is this file's folder. Who starts the cadences says ORIMONO_SCHEDULER where Dagster runs: while it
says Dagster, these DAGs skip their tasks.
"""

from __future__ import annotations

import importlib.util
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from airflow.sdk import DAG, CronTriggerTimetable
from orimono_airflow.operators import FollowRun, RunCadence, StartDue


def _cadences() -> ModuleType:
    """Read from its file: neither the folder nor the name ``dags`` is ours alone in an Airflow that others share."""
    name = "orimono_airflow.cadences"
    if name not in sys.modules:
        file = Path(__file__).resolve().parents[1] / "cadences.py"
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"cannot read {file}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where dataclasses look for it
        spec.loader.exec_module(module)
    return sys.modules[name]


SINCE = datetime(2026, 1, 1, tzinfo=UTC)
cadences = _cadences()

for cadence in cadences.CADENCES:
    with DAG(
        f"orimono_{cadence.name}",
        description=cadence.description,
        schedule=CronTriggerTimetable(cadence.cron, timezone=cadence.time_zone),
        start_date=SINCE,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["orimono"],
    ):
        RunCadence(task_id="run", cadence=cadence.name, hours=cadence.hours)

for lookout in cadences.LOOKOUTS:
    with DAG(
        f"orimono_{lookout.name}",
        description=lookout.description,
        schedule=CronTriggerTimetable(lookout.cron, timezone=lookout.time_zone),
        start_date=SINCE,
        catchup=False,
        max_active_runs=30,  # one may follow its runs for hours; the next looks all the same
        is_paused_upon_creation=False,
        tags=["orimono"],
    ):
        start = StartDue(task_id="start", sensor=lookout.sensor, hours=0.5, max_active_tis_per_dag=1)
        FollowRun.partial(task_id="follow", hours=lookout.hours).expand(run_id=start.output)
