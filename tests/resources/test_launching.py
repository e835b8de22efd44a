"""Whether a run still lives: by its process on one machine, by its code server elsewhere; unknown counts as living."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.instance import DagsterInstance
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test

from resources.launching import STARTED, lives
from tests.dags.house import free_ports

LAUNCHER = {"run_launcher": {"module": "resources.launching", "class": "WatchedRunLauncher"}}
TINY = "import dagster as dg\n\n@dg.job\ndef nothing():\n    pass\n\ndefs = dg.Definitions(jobs=[nothing])\n"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path), overrides=LAUNCHER) as found:
        yield found


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as found:
        yield found
        found.kill()


def started(instance: dg.DagsterInstance, where: dict[str, object], pid: int | None) -> dg.DagsterRun:
    tags = {GRPC_INFO_TAG: json.dumps({"host": "localhost", **where})}
    run = create_run_for_test(instance, job_name="nothing", status=dg.DagsterRunStatus.STARTED, tags=tags)
    if pid is not None:
        instance.report_engine_event(f"{STARTED}{pid}).", run, EngineEventData.in_process(pid))
    return run


def health(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerStatus:
    launcher = instance.run_launcher
    assert launcher.supports_check_run_worker_health
    return launcher.check_run_worker_health(run).status


def test_a_run_lives_as_long_as_its_process(instance: dg.DagsterInstance, process: subprocess.Popen[bytes]) -> None:
    run = started(instance, {"socket": "/nowhere/code.sock"}, process.pid)
    assert health(instance, run) is WorkerStatus.RUNNING
    os.kill(process.pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while health(instance, run) is not WorkerStatus.FAILED:  # though nobody has reaped it
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_number_that_was_given_out_again_is_another_process(process: subprocess.Popen[bytes]) -> None:
    assert lives(process.pid, time.time())
    assert not lives(process.pid, time.time() - 3600)


def test_what_cannot_be_known_counts_as_living(instance: dg.DagsterInstance) -> None:
    assert health(instance, started(instance, {"socket": "/nowhere/code.sock"}, None)) is WorkerStatus.RUNNING
    (port,) = free_ports(1)
    assert health(instance, started(instance, {"port": port}, None)) is WorkerStatus.RUNNING
    run = create_run_for_test(instance, job_name="nothing", status=dg.DagsterRunStatus.STARTED)
    assert health(instance, run) is WorkerStatus.RUNNING


def test_elsewhere_a_code_server_that_was_started_anew_has_lost_its_runs(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    run = started(instance, {"port": port}, 1)
    (tmp_path / "tiny.py").write_text(TINY)
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-f", str(tmp_path / "tiny.py"), "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + 120
            while health(instance, run) is not WorkerStatus.FAILED:
                assert server.poll() is None and time.monotonic() < end
                time.sleep(0.2)
        finally:
            server.kill()
