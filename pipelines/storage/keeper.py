"""The keeper of one embedded server: starts PostgreSQL, watches who uses it and stops it when nobody does any more.

Run as a program of its own by embedded.py (standard library only, so that it starts in 20 ms and weighs little).
What is kept where, and when a keeper is wanted, is left to embedded.py.

Every process that uses the server holds a shared ``flock`` on ``users.lock`` as long as it lives. The kernel lets go
of it even after ``kill -9``, so no count can go wrong, no process can stop the server under another one's feet, and no
server is left behind by a crash. Connections count as well: a child that was only given the URL is a user, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

POLL = 0.25  # s
STOP_PATIENCE = 60.0  # s for a fast shutdown's checkpoint, before the server is told to drop everything


class Orders(TypedDict):
    """What embedded.py hands over, as JSON."""

    folder: str  # holds data/, server.log and the locks
    binaries: str
    sockets: str
    account: list[int] | None  # uid, gid of the account to run as when we are root
    options: list[str]
    linger: float  # s without any user before the server is stopped
    adopt: bool  # a server runs already, its keeper is gone


def postmaster(folder: Path) -> tuple[int, str] | None:
    """Process id and status (``starting``, ``ready``, ``stopping``) from the server's own file; None when absent."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else "starting"
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None


def locked(path: Path, *, wait: bool = False) -> int | None:
    """A descriptor that holds the lock alone, or None when somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def connections(orders: Orders) -> int:
    """Client connections beside our own; 1 when the server is too busy to say."""
    query = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    command = [f"{orders['binaries']}/psql", "-h", orders["sockets"], "-U", "postgres", "-Atc", query, "postgres"]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, timeout=20, env=clean_environment(), cwd="/"
        )
    except subprocess.TimeoutExpired:
        return 1
    return int(done.stdout) if done.returncode == 0 else 1


def clean_environment() -> dict[str, str]:
    """No PG* variable may lead the server astray, no secret of ours be seen by it."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def clear_stale(folder: Path) -> None:
    """Removes the lock file of a server that was killed, once none of its processes is left.

    PostgreSQL would do so itself, except when the number of the dead process was given to another one in the
    meantime, which is usual after a container's restart.
    """
    import psutil

    data = (folder / "data").resolve()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        left = []
        for process in psutil.process_iter(["name"]):
            try:
                if (process.info["name"] or "").startswith("postgres") and Path(process.cwd()) == data:
                    left.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        if not left:
            (data / "postmaster.pid").unlink(missing_ok=True)
            return
        time.sleep(POLL)
    for process in left:  # orphans of a killed server that do not go by themselves
        process.kill()
    psutil.wait_procs(left, timeout=10)
    (data / "postmaster.pid").unlink(missing_ok=True)


def launch(orders: Orders) -> subprocess.Popen[bytes]:
    """The server as our child, in a session of its own so that Ctrl-C in the terminal does not reach it."""
    folder = Path(orders["folder"])
    log = folder / "server.log"
    if log.exists() and log.stat().st_size > 1 << 20:
        log.replace(log.with_suffix(".log.old"))
    account = orders["account"]
    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603
            [f"{orders['binaries']}/postgres", "-D", f"{folder}/data", *orders["options"]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            env=clean_environment(),
            start_new_session=True,
            user=None if account is None else account[0],
            group=None if account is None else account[1],
            extra_groups=None if account is None else (),
        )


def watch(orders: Orders, alive: Callable[[], bool]) -> None:
    """Until the server is gone: stops it when nobody has used it for ``linger`` seconds."""
    folder = Path(orders["folder"])
    idle_since: float | None = None
    while alive():
        time.sleep(POLL)
        running = postmaster(folder)
        if running is None:  # the home was deleted under the server
            return
        if (users := locked(folder / "users.lock")) is None:
            idle_since = None
            continue
        os.close(users)
        now = time.monotonic()
        idle_since = now if idle_since is None else idle_since
        if now - idle_since >= orders["linger"]:
            stop_unused(orders, running[0], alive)
            idle_since = None


def stop_unused(orders: Orders, pid: int, alive: Callable[[], bool]) -> bool:
    """Stops the server unless a user turns up; nobody can begin to use it meanwhile (``start.lock``)."""
    folder = Path(orders["folder"])
    starting = locked(folder / "start.lock", wait=True)
    users = locked(folder / "users.lock")
    try:
        if users is None or connections(orders) > 0:
            return False
        halt(pid, alive)
        return True
    finally:
        for descriptor in (users, starting):
            if descriptor is not None:
                os.close(descriptor)


def halt(pid: int, alive: Callable[[], bool]) -> None:
    """Fast shutdown (clients are cut off, everything is written), then immediate shutdown."""
    for order, patience in ((signal.SIGINT, STOP_PATIENCE), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, order)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not alive():
                return
            time.sleep(0.02)


def exists(pid: int) -> bool:
    """Whether the process lives; a dead one that nobody has reaped (a container without init) does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:  # a system without /proc, or gone by now
        return not Path("/proc/self").exists()


def tidy(orders: Orders) -> None:
    """A socket's folder of its own goes with the server; nobody makes it anew while we hold ``keeper.lock``."""
    if orders["sockets"] != f"{orders['folder']}/data":
        with contextlib.suppress(OSError):
            Path(orders["sockets"]).rmdir()


def keep(orders: Orders, answer: Callable[[str], None]) -> None:
    """Answers ``ready``, ``busy`` (another keeper is at work) or ``error: ...`` once, then watches."""
    folder = Path(orders["folder"])
    if locked(folder / "keeper.lock") is None:
        return answer("busy")
    if orders["adopt"]:
        running = postmaster(folder)
        if running is None:
            return answer("busy")
        pid = running[0]
        answer("ready")
        watch(orders, lambda: exists(pid) and postmaster(folder) is not None)
        return tidy(orders)
    if postmaster(folder) is not None or (folder / "data" / "postmaster.pid").exists():
        clear_stale(folder)
    log = folder / "server.log"
    before = log.stat().st_size if log.exists() else 0
    server = launch(orders)
    while server.poll() is None:
        if postmaster(folder) == (server.pid, "ready"):
            answer("ready")
            watch(orders, lambda: server.poll() is None)
            if server.poll() is None:
                halt(server.pid, lambda: server.poll() is None)
            return tidy(orders)
        time.sleep(0.01)
    text = log.read_bytes()
    return answer("error: " + text[before if before <= len(text) else 0 :][-2000:].decode(errors="replace").strip())


def main() -> int:
    orders: Orders = json.loads(sys.argv[1])
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader) as lines:
            sys.stdout.write(lines.read())
        return 0
    os.close(reader)
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)

    def answer(text: str) -> None:
        os.write(writer, text.encode())
        os.close(writer)

    keep(orders, answer)
    return 0


if __name__ == "__main__":
    os._exit(main()) if len(sys.argv) > 1 else sys.exit("started by pipelines.storage.embedded")
