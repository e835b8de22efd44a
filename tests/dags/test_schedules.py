"""Who starts a cadence: one of the two schedulers, never both, and no slot twice when the cadences change hands."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from assets.runs import CADENCE_TAG
from dags import schedules
from dags.cadences import CADENCES, LOOKOUTS
from dags.schedules import AIRFLOW_TAG, SLOT_TAG
from dags.sensors import ASKED_BY_AIRFLOW, score_chunks_due
from definitions import build_defs
from pipelines.errors import BadInput
from pipelines.settings import PROJECT, Settings, load
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

DUE = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)  # 7 o'clock in Tokyo
SLOT = "2026-11-21T22:00:00Z"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """With a folder, as the context of a schedule opens it anew."""
    with dg.instance_for_test() as found:
        yield found


def of_airflow(name: str) -> ModuleType:
    """A module of dags/airflow that needs no Airflow."""
    folder = str(PROJECT / "dags" / "airflow")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(f"orimono_airflow.{name}")
    finally:
        sys.path.remove(folder)


def test_a_cadence_has_a_schedule_under_dagster_and_none_under_airflow() -> None:
    assert [s.name for s in schedules.from_cadences("dagster")] == [c.name for c in CADENCES]
    assert schedules.from_cadences("airflow") == []


def test_the_code_location_reads_who_owns_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORIMONO_SCHEDULER", "airflow")
    definitions = build_defs()
    assert definitions.schedules == []
    names = {job.name for job in definitions.jobs or []}
    assert {c.name for c in CADENCES} <= names  # what Airflow starts
    with pytest.raises(BadInput, match="ORIMONO_SCHEDULER: is 'cron'; set it to one of dagster, airflow"):
        load({"ORIMONO_SCHEDULER": "cron"})


def test_each_cadence_is_a_job_that_dagster_ends_in_time() -> None:
    definitions = build_defs()
    for cadence in CADENCES:
        job = definitions.resolve_job_def(cadence.name)
        assert job.tags[CADENCE_TAG] == cadence.name
        assert float(job.tags["dagster/max_runtime"]) == cadence.hours * 3600
        assert ("orimono/heavy" in job.tags) == cadence.heavy


def test_a_slot_that_airflow_had_is_left_out(instance: dg.DagsterInstance) -> None:
    (schedule,) = (s for s in schedules.from_cadences("dagster") if s.name == "daily_health")

    def tick(moment: datetime = DUE) -> tuple[list[str], str | None]:
        context = dg.build_schedule_context(instance, scheduled_execution_time=moment)
        data = schedule.evaluate_tick(context)
        return [request.tags[SLOT_TAG] for request in data.run_requests or ()], data.skip_message

    assert tick() == ([SLOT], None)
    tags = {CADENCE_TAG: "daily_health", SLOT_TAG: SLOT}
    create_run_for_test(instance, job_name="daily_health", tags=tags)  # of this very tick, which was cut off
    create_run_for_test(instance, job_name="retention", tags={**tags, CADENCE_TAG: "retention", AIRFLOW_TAG: "x"})
    assert tick() == ([SLOT], None)
    run = create_run_for_test(instance, job_name="daily_health", tags={**tags, AIRFLOW_TAG: "x"})
    assert tick() == ([], f"Airflow has started it: run {run.run_id}")
    assert tick(DUE.replace(day=22)) == (["2026-11-22T22:00:00Z"], None)


@pytest.mark.parametrize("owner", ["dagster", "airflow"])
def test_the_chunk_sensor_answers_its_owner_alone(
    owner: str, settings: Settings, database: Database, objects: Objects, instance: dg.DagsterInstance
) -> None:
    studio = Studio(replace(settings, scheduler=owner), database, objects, Cache(objects))
    told = {}
    for asker, cursor in (("dagster", None), ("airflow", ASKED_BY_AIRFLOW)):
        context = dg.build_sensor_context(instance, cursor=cursor, resources={"studio": studio})
        result = score_chunks_due(context)
        assert isinstance(result, dg.SensorResult)
        told[asker] = str(result.skip_reason)
    assert "no chunk is due" in told.pop(owner)
    (other,) = told.values()
    assert f"{owner} owns the cadences (ORIMONO_SCHEDULER)" in other


def test_both_sides_use_the_same_words() -> None:
    runs, lookouts = of_airflow("runs"), of_airflow("lookouts")
    assert (runs.RUN_TAG, runs.SLOT_TAG, runs.CADENCE_TAG) == (AIRFLOW_TAG, SLOT_TAG, CADENCE_TAG)
    assert lookouts.ASKER == ASKED_BY_AIRFLOW
    sensors = {s.name for s in build_defs().sensors or []}
    assert {lookout.sensor for lookout in LOOKOUTS} <= sensors
