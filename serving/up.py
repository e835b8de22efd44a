"""Starts and watches the processes of a house on one machine: the Dagster UI with its daemon and code location, and the
API with the admin pages."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.identity import keys
from pipelines.settings import PROJECT, Settings
from pipelines.studio import Studio
from resources import instance

LEAVE_SECONDS = 5.0
STOP_SECONDS = 45.0  # a run's process gets this long to end its step, the API less: it needs 20 s at most
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    process: subprocess.Popen[bytes]
    ending: signal.Signals  # what it takes for a wish to end


def up(settings: Settings, port: int, api_port: int) -> int:
    """Runs until it is interrupted (0) or one of its parts ends, which ends the others (1)."""
    _must_be_free(port, "ORIMONO_PORT")
    _must_be_free(api_port, "ORIMONO_API_PORT")
    if port == api_port:
        raise BadInput(f"port {port}", "is given twice", "set ORIMONO_PORT and ORIMONO_API_PORT to different ones")
    settings = replace(settings, port=str(port), api_port=str(api_port))
    studio = Studio.open(settings)
    try:
        dagster_environment = instance.prepare(settings, studio.database)
        settings.inbox.mkdir(parents=True, exist_ok=True)
        _greet(settings, keys.first(studio))
        ours = {"ORIMONO_PORT": str(port), "ORIMONO_API_PORT": str(api_port)}
        return _run(settings, ours, ours | dagster_environment)
    finally:
        studio.database.close()


def greeting(settings: Settings, first_key: str | None) -> str:
    lines = [
        f"Dagster UI   {settings.dagster_address}",
        f"API docs     {settings.api_address}/docs",
        f"Admin pages  {settings.api_address}/",
        f"Inbox        {settings.inbox}",
    ]
    if first_key is not None:
        lines.append(first_key_told(first_key))
    return "\n".join([*lines, "Ctrl-C stops everything."])


def first_key_told(key: str) -> str:
    return (
        f"First key    {key}\n"
        "             An administrator's, shown this once and kept nowhere: sign in with it, or send it as\n"
        "             Authorization: Bearer KEY. `orimono key new` makes others."
    )


def _greet(settings: Settings, first_key: str | None) -> None:
    print(greeting(settings, first_key), flush=True)


def _run(settings: Settings, api_environment: Mapping[str, str], dagster_environment: Mapping[str, str]) -> int:
    program = Path(sys.executable)
    dagster = [
        *(str(program.with_name("dg")), "dev", "-w", str(PROJECT / "workspace.yaml")),
        *("--host", "127.0.0.1", "--port", settings.port, "--log-level", settings.log_level.lower()),
    ]
    api = [str(program), "-m", "serving.cli", "serve"]
    parts: list[Part] = []
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # Its own greeting would be this one's again.
        parts.append(Part("the API", _started(api, api_environment, stdout=subprocess.DEVNULL), signal.SIGTERM))
        parts.append(Part("Dagster", _started(dagster, dagster_environment), signal.SIGINT))
        while True:
            for part in parts:
                if (code := part.process.poll()) is not None:
                    print(f"{part.name} has ended (exit code {code}), so all of it ends", file=sys.stderr, flush=True)
                    return 1
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(parts)


def _started(
    command: Sequence[str], environment: Mapping[str, str], stdout: int | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603
        command,
        cwd=PROJECT,
        stdout=stdout,
        env={**os.environ, **environment},
        # In a group of its own: the terminal's Ctrl-C comes to us alone, and what is left can be ended as one.
        start_new_session=True,
        # A shell starts its background jobs with SIGINT ignored, which would be inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def _stop(parts: Sequence[Part]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C leaves nobody behind
    for part in parts:
        if part.process.poll() is None:
            part.process.send_signal(part.ending)
    deadline = time.monotonic() + STOP_SECONDS
    for part in parts:
        with contextlib.suppress(subprocess.TimeoutExpired):
            part.process.wait(max(0.1, deadline - time.monotonic()))
    for part in parts:
        _end_group(part.process.pid)
        part.process.wait()


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


def _must_be_free(port: int, variable: str) -> None:
    if not 0 < port < 1 << 16:
        raise BadInput(f"port {port}", "is no port", "give one from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = f"is in use ({error.strerror})"
            raise BadInput(f"port {port}", reason, f"stop what uses it or set {variable}") from error
