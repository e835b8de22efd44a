"""The whole house as docker-compose.yml describes it, each container's command a process: it migrates, gets well by its
own health checks, and takes a job from the API to a result in the object store."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import ListRepositoriesResponse
from dagster._serdes import deserialize_value
from dagster_docker.container_context import DockerContainerContext
from dagster_k8s.container_context import K8sContainerContext

from serving.client import Orimono
from serving.wire.submissions import ArrangementWanted
from tests.deploy import postgres
from tests.deploy.compose import PROJECT, Stack, stack

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(900)]

OURS = ("migrations", "code", "webserver", "daemon", "api")
TUNE = PROJECT / "sample" / "tunes"


@pytest.fixture(scope="module")
def house() -> Iterator[Stack]:
    """All services of the default profile, healthy. In /tmp: another user must come to it, and sockets' paths are
    short."""
    folder = Path(tempfile.mkdtemp(prefix="orimono-compose-"))
    folder.chmod(0o755)
    try:
        with stack(folder) as found:
            services, address = found.compose["services"], found.addresses["postgres"]
            scripts = PROJECT / "deploy" / "postgres"
            assert "./deploy/postgres:/docker-entrypoint-initdb.d:ro" in services["postgres"]["volumes"]
            with (
                postgres.server(folder / "pg", folder / "secrets", scripts, services["postgres"]["command"], address),
                _object_store(found.addresses["minio"]),
            ):
                assert postgres.healthy(services["postgres"]["healthcheck"]["test"], address)
                image = found.image()
                for service in OURS:
                    found.start(service)
                for service in OURS[1:]:
                    found.wait(service)
                yield found
                assert found.image() == image  # the root is read-only
                codes = found.stop()
                assert {name: codes[name] for name in ("migrations", "api")} == {"migrations": 0, "api": 0}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _object_store:  # noqa: N801
    """In MinIO's place. Its port is the one that the compose file names."""

    def __init__(self, address: str) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address=address, port=9000, verbose=False)

    def __enter__(self) -> None:
        self._server.start()

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def secret(house: Stack, name: str) -> str:
    return (house.folder / "secrets" / name).read_text()


