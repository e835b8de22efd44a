"""Runs in Airflow's own environment: DAGs as `airflow dags test` runs them, one after the other in one process, since
the start of that command takes ten seconds. A request and an answer are a line of JSON each.

Request: dag, run (a number: the same is the same Airflow run again), hours (the deadline), retry_delay (s), environ.
Answer: state of the DAG's run, and of each task its state, number of tries, result and link.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Airflow writes its log to stdout
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.utils import db

    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not Path(settings.AIRFLOW_HOME, "airflow.db").exists():
        db.initdb()
    DagBundlesManager().sync_bundles_to_db()
    folder = Path(settings.DAGS_FOLDER)
    bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
    found = {
        name: [dag.timetable.expression, str(dag.timetable.timezone), sorted(dag.task_dict), dag.description]
        for name, dag in bag.dags.items()
    }
    print(json.dumps({"dags": found, "errors": bag.import_errors}), file=answers, flush=True)
    usual = dict(os.environ)
    for line in sys.stdin:
        request = json.loads(line)
        os.environ.update(usual | request.get("environ", {}))
        print(json.dumps(_run(bag, request)), file=answers, flush=True)


def _run(bag, request):
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    dag = bag.dags[request["dag"]]
    for task in dag.tasks:
        knobs = {"poll_seconds": 0.5, "retry_delay": timedelta(seconds=request.get("retry_delay", 1))}
        if "hours" in request:
            knobs["hours"] = request["hours"]
        for knob, value in knobs.items():
            if hasattr(task, "partial_kwargs"):
                task.partial_kwargs[knob] = value
            else:
                setattr(task, knob, value)
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=request["run"])
    run = dag.test(run_after=moment, logical_date=moment)
    tasks = []
    with create_session() as session:
        for ti in sorted(run.get_task_instances(session=session), key=lambda ti: (ti.task_id, ti.map_index)):
            told = {"task": ti.task_id, "index": ti.map_index, "state": ti.state, "tries": ti.try_number}
            where = {"run_id": run.run_id, "dag_id": run.dag_id, "task_id": ti.task_id, "map_index": ti.map_index}
            for row in session.query(XComModel).filter_by(**where):
                told[row.key] = XComModel.deserialize_value(row)
            tasks.append(told)
    return {"state": run.state, "tasks": tasks, "run_id": run.run_id}


if __name__ == "__main__":
    main()
