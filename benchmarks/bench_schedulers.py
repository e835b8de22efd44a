"""Every cadence run by both schedulers, each in a house of its own: by Dagster's daemon with its clock moved through
a Sunday's morning, and by the real Airflow (scheduler, DAG processor, API), some at their own times, some triggered.
In both a sheet is scored of which one chunk fails once. Counted: runs that a cadence's slot got, which is one.

`python -m benchmarks.bench_schedulers [dagster|airflow]`; `make airflow` must have been run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.measure import RESULTS, Figure, write
from dags.cadences import CADENCES, LOOKOUTS
from pipelines.settings import PROJECT
from tests.airflow.airflow_process import PROGRAMS, environment
from tests.dags.house import House, free_ports, opened
from tests.dags.test_scoring_daemon import job, sheets
from tests.scoring.llm_server import LLM, Behaviour, serve

# The harmonizer is trained as it is shipped: after one epoch its report would rightly stop the release.
SMALL = {"ORIMONO_CORPUS_ITEMS": "60", "ORIMONO_RECOMMENDER_EPOCHS": "1"}
TOKYO = ZoneInfo("Asia/Tokyo")
# What of a Sunday's morning is enough for every cadence to come due.
NIGHT = ((2, 30), (3, 10), (4, 0), (4, 15), (4, 20), (7, 0))
LONG = 3600.0  # s
NATURAL = "service_level_check"  # every five minutes, so soon enough to be waited for


def run(which: str = "") -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for name, measure in (("dagster", _by_dagster), ("airflow", _by_airflow)):
        if which in ("", name):
            with tempfile.TemporaryDirectory() as folder, serve(Behaviour(latency=0.002, fail="stumble")) as server:
                figures |= measure(Path(folder), server)
    return figures


def _by_dagster(folder: Path, server: LLM) -> dict[str, Figure]:
    now = datetime.now(TOKYO) + timedelta(minutes=10)
    sunday = now + timedelta(days=7 - now.isoweekday() if now.isoweekday() < 7 else 7)
    clock, home = folder / "clock", folder / "home"
    home.mkdir()

    def move_to(hour: int, minute: int) -> None:
        moment = sunday.replace(hour=hour, minute=minute, second=0, microsecond=0) - timedelta(seconds=5)
        clock.write_text(str((moment - datetime.now(UTC)).total_seconds()))

    move_to(2, 20)
    moved = {"MOVED_CLOCK": str(clock), "PYTHONPATH": str(PROJECT / "tests" / "dags" / "moved_clock")}
    moved |= {"MOVED_CLOCK_OF": "scheduler"}  # what deletes refuses to while its clock is not the database's
    with _house(home, server, "dagster", moved) as house:
        _score(house, server, folder)
        for hour, minute in NIGHT:
            due = {c.name for c in CADENCES if _at(c.cron, hour, minute)}
            before = Counter({name: len(runs) for name, runs in _ended(house).items()})
            move_to(hour, minute)

            def ran(due: set[str] = due, before: Counter[str] = before) -> bool:
                return all(len(_ended(house).get(name, ())) > before[name] for name in due)

            _until(ran, f"runs of {due}", house)
        return _figures(house, "dagster")


def _by_airflow(folder: Path, server: LLM) -> dict[str, Figure]:
    home = folder / "home"
    home.mkdir()
    with _house(home, server, "airflow", {}) as house, _airflow(folder, house) as airflow:
        names = {f"orimono_{c.name}" for c in (*CADENCES, *LOOKOUTS)}
        _until(lambda: names <= {d["dag_id"] for d in airflow.ask("dags")["dags"]}, "all DAGs", house)
        _score(house, server, folder)
        for cadence in CADENCES:
            if cadence.name != NATURAL:
                airflow.ask(f"dags/orimono_{cadence.name}/dagRuns", {"logical_date": None})
        _until(lambda: {c.name for c in CADENCES} <= set(_ended(house)), "a run of each cadence", house)
        for cadence in CADENCES:
            states = airflow.states(cadence.name)
            _until(lambda n=cadence.name: "running" not in airflow.states(n), cadence.name, house)
            print(cadence.name, states, file=sys.stderr, flush=True)
        return _figures(house, "airflow")


@contextlib.contextmanager
def _house(home: Path, server: LLM, scheduler: str, extra: dict[str, str]) -> Iterator[House]:
    scoring = {"ORIMONO_OPENAI_BASE_URL": server.url, "ORIMONO_SCORE_PROVIDER": "openai", "ORIMONO_SCORE_MODEL": "m"}
    with opened(home, {**SMALL, **scoring, **extra, "ORIMONO_SCHEDULER": scheduler}) as house:
        yield house


@dataclass(frozen=True)
class _Airflow:
    url: str
    token: str

    def ask(self, path: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/api/v2/{path}", data, headers), timeout=60
        ) as a:
            return json.load(a)

    def states(self, cadence: str) -> dict[str, int]:
        runs = self.ask(f"dags/orimono_{cadence}/dagRuns?limit=100")["dag_runs"]
        return Counter(run["state"] for run in runs)


@contextlib.contextmanager
def _airflow(folder: Path, house: House) -> Iterator[_Airflow]:
    """All of it, as `airflow standalone` starts it, with every visitor let in on loopback."""
    (port,) = free_ports(1)
    home = folder / "airflow"
    home.mkdir()
    env = environment(home, f"http://127.0.0.1:{house.port}") | {
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__PARALLELISM": "16",
    }
    with (folder / "airflow.log").open("w") as log:
        process = subprocess.Popen(
            [str(PROGRAMS / "airflow"), "standalone"], env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"

        def token() -> str:
            try:
                with urllib.request.urlopen(f"{url}/auth/token", timeout=30) as answer:
                    return str(json.load(answer)["access_token"])
            except (OSError, urllib.error.URLError):
                assert process.poll() is None, (folder / "airflow.log").read_text()[-6000:]
                return ""

        yield _Airflow(url, _until(token, "Airflow's API", house))
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):  # it leaves its scheduler behind
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _score(house: House, server: LLM, folder: Path) -> None:
    """A sheet through the hands of whoever owns the cadences; one of its chunks fails until the model is mended."""
    house.orimono("ingest", str(job(folder / "opinions")))
    _until(lambda: any(s["status"] == "partly failed" for s in sheets(house)), "a chunk that failed", house)
    server.behaviour.fail = ""
    _until((house.home / "results" / "opinions" / "opinions.scored.csv").exists, "the scored sheet", house)
    assert set(server.asked.values()) == {1}, "a row was asked twice"


def _runs(house: House) -> list[dict[str, Any]]:
    query = """{runsOrError{... on Runs{results{runId status jobName startTime endTime tags{key value}}}}}"""
    runs = house.ask(query)["runsOrError"]["results"]
    return [{**run, "tags": {t["key"]: t["value"] for t in run["tags"]}} for run in runs]


def _ended(house: House) -> dict[str, list[dict[str, Any]]]:
    """Runs of cadences by name, those that have ended."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in _runs(house):
        if (name := run["tags"].get("orimono/cadence")) and run["status"] in ("SUCCESS", "FAILURE", "CANCELED"):
            found.setdefault(name, []).append(run)
    return found