def dagster(house: Stack, query: str) -> Any:
    url = f"http://{house.addresses['webserver']}:3000/graphql"
    request = urllib.request.Request(url, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def test_a_job_goes_all_the_way(house: Stack, tmp_path: Path) -> None:
    made = house.asked("api", "orimono", "key", "new", "--owner", "ada", "--role", "editor", "--json")
    with Orimono(f"http://{house.addresses['api']}:3001", json.loads(made)["key"]) as ada:
        tune = sorted(TUNE.glob("*.mid"))[0]
        upload = ada.upload(tune, "melody")
        job = ada.create_arrangement(ArrangementWanted(melody=upload, styles=("chorale",), candidates=1))
        end = time.monotonic() + 480
        while (now := ada.get_job(job.name)).status not in ("finished", "failed"):
            assert time.monotonic() < end, f"{now}\n{house.log('daemon')[-3000:]}\n{house.log('code')[-6000:]}"
            time.sleep(1)
        assert now.status == "finished", now
        midi = next(result for result in ada.list_results(job.name).items if result.kind == "midi")
        assert ada.fetch(midi, tmp_path).read_bytes()[:4] == b"MThd"

    runs = dagster(house, "{runsOrError{... on Runs{results{status jobName}}}}")["runsOrError"]["results"]
    assert {"status": "SUCCESS", "jobName": "batch"} in runs
    with urllib.request.urlopen(f"http://{house.addresses['minio']}:9000/orimono?list-type=2", timeout=30) as answer:
        keys = answer.read().decode()  # the bucket was made, and used
    assert "<Key>media/" in keys and f"<Key>results/{job.name}/" in keys
    assert not [name for name in ("objects", "results") if (house.folder / "home/home" / name).exists()]
    assert not (house.folder / "home/home/inbox" / job.name).exists(), "the API has handed it over"
    assert json.loads(house.asked("api", "orimono", "status", "--json"))


def test_each_container_is_well_by_its_own_check(house: Stack) -> None:
    assert [service for service in OURS[1:] if not house.healthy(service)] == []


def test_a_check_sees_what_is_not_well(house: Stack) -> None:
    """The same commands, asked of an address where nobody is."""
    nowhere = Stack(house.folder, house.compose, {**house.addresses, "code": "127.0.0.254", "api": "127.0.0.254"})
    assert [service for service in ("code", "api") if nowhere.healthy(service)] == []


def test_a_container_a_run_would_get_what_the_code_location_has(house: Stack) -> None:
    """As Docker's launcher reads it from the code server: names alone, and none that the launching container lacks."""
    answer = DagsterGrpcClient(host=house.addresses["code"], port=4000).list_repositories()
    told = deserialize_value(answer, ListRepositoriesResponse).container_context
    context = DockerContainerContext.create_from_config(told)
    settings = {name for name in house.environment("code") if name.startswith("ORIMONO_")}
    assert {"ORIMONO_API_URL", "ORIMONO_OBJECTS_URL", "ORIMONO_DATABASE_PASSWORD_FILE"} <= settings
    assert set(context.env_vars) == settings <= set(house.environment("daemon"))
    assert K8sContainerContext.create_from_config(told) == K8sContainerContext(), "its pods have a ConfigMap"


def test_migrations_may_run_again(house: Stack) -> None:
    command = house.compose["services"]["migrations"]["command"]
    again = json.loads(house.asked("migrations", *house_entry(), *command, "--json"))
    assert again["bucket_made"] is False


def house_entry() -> list[str]:
    from tests.deploy.compose import stages

    return stages()["orimono"].entrypoint


def test_users_of_the_database_may_do_no_more_than_they_must(house: Stack) -> None:
    address, password = house.addresses["postgres"], secret(house, "database_password")
    assert postgres.query(address, "orimono", password, "orimono", "select count(*) > 20 from pg_tables") == "t"
    rights = "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"
    assert postgres.query(address, "orimono", password, "orimono_dagster", rights) == "f"
    for user, word, database, said in (
        ("orimono", "wrong", "orimono", "password authentication failed"),
        ("orimono", password, "airflow", "permission denied"),
        ("airflow", secret(house, "airflow_database_password"), "orimono", "permission denied"),
        ("airflow", secret(house, "airflow_database_password"), "postgres", "permission denied"),
    ):
        with pytest.raises(AssertionError, match=said):
            postgres.query(address, user, word, database, "select 1")


def test_no_secret_is_told(house: Stack) -> None:
    """Neither in a command line, which every user of a machine may read, nor in a log, nor in Dagster's own files."""
    words = [path.read_text().strip() for path in (house.folder / "secrets").iterdir()]
    assert len(words) == 8
    told = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            told.append(" ".join(process.cmdline()))
    told += [house.log(service) for service in OURS]
    told += [path.read_text(errors="replace") for path in (house.folder / "image").rglob("*.yaml")]
    assert [place[:200] for place in told if any(word in place for word in words)] == []
    environments = [house.environment(service) for service in OURS]
    assert not any(word in value for place in environments for value in place.values() for word in words)


def test_the_ui_is_guarded(house: Stack) -> None:
    connection = http.client.HTTPConnection(house.addresses["webserver"], 3000, timeout=30)
    try:
        connection.request("GET", "/graphql?query=%7Bversion%7D")
        assert connection.getresponse().status == 405
    finally:
        connection.close()


def test_each_listens_where_it_is_told_alone(house: Stack) -> None:
    for service, port in (("code", 4000), ("webserver", 3000), ("api", 3001)):
        socket.create_connection((house.addresses[service], port), 10).close()
        with pytest.raises(OSError):
            socket.create_connection((house.addresses["minio"], port), 10)
