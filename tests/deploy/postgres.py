"""What the image of PostgreSQL does when it is first started, with the embedded server's own programs: a cluster whose
users need passwords, the scripts of its folder, and the server by the command of the compose file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.storage import cluster

ACCOUNT = (65534, 65534) if os.geteuid() == 0 else None


@contextlib.contextmanager
def server(folder: Path, secrets: Path, scripts: Path, command: Sequence[str], address: str) -> Iterator[Path]:
    """The folder of its socket. ``folder``: to be made, near the root: a socket's path is short."""
    folder.mkdir()
    if ACCOUNT is not None:
        os.chown(folder, *ACCOUNT)
    data = str(folder / "data")
    _run(
        *("initdb", "-D", data, "-U", "postgres", f"--pwfile={secrets / 'postgres_password'}", "--no-sync"),
        *("--auth-host=scram-sha-256", "--auth-local=trust", "--encoding=UTF8", "--locale=C"),
    )
    alone = ["-D", data, "-k", str(folder), "-c", "fsync=off"]
    with _running(["postgres", *alone, "-c", "listen_addresses="], folder):
        for script in sorted(scripts.glob("*.sql")):
            text = script.read_text().replace("/run/secrets", str(secrets))
            _run("psql", "-h", str(folder), "-U", "postgres", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", text=text)
    with _running([*command, *alone, "-c", f"listen_addresses={address}"], folder):
        yield folder


def healthy(check: Sequence[str], address: str) -> bool:
    """What the health check of the compose file says of it."""
    kind, program, *arguments = check
    assert kind == "CMD"
    words = [address if word == "127.0.0.1" else word for word in arguments]
    return subprocess.run([_program(program), *words], capture_output=True, timeout=30).returncode == 0


def query(address: str, user: str, password: str, database: str, statement: str) -> str:
    """What psql prints, or raises AssertionError with what it says."""
    words = ["-h", address, "-U", user, "-d", database, "-At", "-c", statement]
    environment = {"PATH": os.defpath, "PGPASSWORD": password, "HOME": "/nonexistent"}
    done = subprocess.run([_program("psql"), *words], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _program(name: str) -> str:
    return str(cluster.binaries() / name)


def _run(program: str, *arguments: str, text: str | None = None) -> None:
    done = subprocess.run(
        [_program(program), *arguments],
        input=text,
        capture_output=True,
        text=True,
        cwd="/",
        env={"PATH": os.defpath, "LC_ALL": "C"},
        timeout=120,
        **_as_account(),
    )
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def _running(command: Sequence[str], folder: Path) -> Iterator[None]:
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [_program(command[0]), *command[1:]],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **_as_account(),
        )
    try:
        end = time.monotonic() + 120
        ready = [_program("pg_isready"), "-h", str(folder), "-U", "postgres"]
        while subprocess.run(ready, capture_output=True, timeout=30).returncode != 0:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGINT)  # "fast": who is still connected is sent away
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def _as_account() -> dict[str, object]:
    return {} if ACCOUNT is None else {"user": ACCOUNT[0], "group": ACCOUNT[1], "extra_groups": ()}