def _why(house: House, run: dict[str, Any]) -> str:
    """What a run says of its failure."""
    query = """query($run: ID!) {logsForRun(runId: $run, limit: 5000) {... on EventConnection {events {
      ... on ExecutionStepFailureEvent {stepKey error {message errorChain {error {message}}}}
      ... on RunFailureEvent {message}}}}}"""
    events = house.ask(query, run=run["runId"])["logsForRun"]["events"]
    return "\n".join(json.dumps(event)[:800] for event in events if event)


def _figures(house: House, scheduler: str) -> dict[str, Figure]:
    ended = _ended(house)
    for name, runs in ended.items():
        for run in runs:
            if run["status"] != "SUCCESS":
                print(f"{name} {run['status']}\n{_why(house, run)}", file=sys.stderr, flush=True)
    figures = {}
    for cadence in CADENCES:
        good = [run for run in ended.get(cadence.name, ()) if run["status"] == "SUCCESS"]
        figures[f"{scheduler}_{cadence.name}"] = Figure(len(good), "runs", at_least=1)
    bad = sum(run["status"] != "SUCCESS" for runs in ended.values() for run in runs)
    figures[f"{scheduler}_failed"] = Figure(bad, "runs", at_most=0)
    slots = Counter(
        (run["tags"]["orimono/cadence"], run["tags"]["orimono/slot"])
        for run in _runs(house)
        if "orimono/slot" in run["tags"]
    )
    figures[f"{scheduler}_slots"] = Figure(len(slots), "slots", at_least=1)
    figures[f"{scheduler}_runs_a_slot"] = Figure(max(slots.values(), default=0), "runs", at_most=1)
    chunks = [run for run in _runs(house) if run["jobName"] == "scoring_chunks"]
    figures[f"{scheduler}_chunk_retries"] = Figure(len(chunks) - 1, "runs", at_least=1)
    by_sensor = sum("dagster/sensor_name" in run["tags"] for run in chunks)
    foreign = by_sensor if scheduler == "airflow" else len(chunks) - by_sensor
    figures[f"{scheduler}_chunk_runs_by_the_other"] = Figure(foreign, "runs", at_most=0)
    return figures


def _until(condition: Callable[[], Any], what: str, house: House, seconds: float = LONG) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} after {seconds:g} s\n{house.log()[-6000:]}")
        time.sleep(1)
    print(f"{datetime.now(UTC):%H:%M:%S} {what}", file=sys.stderr, flush=True)
    return found


def _at(cron: str, hour: int, minute: int) -> bool:
    """Whether a cadence is due at that time of a Sunday."""
    minutes, hours, *_ = cron.split()
    step = minutes.removeprefix("*/")
    fits = minute % int(step) == 0 if step != minutes else minute == int(minutes)
    return fits and hours in ("*", str(hour))


if __name__ == "__main__":
    which = sys.argv[1] if len(sys.argv) > 1 else ""
    found = run(which)
    path = RESULTS / "schedulers.json"
    if which and path.exists():  # the other half stays as it was measured
        kept = json.loads(path.read_text())["figures"]
        older = {k: Figure(v["value"], v["unit"], v["at_most"], v["at_least"], v["note"]) for k, v in kept.items()}
        found = {**{k: v for k, v in older.items() if not k.startswith(which)}, **found}
    print(write("schedulers", found))
