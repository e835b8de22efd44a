"""The server as a process: how soon it answers, what it does not load, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pipelines.errors import BadInput
from pipelines.identity import keys
from pipelines.settings import Settings
from pipelines.storage.database import Database
from serving.api import server as serving
from tests.dags.house import ORIMONO, free_ports

HEAVY = (
    "tensorflow",
    "keras",
    "librosa",
    "pandas",
    "matplotlib",
    "cv2",
    "av",
    "dagster",
    "lightgbm",
    "great_expectations",
)


@dataclass
class Process:
    process: subprocess.Popen[bytes]
    url: str
    port: int
    home: Path

    def lines(self) -> list[dict[str, object]]:
        """Of its log."""
        return [json.loads(line) for line in (self.home / "serve.err").read_text().splitlines()]

    def output(self) -> str:
        return (self.home / "serve.out").read_text()


@contextlib.contextmanager
def serve(settings: Settings, *command: str) -> Iterator[Process]:
    """`orimono serve` over the test's database; ended at the end."""
    (port,) = free_ports(1)
    home = settings.home_path
    home.mkdir(parents=True, exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_"))}
    environment |= {"ORIMONO_HOME": str(home), "ORIMONO_DATABASE_URL": settings.database_url}
    environment |= {"ORIMONO_LOG_LEVEL": "DEBUG"}
    with (home / "serve.out").open("wb") as out, (home / "serve.err").open("wb") as err:
        process = subprocess.Popen(
            [*(command or (ORIMONO, "serve")), "--port", str(port)], env=environment, stdout=out, stderr=err
        )
    found = Process(process, f"http://127.0.0.1:{port}", port, home)
    try:
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{found.url}/health/ready").status_code == 200:
                    break
            assert process.poll() is None, (home / "serve.err").read_text()
            assert time.monotonic() < end, (home / "serve.err").read_text()
            time.sleep(0.05)
        yield found
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def key_of(database: Database, role: str = "editor") -> str:
    with database.session() as session:
        return keys.make(session, "ada", role).key  # type: ignore[arg-type]


WATCHED = """
import sys, threading, time
from serving import cli

def tell():
    import os
    while not os.path.exists({flag!r}):
        time.sleep(0.05)
    print("LOADED", *sorted(set({heavy!r}) & set(sys.modules)), flush=True)

threading.Thread(target=tell, daemon=True).start()
sys.exit(cli.main(["serve", *sys.argv[1:]]))
"""


def test_the_first_requests_load_nothing_heavy(settings: Settings, database: Database) -> None:
    flag = settings.home_path / "flag"
    program = WATCHED.format(flag=str(flag), heavy=HEAVY)
    headers = {"Authorization": f"Bearer {key_of(database, 'administrator')}"}
    with serve(settings, sys.executable, "-c", program) as process:
        for path in (
            "/health",
            "/docs",
            "/openapi.json",
            "/sign-in",
            "/v1/jobs",
            "/v1/models",
            "/v1/flags",
            "/metrics",
        ):
            assert httpx.get(f"{process.url}{path}", headers=headers, timeout=30).status_code == 200, path
        flag.touch()
        end = time.monotonic() + 20
        while "LOADED" not in process.output():
            assert time.monotonic() < end
            time.sleep(0.05)
        assert "LOADED\n" in process.output(), process.output()


def test_what_is_under_way_is_answered_and_the_rest_ended_properly(settings: Settings, database: Database) -> None:
    key = key_of(database)
    body = json.dumps({"features": [0.0]}).encode()
    head = (
        f"POST /v1/models/none/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    closed: list[int | None] = []
    with serve(settings) as process:

        def listen() -> None:
            url = process.url.replace("http", "ws") + "/v1/live"
            with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as live:
                try:
                    while True:
                        live.recv(timeout=60)
                except ConnectionClosed as end:
                    closed.append(end.rcvd.code if end.rcvd else None)

        thread = threading.Thread(target=listen)
        thread.start()
        with socket.create_connection(("127.0.0.1", process.port), timeout=30) as slow:
            slow.sendall(head.encode() + body[:5])
            time.sleep(0.5)  # the WebSocket is open by then, and half a body is here
            process.process.send_signal(signal.SIGTERM)
            end = time.monotonic() + 10
            statuses = set()
            while 503 not in statuses:
                with contextlib.suppress(httpx.HTTPError):
                    statuses.add(httpx.get(f"{process.url}/health/ready").status_code)
                assert time.monotonic() < end, statuses
            with pytest.raises(httpx.ConnectError):
                while True:
                    httpx.get(f"{process.url}/health/live")
                    assert time.monotonic() < end
            slow.sendall(body[5:])
            answer = b""
            while part := slow.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 404 "), answer
        assert b"connection: close" in answer.lower()
        assert process.process.wait(20) == 0
        thread.join(20)
        lines = process.lines()
    assert closed == [1012]
    told = [line["route"] for line in lines if line.get("event") == "request"]
    assert "POST /v1/models/{name}/predict" in told
    assert "WS /v1/live" in told
    assert key not in json.dumps(lines)


def test_a_first_key_is_told_once(settings: Settings, database: Database) -> None:
    for times in (1, 0):
        with serve(settings) as process:
            end = time.monotonic() + 20
            while times and "First key" not in process.output():
                assert time.monotonic() < end
                time.sleep(0.05)
            process.process.send_signal(signal.SIGINT)
            assert process.process.wait(20) == 0
            assert process.output().count("First key") == times
            if times:
                key = process.output().split("First key")[1].split()[0]
                assert keys.FORM.match(key)
                assert key not in (process.home / "serve.err").read_text()


def test_a_port_that_is_in_use_is_bad_input() -> None:
    with (
        serving.listen("127.0.0.1", 0) as taken,
        pytest.raises(BadInput, match="cannot be listened on"),
    ):
        serving.listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(BadInput, match="is no port"):
        serving.listen("127.0.0.1", 70_000)
