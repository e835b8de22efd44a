"""Files that were of use once. Of a home: encoded segments, copies of a remote store, Data Docs of pruned batches,
checkpoints of trainings that nobody went on with; of the temporary folder what killed processes were making. All of it
is made or fetched again when it is wanted."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pipelines import clock, result_folders, work_folders
from pipelines.storage import partitions
from pipelines.studio import Studio

SEGMENTS = timedelta(days=14)  # unused
COPIES = timedelta(days=7)  # unused
CHECKPOINTS = timedelta(days=14)  # unchanged: twice the time between two trainings
BATCH = re.compile(r"\d{8}-\d{4,}")


@dataclass(frozen=True, slots=True)
class Cleared:
    """Files and bytes by what they were."""

    files: dict[str, int]
    freed: dict[str, int]

    def lines(self) -> list[str]:
        return [f"{what}: {n} files, {self.freed[what] / 1e6:.1f} MB" for what, n in self.files.items() if n]


def clear(studio: Studio, now: datetime | None = None, *, dry_run: bool = False) -> Cleared:
    """Deletes what is older than its time. Segments wait while a batch runs, which may be about to join them."""
    moment, home = now or clock.now(), studio.settings.home_path
    with studio.database.session() as session:
        busy, living = bool(partitions.under_way(session)), partitions.batches(session)
    doomed = {
        "segments": [] if busy else list(_unused(home / "segments", moment - SEGMENTS)),
        "copies": list(_unused(home / "copies", moment - COPIES)),
        "checkpoints": list(_unused(home / "checkpoints", moment - CHECKPOINTS)),
        "data_docs": [
            path
            for folder in (home / "data_docs").glob("*/*")
            if BATCH.fullmatch(folder.name) and folder.name not in living
            for path in _files(folder)
        ],
    }
    if not dry_run:
        result_folders.sweep(studio.settings)
    freed: dict[str, int] = {}
    for what, paths in doomed.items():
        freed[what] = sum(_remove(path, dry_run=dry_run) for path in paths)
        if not dry_run and paths:
            _drop_empty(home / what)
    left = work_folders.sweep(moment - work_folders.LEFT, dry_run=dry_run)
    files = {what: len(paths) for what, paths in doomed.items()}
    return Cleared(files | {"work": len(left)}, freed | {"work": sum(left)})


def _unused(folder: Path, before: datetime) -> Iterator[Path]:
    """Neither read nor written since; when a file was read is kept to the day by most systems."""
    for path in _files(folder):
        with contextlib.suppress(FileNotFoundError):
            facts = path.stat()
            if max(facts.st_atime, facts.st_mtime) < before.timestamp():
                yield path


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent) / name for name in names)


def _remove(path: Path, *, dry_run: bool) -> int:
    with contextlib.suppress(FileNotFoundError):
        size = path.lstat().st_size
        if not dry_run:
            path.unlink()
        return size
    return 0


def _drop_empty(folder: Path) -> None:
    """A folder that somebody fills at this moment is not empty, and stays."""
    for parent, _, _ in os.walk(folder, topdown=False):
        if Path(parent) != folder:
            with contextlib.suppress(OSError):
                Path(parent).rmdir()
