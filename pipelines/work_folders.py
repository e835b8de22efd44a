"""Folders for what is only being made, in the system's temporary folder: gone with the block that has one, and what a
killed process left in its own found and removed. Results that are being written are result_folders.py's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from pipelines import clock

LEFT = timedelta(hours=12)  # how long what was not written to is let be
PREFIX = "orimono-work-"  # nothing else begins so: no node's copies, and no folder of a test or a benchmark


@contextlib.contextmanager
def opened() -> Iterator[Path]:
    """An empty folder, ours until the block ends. Its lock falls with whoever is killed; the next one here sweeps."""
    sweep(clock.now() - LEFT)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(descriptor)


def sweep(before: datetime, *, dry_run: bool = False) -> list[int]:
    """Removes this user's folders that nobody has and in which nothing was written since; the bytes of each."""
    sizes = []
    with os.scandir(tempfile.gettempdir()) as entries:
        found = [Path(entry.path) for entry in entries if entry.name.startswith(PREFIX)]
    for place in sorted(found):
        with contextlib.suppress(OSError), _nobodys(place):
            facts = _facts(place)
            if max(one.st_mtime for one in facts) < before.timestamp():
                sizes.append(sum(one.st_size for one in facts if not stat.S_ISDIR(one.st_mode)))
                if not dry_run:
                    shutil.rmtree(place, ignore_errors=True)  # follows no link
    return sizes


@contextlib.contextmanager
def _nobodys(place: Path) -> Iterator[None]:
    """OSError for what is no folder of this user's, or somebody's who lives."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise PermissionError(place)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _facts(place: Path) -> list[os.stat_result]:
    """Of the folder and all below it, links as links."""
    return [place.lstat(), *(path.lstat() for path in place.rglob("*"))]
