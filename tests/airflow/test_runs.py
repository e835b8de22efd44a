"""How Airflow's side starts and follows runs, asked of a real Dagster webserver: no Airflow is needed for that."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from assets.partitions import PARTITION
from dags.schedules import AIRFLOW_TAG, SLOT_TAG
from pipelines.settings import PROJECT
from tests.dags.house import House

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]

FAILURE, SUCCESS, STARTED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED
REQUEST, SLOT = "orimono_daily_health/scheduled__1/run/-1/0", "2026-11-21T22:00:00Z"


def module(name: str) -> ModuleType:
    folder = str(PROJECT / "dags" / "airflow")
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(f"orimono_airflow.{name}")
    finally:
        sys.path.remove(folder)


graphql, runs, lookouts = module("graphql"), module("runs"), module("lookouts")


@pytest.fixture(scope="module")
def dagster(webserver: House) -> Any:
    return graphql.Dagster(f"http://127.0.0.1:{webserver.port}", "https://dagster.example.com")


@pytest.fixture
def instance(webserver: House) -> Iterator[dg.DagsterInstance]:
    """The webserver's own, emptied afterwards."""
    with dg.DagsterInstance.from_config(str(webserver.home)) as found:
        yield found
        for run in found.get_runs():
            found.delete_run(run.run_id)


def test_a_run_is_started_with_its_partition_and_ended_from_the_queue(
    dagster: Any, instance: dg.DagsterInstance
) -> None:
    place = runs.place_of(dagster, job="scoring_sheets")
    run_id = runs.launch(dagster, place, "scoring_sheets", {PARTITION: "20261121-0001", AIRFLOW_TAG: REQUEST})
    (run,) = runs.find(dagster, {AIRFLOW_TAG: REQUEST})
    assert (run.run_id, run.status, run.tags[PARTITION]) == (run_id, "QUEUED", "20261121-0001")
    with pytest.raises(runs.Failed, match=rf"not done after 0.1 s.* - https://dagster.example.com/runs/{run_id}$"):
        runs.follow(dagster, run_id, 0.1)
    assert runs.state(dagster, run_id).status == "CANCELED"
    runs.terminate(dagster, run_id)  # that it has ended is no matter
    with pytest.raises(runs.Failed, match="the run was canceled in Dagster"):
        runs.follow(dagster, run_id, 60)


def test_a_run_that_is_just_being_started_is_ended_as_it_comes_into_the_queue(
    dagster: Any, instance: dg.DagsterInstance
) -> None:
    launched = runs.launch(dagster, runs.place_of(dagster, job="daily_health"), "daily_health", {})
    (record,) = instance.get_run_records(dg.RunsFilter([launched]))
    origin = record.dagster_run.remote_job_origin
    made = dg.DagsterRunStatus.NOT_STARTED
    run = create_run_for_test(instance, job_name="daily_health", status=made, remote_job_origin=origin)
    enters = dg.DagsterEvent.job_enqueue(run)
    later = threading.Timer(1.0, instance.report_dagster_event, [enters], {"run_id": run.run_id})
    later.start()
    runs.terminate(dagster, run.run_id)
    later.join()
    assert runs.state(dagster, run.run_id).status == "CANCELED"


def test_a_run_that_never_comes_into_the_queue_is_told(
    dagster: Any, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "ENTERING", 0.5)
    run = create_run_for_test(instance, job_name="daily_health", status=dg.DagsterRunStatus.NOT_STARTED)
    with pytest.raises(graphql.Refused, match=f"having status NOT_STARTED.* - https://.*{run.run_id}$"):
        runs.terminate(dagster, run.run_id)


@pytest.mark.parametrize(
    ("tags", "status", "answers"),
    [
        ({AIRFLOW_TAG: REQUEST}, STARTED, True),
        ({AIRFLOW_TAG: REQUEST}, SUCCESS, True),
        ({AIRFLOW_TAG: REQUEST}, FAILURE, False),
        ({AIRFLOW_TAG: REQUEST, "dagster/will_retry": "true"}, FAILURE, True),
        ({AIRFLOW_TAG: REQUEST.removesuffix("0") + "1"}, SUCCESS, False),
        ({SLOT_TAG: SLOT}, STARTED, True),  # by Dagster's schedule, before the cadence changed hands
        ({SLOT_TAG: SLOT}, FAILURE, False),
        ({SLOT_TAG: "2026-11-22T22:00:00Z"}, SUCCESS, False),
    ],
)
def test_what_is_there_already_is_followed(
    dagster: Any, instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus, answers: bool
) -> None:
    tags = {"orimono/cadence": "daily_health", **tags}
    run = create_run_for_test(instance, job_name="daily_health", status=status, tags=tags)
    found = runs.answering(dagster, REQUEST, "daily_health", SLOT)
    assert (found.run_id if found else None) == (run.run_id if answers else None)
    assert runs.answering(dagster, REQUEST, "weekly_retraining", SLOT if AIRFLOW_TAG not in tags else None) == (
        found if AIRFLOW_TAG in tags else None
    )


