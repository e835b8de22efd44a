"""The house as a person starts it (`orimono up`), in a home of its own, and how tests talk with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ORIMONO = str(Path(sys.executable).with_name("orimono"))


@dataclass(frozen=True)
class House:
    home: Path
    port: int
    api_port: int
    environment: dict[str, str]

    @property
    def api(self) -> str:
        """Where the API and the pages are."""
        return f"http://127.0.0.1:{self.api_port}"

    def orimono(self, *arguments: str) -> dict[str, Any]:
        command = [ORIMONO, *arguments, "--json"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.port}/graphql"
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def runs(self, *, scheduled: bool = False) -> list[dict[str, Any]]:
        """Newest first; those that a schedule started, or all others: a cadence may come due while a test runs."""
        data = self.ask("{runsOrError{... on Runs{results{runId status jobName tags{key value}}}}}")
        found: list[dict[str, Any]] = data["runsOrError"]["results"]
        return [r for r in found if any(t["key"] == "dagster/schedule_name" for t in r["tags"]) == scheduled]

    def wait_for(self, status: str, count: int, seconds: float = 240) -> list[dict[str, Any]]:
        end = time.monotonic() + seconds
        while True:
            runs = self.runs()
            if sum(r["status"] == status for r in runs) >= count:
                return runs
            assert time.monotonic() < end, f"no {count} runs {status}: {runs}\n{self.log()[-6000:]}"
            time.sleep(1)

    def launch(self, job: str, partition: str) -> str:
        """What the launchpad's button does; the run's id."""
        (place,) = self.ask("{repositoriesOrError{... on RepositoryConnection{nodes{name location{name}}}}}")[
            "repositoriesOrError"
        ]["nodes"]
        selector = {"repositoryName": place["name"], "repositoryLocationName": place["location"]["name"]}
        mutation = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
          __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
        tags = [{"key": "dagster/partition", "value": partition}]
        params = {"selector": {**selector, "jobName": job}, "runConfigData": {}, "executionMetadata": {"tags": tags}}
        done = self.ask(mutation, params=params)["launchRun"]
        assert done["__typename"] == "LaunchRunSuccess", done
        run_id: str = done["run"]["runId"]
        return run_id

    def log(self) -> str:
        return (self.home / "up.log").read_text()


def free_ports(count: int) -> list[int]:
    """All different: each is held until the last is found."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def opened(home: Path, extra: Mapping[str, str] | None = None) -> Iterator[House]:
    """Started and answering; ended, and looked for leftovers, at the end. ``extra``: further environment variables."""
    port, api_port = free_ports(2)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ORIMONO_", "DAGSTER_"))}
    environment |= {"ORIMONO_HOME": str(home), "ORIMONO_SETTLE_SECONDS": "0.5", **(extra or {})}
    with (home / "up.log").open("w") as log:
        up = subprocess.Popen(
            [ORIMONO, "up", "--port", str(port), "--api-port", str(api_port)],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    found = House(home, port, api_port, environment)
    try:
        end = time.monotonic() + 180
        while True:
            try:
                found.ask("{version}")
                break
            except OSError:
                assert up.poll() is None, found.log()
                assert time.monotonic() < end, found.log()
                time.sleep(0.5)
        yield found
    finally:
        up.send_signal(signal.SIGTERM)
        try:
            up.wait(90)
        finally:
            if up.poll() is None:
                os.killpg(up.pid, signal.SIGKILL)
    assert [p.cmdline()[:4] for p in psutil.process_iter() if lives_in(home, p)] == []


def lives_in(home: Path, process: psutil.Process) -> bool:
    """Whether this is a process of Dagster's, or the API's, with that home."""
    try:
        ours = process.environ().get("ORIMONO_HOME") == str(home)
        return ours and any(word in " ".join(process.cmdline()) for word in ("dagster", "serving"))
    except psutil.Error:
        return False
