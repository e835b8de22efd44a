"""A job's results folder to write into: that of the home or, where the object store is a bucket, a folder of a moment
that is shared as objects when all in it is written. What lies there, and how objects are named, is results.py's.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import results
from pipelines.errors import Unavailable
from pipelines.media.replacing import NO_ROOM
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.storage.objects import Objects

PLACE = "delivering"  # of the home
Which = Callable[[str], bool]  # of paths in the folder


def nothing(path: str) -> bool:
    """Of ``bring`` and ``own`` where a writer looks at nothing, or only ever adds."""
    return False


@contextlib.contextmanager
def opened(
    settings: Settings,
    objects: Objects,
    job: str,
    writer: str,
    *,
    bring: Which = nothing,
    own: Which = nothing,
    last: str | None = None,
) -> Iterator[Path]:
    """The folder that holds, or is to hold, the job's results. An outcome is noted after the block, never in it: a run
    that is killed in between is followed by one that finds the work cached, and has to share it all the same.

    With a bucket the folder is empty but for what ``bring`` asks for, and goes in the end. When the block ends well,
    what was written in it is shared (links are not), and of what lies there, what ``own`` says to be this writer's and
    is not in the folder any more is removed. ``last``: the file that tells of the others is shared after them, and is
    missing while they are exchanged; without it nothing is brought. ``writer`` tells those apart who write of one job
    side by side. Unavailable when the store is away or a disk full.
    """
    if not objects.remote:
        yield results.folder_of(settings, job)
        return
    with _staged(settings, job, writer) as folder:
        there = {found.path for found in results.in_bucket(objects, job)}
        before: dict[str, tuple[int, int, int]] = {}
        if last is None or last in there:
            before = {path: _brought(objects, job, folder, path) for path in sorted(there) if bring(path)}
        yield folder
        now = {found.path for found in results.written(folder)}
        changed = {path for path in now if before.get(path) != _stamp(folder / path)}
        gone = {path for path in there - now if own(path)}
        if not changed and not gone:
            return
        teller = set() if last is None else {last}
        for path in sorted(teller & there):
            objects.delete(results.key_of(job, path))
        for path in sorted(changed - teller):
            objects.put_named(results.key_of(job, path), folder / path)
        for path in sorted(gone - teller):
            objects.delete(results.key_of(job, path))
        for path in sorted(teller & now):
            objects.put_named(results.key_of(job, path), folder / path)


def sweep(settings: Settings) -> None:
    """What killed processes left of theirs goes."""
    root = settings.home_path / PLACE
    for place in root.iterdir() if root.is_dir() else ():
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, BlockingIOError):
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place, ignore_errors=True)
            finally:
                os.close(descriptor)


def _brought(objects: Objects, job: str, folder: Path, path: str) -> tuple[int, int, int]:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with objects.opened(results.key_of(job, path)) as source, place.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise Unavailable(place, "there is no room left on its disk", retry_after=60) from error
        raise
    return _stamp(place)


def _stamp(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


@contextlib.contextmanager
def _staged(settings: Settings, job: str, writer: str) -> Iterator[Path]:
    """An empty folder of the job's name, ours until the block ends, and always the same for the same writer: timelines
    name the files beside them. Its lock falls with whoever is killed."""
    sweep(settings)
    place = settings.home_path / PLACE / hashlib.sha256(f"{job}\0{writer}".encode()).hexdigest()[:16]
    descriptor = _locked(place)
    try:
        shutil.rmtree(place / job, ignore_errors=True)
        (place / job).mkdir()
        yield place / job
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(descriptor)


def _locked(place: Path) -> int:
    while True:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if place.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
            os.close(descriptor)  # whoever had it removed it