def test_what_a_person_cleared_is_started_anew(dagster: Any, instance: dg.DagsterInstance) -> None:
    tags = {"orimono/cadence": "daily_health", SLOT_TAG: SLOT, AIRFLOW_TAG: REQUEST}
    create_run_for_test(instance, job_name="daily_health", status=SUCCESS, tags=tags)
    assert runs.answering(dagster, REQUEST, "daily_health", SLOT) is not None
    assert runs.answering(dagster, REQUEST.removesuffix("0") + "1", "daily_health", SLOT) is None


def test_the_run_that_dagster_starts_in_a_dead_ones_place_is_followed(
    dagster: Any, instance: dg.DagsterInstance
) -> None:
    tags = {"dagster/will_retry": "true"}
    dead = create_run_for_test(instance, job_name="daily_health", status=FAILURE, tags=tags)
    parent = {"dagster/parent_run_id": dead.run_id, "dagster/root_run_id": dead.run_id}
    again = create_run_for_test(instance, job_name="daily_health", status=SUCCESS, tags=parent)
    assert runs.follow(dagster, dead.run_id, 60).run_id == again.run_id


def test_a_run_that_no_step_failed_in_says_what_dagster_says_of_it(dagster: Any, instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, job_name="daily_health", status=STARTED)
    instance.report_run_failed(run, "Its worker is gone.")
    with pytest.raises(runs.Failed, match=rf"^Its worker is gone\. - https://dagster.example.com/runs/{run.run_id}$"):
        runs.follow(dagster, run.run_id, 60)


def test_partitions_are_added_many_at_a_time_and_twice_is_no_matter(dagster: Any, instance: dg.DagsterInstance) -> None:
    place = runs.place_of(dagster, sensor="score_chunks_due")
    keys = [f"1-{n:04d}" for n in range(1, lookouts.ADD_AT_ONCE + 6)]
    lookouts._add(dagster, place, "score_chunks", keys[3:9])
    lookouts._add(dagster, place, "score_chunks", keys)
    assert sorted(instance.get_dynamic_partitions("score_chunks")) == keys


def test_what_may_work_later_is_told_from_what_never_will(dagster: Any) -> None:
    with pytest.raises(graphql.Away, match=r"no code location of Dagster at .* has the job nobody"):
        runs.place_of(dagster, job="nobody")
    with pytest.raises(graphql.Refused, match="Cannot query field"):
        dagster.ask("{nonsense}")
    with pytest.raises(graphql.Refused, match="HTTP 4"):
        graphql.Dagster(f"{dagster.url}/nowhere", "").ask("{version}")
    with pytest.raises(graphql.Refused, match="could not be found"):
        runs.follow(dagster, "00000000-0000-0000-0000-000000000000", 60)
    nobody = graphql.Dagster.from_environment({"ORIMONO_DAGSTER_URL": "http://127.0.0.1:9/"})
    started = time.monotonic()
    with pytest.raises(graphql.Away, match=r"Dagster at http://127.0.0.1:9 does not answer"):
        nobody.ask("{version}")
    assert time.monotonic() - started < graphql.TIMEOUT
    inside = {"ORIMONO_DAGSTER_URL": "https://d.example.com", "ORIMONO_DAGSTER_INTERNAL_URL": "http://webserver:3000"}
    both = graphql.Dagster.from_environment(inside)
    assert (both.url, both.link("x")) == ("http://webserver:3000", "https://d.example.com/runs/x")
    with pytest.raises(graphql.Refused, match="is no address of Dagster"):
        graphql.Dagster.from_environment({"ORIMONO_DAGSTER_URL": "file:///etc/passwd"})
