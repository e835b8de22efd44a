"""Airflow as docker-compose.yml describes it, each container's command a process: it migrates a database of its own,
gets well by its health checks, and finds a DAG for each cadence."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dags.cadences import CADENCES
from tests.deploy import postgres
from tests.deploy.compose import PROJECT, Stack, stack

pytestmark = [
    pytest.mark.xdist_group("daemon"),
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (PROJECT / ".venv-airflow/bin/airflow").exists(), reason="needs `make airflow`"),
]

SERVICES = ("airflow-migrations", "airflow-api", "airflow-scheduler", "airflow-dag-processor")


@pytest.fixture(scope="module")
def airflow() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="orimono-airflow-"))
    folder.chmod(0o755)
    try:
        with stack(folder) as found:
            command, address = found.compose["services"]["postgres"]["command"], found.addresses["postgres"]
            with postgres.server(folder / "pg", folder / "secrets", PROJECT / "deploy/postgres", command, address):
                for service in SERVICES:
                    found.start(service)
                for service in SERVICES[1:]:
                    found.wait(service)
                yield found
                found.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ask(airflow: Stack, path: str, body: dict[str, str] | None = None, token: str = "") -> Any:
    url = f"http://{airflow.addresses['airflow-api']}:8080{path}"
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_each_cadence_is_a_dag(airflow: Stack) -> None:
    password = json.loads((airflow.folder / "secrets" / "airflow_users").read_text())["admin"]
    token = ask(airflow, "/auth/token", {"username": "admin", "password": password})["access_token"]
    end = time.monotonic() + 240
    wanted = {f"orimono_{cadence.name}" for cadence in CADENCES}
    while not wanted <= (found := {dag["dag_id"] for dag in ask(airflow, "/api/v2/dags", token=token)["dags"]}):
        assert time.monotonic() < end, f"{wanted - found}\n{airflow.log('airflow-dag-processor')[-4000:]}"
        time.sleep(2)
    assert ask(airflow, "/api/v2/importErrors", token=token)["total_entries"] == 0


def test_no_secret_is_told(airflow: Stack) -> None:
    words = [path.read_text().strip() for path in (airflow.folder / "secrets").iterdir()]
    told = [airflow.log(service) for service in SERVICES]
    told += [value for service in SERVICES for value in airflow.environment(service).values()]
    assert [place[:200] for place in told if any(word in place for word in words)] == []
