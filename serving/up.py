"""`orimono up`: the whole house on one machine, kept running until somebody stops it. Which parts it has is parts.py's,
starting them again supervisor.py's."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.identity import keys
from pipelines.settings import PROJECT, Settings
from pipelines.storage import embedded
from pipelines.studio import Studio
from resources import instance
from serving import supervisor
from serving.parts import parts

log = logging.getLogger(__name__)

RECORD = "up.pids"
DATABASE_LEAVE_SECONDS = 5.0
TABLES_SECONDS = 120.0
DATABASE_SECONDS = 1.0  # between two looks whether the embedded server runs


def up(settings: Settings, port: int, api_port: int) -> int:
    """Runs until it is interrupted (0), or one of its parts cannot start, which ends the others (1)."""
    if port == api_port:
        raise BadInput(f"port {port}", "is given twice", "set ORIMONO_PORT and ORIMONO_API_PORT to different ones")
    home = settings.home_path
    if not home.exists():  # nothing is made where it cannot start
        _must_be_free(port, "ORIMONO_PORT")
        _must_be_free(api_port, "ORIMONO_API_PORT")
    with _alone(home):
        supervisor.end_leftovers(home / RECORD)
        _must_be_free(port, "ORIMONO_PORT")
        _must_be_free(api_port, "ORIMONO_API_PORT")
        settings = replace(settings, port=str(port), api_port=str(api_port))
        studio = Studio.open(settings)
        ended = threading.Event()
        keeping = threading.Thread(target=_keep_database, args=(home, ended), daemon=True)
        try:
            dagster_environment = instance.prepare(settings, studio.database)
            _make_dagster_tables(dagster_environment)
            settings.inbox.mkdir(parents=True, exist_ok=True)
            print(greeting(settings, keys.first(studio)), flush=True)
            ours = {"ORIMONO_PORT": str(port), "ORIMONO_API_PORT": str(api_port)}
            if not settings.database_url:
                keeping.start()
            return supervisor.Supervisor(parts(settings, ours, ours | dagster_environment), home / RECORD).run()
        finally:
            ended.set()
            if keeping.is_alive():
                keeping.join(DATABASE_LEAVE_SECONDS)
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


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One at a time: two houses in one home would do everything twice."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(home, "is up already", "stop that one first, or set another ORIMONO_HOME") from None
        yield
    finally:
        os.close(descriptor)


def _make_dagster_tables(environment: Mapping[str, str]) -> None:
    """Once, before three programs that begin together would each try to; a process of its own spares us Dagster's
    hundred megabytes."""
    command = [sys.executable, "-m", "dagster", "instance", "info"]
    done = subprocess.run(  # noqa: S603
        command, env={**os.environ, **environment}, cwd=PROJECT, capture_output=True, text=True, timeout=TABLES_SECONDS
    )
    if done.returncode:
        log.debug("dagster instance info said: %s", done.stderr)  # it may hold the database's address
        raise Unavailable("Dagster's tables", "could not be made; see ORIMONO_LOG_LEVEL=DEBUG", 10)


def _keep_database(home: Path, ended: threading.Event) -> None:
    """Starts the embedded server again when it was killed: Dagster's programs know only its address."""
    told = ""
    while not ended.wait(DATABASE_SECONDS):
        try:
            embedded.start(home)
            told = ""
        except (OrimonoError, OSError) as error:
            if str(error) != told:
                told = str(error)
                log.warning("%s", told)


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
