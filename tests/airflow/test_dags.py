"""The real Airflow against the real Dagster: each cadence is a DAG that starts one run, follows it to its end, says
what it failed of, ends it when it is ended itself, and leaves cadences alone that Dagster owns."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dags.cadences import CADENCES, LOOKOUTS
from tests.airflow.airflow_process import PROGRAMS, Airflow, driven, environment
from tests.dags.house import House, opened
from tests.dags.test_scoring_daemon import ROWS, job, sheets
from tests.scoring.llm_server import LLM, Behaviour, serve

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]

BAD = {f"ORIMONO_{name}": "none" for name in ("CORPUS_ITEMS", "RECOMMENDER_EPOCHS", "HARMONIZER_EPOCHS")}


@pytest.fixture(scope="module")
def server() -> Iterator[LLM]:
    with serve(Behaviour(latency=0.002, fail="stumble")) as found:
        yield found


@pytest.fixture(scope="module")
def house(server: LLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Airflow's, and one in which no training can succeed."""
    extra = {"ORIMONO_OPENAI_BASE_URL": server.url, "ORIMONO_SCORE_PROVIDER": "openai", "ORIMONO_SCORE_MODEL": "m"}
    with opened(tmp_path_factory.mktemp("house"), {**extra, **BAD, "ORIMONO_SCHEDULER": "airflow"}) as found:
        yield found


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def airflow(airflow_home: Path, house: House) -> Iterator[Airflow]:
    with driven(airflow_home, f"http://127.0.0.1:{house.port}") as found:
        yield found


def runs_of(house: House, cadence: str) -> list[dict[str, Any]]:
    """Newest first."""
    runs = [{**run, "tags": {t["key"]: t["value"] for t in run["tags"]}} for run in house.runs()]
    return [run for run in runs if run["tags"].get("orimono/cadence") == cadence]


def until(condition: Callable[[], Any], house: House, seconds: float = 150) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, house.log()[-6000:]
        time.sleep(0.5)
    return found


def link(house: House, run: dict[str, Any]) -> str:
    return f"http://127.0.0.1:{house.port}/runs/{run['runId']}"


def test_every_cadence_is_a_dag_and_dagster_starts_none(airflow: Airflow, house: House) -> None:
    assert airflow.hello["errors"] == {}
    assert {name: told[:2] for name, told in airflow.hello["dags"].items()} == {
        f"orimono_{c.name}": [c.cron, c.time_zone] for c in (*CADENCES, *LOOKOUTS)
    }
    query = """{repositoriesOrError{... on RepositoryConnection{nodes{schedules{name} sensors{name sensorState{
      ticks(limit: 1){status skipReason}}}}}}}"""

    def ticked() -> Any:
        (node,) = house.ask(query)["repositoriesOrError"]["nodes"]
        assert node["schedules"] == []
        (sensor,) = (s for s in node["sensors"] if s["name"] == LOOKOUTS[0].sensor)
        return [tick for tick in sensor["sensorState"]["ticks"] if tick["status"] != "STARTED"]

    (tick,) = until(ticked, house)
    assert tick == {"status": "SKIPPED", "skipReason": "airflow owns the cadences (ORIMONO_SCHEDULER)"}


def test_airflow_that_tries_again_follows_the_same_run(airflow: Airflow, house: House) -> None:
    done = airflow.test("daily_health", 1)
    (run,) = runs_of(house, "daily_health")
    (task,) = done["tasks"]
    assert (done["state"], task["state"], run["status"]) == ("success", "success", "SUCCESS")
    assert (task["return_value"], task["dagster_run"]) == (run["runId"], link(house, run))
    assert run["tags"]["orimono/airflow_run"] == f"orimono_daily_health/{done['run_id']}/run/-1/0"
    again = airflow.test("daily_health", 1)
    assert (again["state"], again["tasks"][0]["return_value"]) == ("success", run["runId"])
    assert len(runs_of(house, "daily_health")) == 1


def test_a_failure_is_told_in_the_runs_own_words(airflow: Airflow, house: House) -> None:
    done = airflow.test("weekly_retraining", 1)
    (run,) = runs_of(house, "weekly_retraining")
    (task,) = done["tasks"]
    assert (done["state"], task["state"], task["tries"], run["status"]) == ("failed", "failed", 1, "FAILURE")
    said = airflow.said()
    assert "mastering_corpus: ORIMONO_CORPUS_ITEMS: is 'none', not a number above 0; set it to one or unset it" in said
    assert f" - {link(house, run)}" in said
    airflow.test("weekly_retraining", 1, hours=1e-4)  # it failed, so a further try starts another
    assert len(runs_of(house, "weekly_retraining")) == 2


