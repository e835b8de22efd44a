"""The parts of a house on one machine: code server, Dagster's daemon and webserver, API; how each is started, and asked
whether it is well. Keeping them is supervisor.py's."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput
from pipelines.settings import PROJECT, Settings
from serving.dagster_ui import LOCATION
from serving.supervisor import Part

CODE = "the code server"
ASK_TIMEOUT = 10.0  # s
LAUNCH_SECONDS = "180"  # a run's process gets so long to begin: on a busy machine Dagster's 60 s are too few
DAEMON_SILENCE = 300.0  # s without a heartbeat, which Dagster writes every 30 s
MOST_ANSWER = 1 << 20  # bytes
SOCKET_LIMIT = 100  # bytes that a socket's path may have (107 on Linux, 103 on macOS)
_RUNS = "/api.DagsterApi/GetCurrentRuns"
_HEARTBEATS = "{instance{daemonHealth{allDaemonStatuses{required lastHeartbeatTime}}}}"


def parts(settings: Settings, ours: Mapping[str, str], dagster: Mapping[str, str]) -> list[Part]:
    """In the order in which they end. ``ours`` and ``dagster``: environment of our own programs, and of Dagster's."""
    dagster = {**dagster, "DAGSTER_GRPC_TIMEOUT_SECONDS": LAUNCH_SECONDS}
    python, level = sys.executable, settings.log_level.lower()
    socket = code_socket(settings.home_path)
    workspace = _workspace(settings.home_path, socket)
    ui, api = f"http://127.0.0.1:{settings.port}", f"http://{_loopback(settings.api_host)}:{settings.api_port}"
    code = [
        *(python, "-m", "dagster", "api", "grpc", "--socket", str(socket), "--location-name", LOCATION),
        *("-m", "definitions", "-d", str(PROJECT), "--log-level", "warning"),
    ]
    webserver = [
        *(python, "-m", "serving.ui_guard", "--host", "127.0.0.1", "--port", settings.port, "-w", str(workspace)),
        *("--dagster-log-level", level),
    ]
    # At "info" it says every few seconds that there was nothing to do.
    beats = "warning" if level == "info" else level
    daemon = [python, "-m", "dagster._daemon", "run", "-w", str(workspace), "--log-level", beats]
    return [
        # Its own greeting would be ours again.
        Part(
            "the API",
            [python, "-m", "serving.cli", "serve"],
            ours,
            PROJECT,
            lambda: _answers(f"{api}/health/live"),
            quiet=True,
        ),
        # Without the code these two would print a page of errors, and the daemon look for schedules a minute later.
        Part("Dagster's daemon", daemon, dagster, PROJECT, lambda: _daemon_beats(ui), after=CODE),
        Part("Dagster's webserver", webserver, dagster, PROJECT, lambda: _answers(f"{ui}/server_info"), after=CODE),
        Part(CODE, code, dagster, PROJECT, lambda: _serves(socket)),
    ]


def code_socket(home: Path) -> Path:
    """Where the code server listens: always the same for a home, since a run remembers it. In the home, or in the
    temporary folder where that path would be too long; nobody else may go into the folder."""
    beside = home / "dagster" / "code.sock"
    if len(os.fsencode(beside)) <= SOCKET_LIMIT:
        beside.parent.mkdir(parents=True, exist_ok=True)
        return beside
    folder = Path(f"/tmp/orimono-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}-code")  # noqa: S108
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise BadInput(folder, "is not ours alone", "choose a shorter home (ORIMONO_HOME)")
    return folder / "code.sock"


def _workspace(home: Path, socket: Path) -> Path:
    """The file that tells Dagster's programs where the code server is."""
    file = home / "dagster" / "workspace.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    where = {"socket": str(socket), "location_name": LOCATION}
    file.write_text(json.dumps({"load_from": [{"grpc_server": where}]}))  # JSON is YAML, quoted as it must be
    return file


def _loopback(host: str) -> str:
    """An address to ask who listens on ``host``."""
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"[{named}]" if ":" in named and not named.startswith("[") else named


def _answers(url: str, body: bytes | None = None) -> Any:
    """True, or the answer to ``body`` as JSON; raises OSError where nobody answers, or with an error."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {})  # noqa: S310
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=ASK_TIMEOUT) as answer:
        text = answer.read(MOST_ANSWER)
    return json.loads(text) if body else True


def _daemon_beats(ui: str) -> bool:
    """Its heartbeats are in the database, and the webserver tells them. While that one is away nobody can say."""
    try:
        answer = _answers(f"{ui}/graphql", json.dumps({"query": _HEARTBEATS}).encode())
        states = answer["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    except (OSError, ValueError, KeyError, TypeError):
        return True
    beats = [state["lastHeartbeatTime"] or 0.0 for state in states if state["required"]]
    return bool(beats) and time.time() - min(beats) < DAEMON_SILENCE


def _serves(socket: Path) -> bool:
    """Whether the code server says so, by gRPC's own protocol of health, and which runs it has, which it could not
    while the part of it that starts runs hangs."""
    import grpc  # and nothing of Dagster's: a hundred megabytes
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"unix:{socket}") as channel:
        question = health_pb2.HealthCheckRequest(service="DagsterApi")
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(question, timeout=ASK_TIMEOUT)
            channel.unary_unary(_RUNS)(b"", timeout=ASK_TIMEOUT)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
