"""Launches runs as Dagster does by default, as children of the code server, and can tell whether one still lives.

Dagster's own launcher cannot: a run whose process was lost together with its code server would stay "started" for ever,
and its batch with it. Who asks, and what follows, is Dagster's run monitoring (dagster.yaml in instance.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._serdes.config_class import ConfigurableClassData

STARTED = "Started process for run (pid: "  # how the run's own process begins the event that names it
CLOCK_SECONDS = 2.0  # a process began before its first event, by the system's clock


class WatchedRunLauncher(DefaultRunLauncher):
    """On one machine (the code server listens on a Unix socket) by the run's process, elsewhere by what the code server
    knows. Where neither can be asked the run counts as living: it is asked about again."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> WatchedRunLauncher:
        return cls(inst_data=inst_data)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        where = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if where.get("socket"):
            return self._by_process(run)
        if where.get("port"):
            return self._by_code_server(run, where)
        return CheckRunHealthResult(WorkerStatus.RUNNING, "it is not known where it was launched")

    def _by_process(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        events = self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        started = [event for event in events if event.message.startswith(STARTED)]
        if not started:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "it has not told its process")
        newest = started[-1]
        pid = int(newest.message[len(STARTED) :].rstrip(").\n"))
        if lives(pid, newest.timestamp):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process ({pid}) is gone")

    def _by_code_server(self, run: dg.DagsterRun, where: Mapping[str, Any]) -> CheckRunHealthResult:
        from dagster._grpc.client import DagsterGrpcClient
        from dagster._grpc.types import GetCurrentRunsResult
        from dagster._serdes import deserialize_value

        client = DagsterGrpcClient(where["port"], None, where["host"], use_ssl=bool(where.get("use_ssl")))
        try:
            answer = deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except dg.DagsterError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "its code server does not answer")
        if answer.serializable_error_info is not None or run.run_id in answer.current_runs:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its code server was started anew")


def lives(pid: int, seen: float) -> bool:
    """Whether the process of this number that was there at ``seen`` (s since 1970) still is, and no other of it."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= seen + CLOCK_SECONDS and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
