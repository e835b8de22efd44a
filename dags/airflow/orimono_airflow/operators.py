"""Airflow's tasks: a run of Dagster for a cadence, started once and followed; and what a sensor names, started and
followed.

An Airflow retry follows the run that it finds. A run that failed is not started again by a retry: Dagster has already
tried again what was worth it. A person who clears the task starts another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from orimono_airflow import lookouts, runs
from orimono_airflow.graphql import Away, Dagster, DagsterError

RETRIES = 3  # for a Dagster that is away; nothing else is tried again
POLL_SECONDS = 10.0
LINK = "dagster_run"  # XCom: where the run is to be seen


class _OfDagster(BaseOperator):
    """``hours``: how long a run may take, its wait for others included; then Dagster is asked to end it."""

    def __init__(self, *, hours: float, poll_seconds: float = POLL_SECONDS, **arguments: Any) -> None:
        arguments = {"retries": RETRIES, "retry_delay": timedelta(minutes=1), **arguments}
        super().__init__(**arguments)
        self.hours, self.poll_seconds = hours, poll_seconds
        self._request, self._run_id, self._killed = "", "", False

    def _follow(self, dagster: Dagster, run_id: str, context: Context) -> str:
        self._run_id = run_id
        link = dagster.link(run_id)
        context["ti"].xcom_push(LINK, link)
        self.log.info("Dagster's run: %s", link)
        if self._killed:
            runs.terminate(dagster, run_id)
        return runs.follow(dagster, run_id, self.hours * 3600, self.poll_seconds, self.log.info).run_id

    def on_kill(self) -> None:
        """Airflow ends the task: marked by a person, timed out, or its worker shut down. Dagster's run ends with it."""
        self._killed = True  # for a run that is being started at this moment
        dagster = Dagster.from_environment()
        ids = {self._run_id} if self._run_id else set()
        if self._request:
            ids |= {run.run_id for run in runs.find(dagster, {runs.RUN_TAG: self._request}) if not run.ended}
        for run_id in ids:
            self.log.info("ending Dagster's run: %s", dagster.link(run_id))
            runs.terminate(dagster, run_id)


class RunCadence(_OfDagster):
    """Runs the cadence's job in Dagster and waits for its end. Skipped while Dagster's own schedule does it.

    ``tags``: further tags of the run, templated; ``dagster/partition`` among them for a partitioned job.
    """

    template_fields = ("tags",)

    def __init__(self, *, cadence: str, tags: Mapping[str, str] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.cadence, self.tags = cadence, dict(tags or {})

    def execute(self, context: Context) -> str:
        with told_to_airflow():
            dagster = Dagster.from_environment()
            place = runs.place_of(dagster, job=self.cadence)
            if self.cadence in place.schedules:
                raise AirflowSkipException("Dagster owns the cadences; set ORIMONO_SCHEDULER=airflow where it runs")
            slot, self._request = slot_of(context), request_of(context)
            found = runs.answering(dagster, self._request, self.cadence, slot)
            if found is not None:
                self.log.info("follows the run that is there already")
                return self._follow(dagster, found.run_id, context)
            tags = {**self.tags, runs.RUN_TAG: self._request, **({runs.SLOT_TAG: slot} if slot else {})}
            return self._follow(dagster, runs.launch(dagster, place, self.cadence, tags), context)


class StartDue(_OfDagster):
    """Asks a sensor of Dagster's what is due, and starts it; returns the runs' ids for as many followers."""

    def __init__(self, *, sensor: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sensor = sensor

    def execute(self, context: Context) -> list[str]:
        with told_to_airflow():
            dagster = Dagster.from_environment()
            place = runs.place_of(dagster, sensor=self.sensor)
            if place.schedules:
                raise AirflowSkipException("Dagster owns the cadences; set ORIMONO_SCHEDULER=airflow where it runs")
            self._request = request_of(context)
            return lookouts.start_due(dagster, place, self.sensor, self._request, self.log.info)


class FollowRun(_OfDagster):
    """Waits for the end of one run that is under way."""

    def __init__(self, *, run_id: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.dagster_run_id = run_id

    def execute(self, context: Context) -> str:
        with told_to_airflow():
            return self._follow(Dagster.from_environment(), self.dagster_run_id, context)


@contextmanager
def told_to_airflow() -> Iterator[None]:
    """What may work later is tried again, all else fails at once."""
    try:
        yield
    except Away as error:
        raise AirflowException(str(error)) from error
    except DagsterError as error:
        raise AirflowFailException(str(error)) from error


def request_of(context: Context) -> str:
    """The same in each automatic try of a task, another after a person has cleared it: only that raises ``max_tries``
    above the task's own number of retries."""
    ti = context["ti"]
    cleared = ti.max_tries - (ti.task.retries or 0)
    return f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}/{max(cleared, 0)}"


def slot_of(context: Context) -> str | None:
    """The moment that Airflow's scheduler made the run for, as dags/schedules.py writes it; None for a person's."""
    run = context["dag_run"]
    moment: datetime | None = run.logical_date
    if run.run_type != "scheduled" or moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