def test_a_run_that_is_not_done_in_time_is_ended(airflow: Airflow, house: House) -> None:
    done = airflow.test("embedding_sync", 1, hours=1e-4)
    assert done["state"] == "failed"
    assert f"not done after 0.36 s, so it is ended - {done['tasks'][0]['dagster_run']}" in airflow.said()
    until(lambda: runs_of(house, "embedding_sync")[0]["status"] == "CANCELED", house)


def test_a_task_that_is_ended_ends_its_run(airflow: Airflow, house: House) -> None:
    airflow.begin("promotion_check", 1)
    until(lambda: runs_of(house, "promotion_check"), house)
    airflow.process.send_signal(signal.SIGTERM)
    done = airflow.end()
    assert (done["state"], done["tasks"][0]["tries"]) == ("failed", 1)
    assert [run["status"] for run in runs_of(house, "promotion_check")] == ["CANCELED"]


def test_a_killed_airflow_finds_its_run_again(house: House, airflow: Airflow, airflow_home: Path) -> None:
    with driven(airflow_home, f"http://127.0.0.1:{house.port}") as doomed:
        doomed.begin("service_level_check", 1)
        (run,) = until(lambda: runs_of(house, "service_level_check"), house)
        doomed.process.kill()
    done = airflow.test("service_level_check", 1)
    assert (done["state"], done["tasks"][0]["return_value"]) == ("success", run["runId"])
    assert len(runs_of(house, "service_level_check")) == 1


def test_a_dagster_that_is_away_is_asked_again(airflow: Airflow) -> None:
    done = airflow.test("daily_health", 2, environ={"ORIMONO_DAGSTER_URL": "http://127.0.0.1:9"}, retry_delay=0.1)
    assert (done["state"], done["tasks"][0]["tries"]) == ("failed", 4)
    assert "Dagster at http://127.0.0.1:9 does not answer" in airflow.said()


def test_failed_chunks_run_again_by_airflow_alone(airflow: Airflow, house: House, server: LLM, tmp_path: Path) -> None:
    def chunk_runs() -> list[dict[str, str]]:
        found = [r for r in house.runs() if r["jobName"] in ("scoring_chunks", "scoring_sheets")]
        return [{t["key"]: t["value"] for t in run["tags"]} for run in found]

    house.orimono("ingest", str(job(tmp_path / "opinions")))
    until(lambda: any(s["of"] == ROWS for s in sheets(house)), house)
    assert chunk_runs() == []
    first = airflow.test("chunk_retries", 1)
    assert [t["state"] for t in first["tasks"]] == ["failed", "success"]  # follow, start
    assert "score_chunks: " in airflow.said()
    (seen,) = sheets(house)
    assert seen["chunks"] == {"finished": 2, "failed": 1} and seen["rows"] == ROWS - 1

    server.behaviour.fail = ""
    out = house.home / "results" / "opinions" / "opinions.scored.csv"
    for run in range(2, 20):
        done = airflow.test("chunk_retries", run)
        assert done["state"] == "success", airflow.said()[-6000:]
        if out.exists():
            break
    assert out.exists()
    assert set(server.asked.values()) == {1}  # nobody was asked twice
    tags = chunk_runs()
    assert len(tags) == 3 and all("dagster/sensor_name" not in t for t in tags)
    assert {t["orimono/airflow_run"].split("/")[0] for t in tags} == {"orimono_chunk_retries"}


def test_dags_leave_cadences_alone_that_dagster_owns(airflow: Airflow, webserver: House) -> None:
    names = "{repositoriesOrError{... on RepositoryConnection{nodes{schedules{name}}}}}"
    (node,) = webserver.ask(names)["repositoriesOrError"]["nodes"]
    assert {s["name"] for s in node["schedules"]} == {c.name for c in CADENCES}
    before = webserver.runs()
    environ = {"ORIMONO_DAGSTER_URL": f"http://127.0.0.1:{webserver.port}"}
    for cadence in (*CADENCES, *LOOKOUTS):
        done = airflow.test(cadence.name, 99, environ=environ)
        assert {t["state"] for t in done["tasks"]} == {"skipped"}, cadence.name
    assert webserver.runs() == before


def test_the_command_itself(house: House, airflow: Airflow, airflow_home: Path) -> None:
    command = [str(PROGRAMS / "airflow"), "dags", "test", "orimono_hourly_retention"]
    url = f"http://127.0.0.1:{house.port}"
    done = subprocess.run(command, env=environment(airflow_home, url), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = runs_of(house, "hourly_retention")
    assert run["status"] == "SUCCESS" and link(house, run) in done.stdout + done.stderr
