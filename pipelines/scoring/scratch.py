"""A folder of a process's own for temporary files, and the folders that dead processes left.

The kernel lets go of a lock even after ``kill -9``, so a folder whose lock is free belongs to nobody any more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from pipelines.errors import Unavailable
from pipelines.media.replacing import NO_ROOM
from pipelines.storage.keeper import locked

logger = logging.getLogger(__name__)

LOCK = "lock"


class Scratch:
    """``path``: the folder, of this object alone. ``holder``: its name for others, over all machines."""

    def __init__(self, home: Path) -> None:
        """Makes the folder. Unavailable when there is no room."""
        self._home = home
        self.path = _root(home) / f"{os.getpid()}-{secrets.token_hex(6)}"
        self.holder = _holders(home) + self.path.name
        try:
            with _alone(home):
                self.path.mkdir(mode=0o700)
                self._lock = locked(self.path / LOCK)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise Unavailable(home, "there is no room left on its disk", 60) from error
            raise

    def close(self) -> None:
        """Removes the folder and all in it. Again is harmless."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def sweep(home: Path) -> int:
    """Removes what dead processes left; returns how many folders."""
    swept = 0
    with _alone(home):
        for folder in _root(home).iterdir():
            if folder.is_dir() and (lock := _free(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
                swept += 1
    return swept


def lives(home: Path, holder: str) -> bool | None:
    """Whether the holder may still need what it holds; None for one of another machine or home."""
    if not holder.startswith(_holders(home)):
        return None
    folder = _root(home) / holder.removeprefix(_holders(home))
    with _alone(home):
        if not folder.is_dir():
            return False
        if (lock := _free(folder)) is None:
            return True
        os.close(lock)
        return False


def _free(folder: Path) -> int | None:
    """A folder is made and locked while its maker is ``_alone``, so nobody meets one that is not locked yet."""
    with contextlib.suppress(FileNotFoundError):  # closed meanwhile
        return locked(folder / LOCK)
    return None


def _root(home: Path) -> Path:
    return home / "scoring" / "tmp"


def _holders(home: Path) -> str:
    # Two machines or two homes may share a database, and each can only speak for its own.
    return f"{socket.gethostname()}/{sha256(str(home.resolve()).encode()).hexdigest()[:12]}/"


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    _root(home).mkdir(parents=True, exist_ok=True)
    lock = locked(_root(home) / LOCK, wait=True)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)
