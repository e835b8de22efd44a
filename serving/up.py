"""Starts and watches the processes of a house on one machine: the Dagster UI, its daemon and the code location."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.settings import PROJECT, Settings
from pipelines.storage.database import Database
from resources import instance

LEAVE_SECONDS = 5.0
STOP_SECONDS = 45.0  # a run's process gets this long to end its step


def up(settings: Settings, port: int) -> int:
    """Runs until it is interrupted or one process ends; returns the exit code."""
    _must_be_free(port)
    database = Database(settings)
    database.migrate()
    environment = {**os.environ, **instance.prepare(settings, database)}
    settings.inbox.mkdir(parents=True, exist_ok=True)
    print(f"Dagster UI  http://127.0.0.1:{port}\nInbox       {settings.inbox}\nCtrl-C stops everything.", flush=True)
    dagster = subprocess.Popen(  # noqa: S603
        [
            str(Path(sys.executable).with_name("dg")),
            "dev",
            *("-w", str(PROJECT / "workspace.yaml")),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--log-level", settings.log_level.lower()),
        ],
        cwd=PROJECT,
        env=environment,
        # In a group of its own: the terminal's Ctrl-C comes to us alone, and what is left can be ended as one.
        start_new_session=True,
        # A shell starts its background jobs with SIGINT ignored, which would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return dagster.wait()
    except KeyboardInterrupt:
        return _stop(dagster)
    finally:
        _end_group(dagster.pid)
        dagster.wait()
        database.close()


def _stop(dagster: subprocess.Popen[bytes]) -> int:
    dagster.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        dagster.wait(STOP_SECONDS)
    return 0


def _end_group(group: int) -> None:
    """Ends what is left of the processes: Dagster's code servers now and then outlive who started them."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + LEAVE_SECONDS
        try:
            os.killpg(group, ending)
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def _must_be_free(port: int) -> None:
    if not 0 < port < 1 << 16:
        raise BadInput(f"port {port}", "is no port", "give one from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = f"is in use ({error.strerror})"
            raise BadInput(f"port {port}", reason, "stop what uses it or set ORIMONO_PORT") from error
