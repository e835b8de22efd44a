"""Takes complete job folders from the inbox: their files into the object store, themselves into the database.

A folder that looks as it did costs a few ``stat`` calls. Each job is written whole or not at all, so that a scan may be
killed anywhere, or two may run at once, and no job is lost or taken twice. Batches are left to batches.py.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput, Unavailable
from pipelines.governance import budget
from pipelines.intake import folder as folders
from pipelines.intake import job_file, recording, taking
from pipelines.intake.folder import Folder
from pipelines.intake.taking import NotYet, Taken, Taking
from pipelines.settings import Settings
from pipelines.storage import jobs
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

# A sensor has 60 s in all, and what it found is planned when it has ended: a short look is soon followed by the next.
SECONDS = 7.0
READERS = 8  # folders that are read side by side: an object store far away answers each in its own time
TOGETHER = 64  # folders that one transaction writes
COMPLETE = "it is complete; the sensor inbox takes it in while the house runs"


@dataclass(slots=True)
class ScanReport:
    """What one look at the inbox found. Sentences name the job first."""

    new: list[str] = field(default_factory=list)  # jobs recorded now, also further revisions
    bad: list[str] = field(default_factory=list)  # sentences: jobs refused now
    bad_files: list[str] = field(default_factory=list)  # sentences: files refused now, whose jobs go on
    waiting: list[str] = field(default_factory=list)  # sentences: folders left alone for now
    postponed: int = 0  # folders that the time did not suffice for
    unchanged: int = 0
    stopped: str | None = None  # why the scan was broken off: the object store is full or away

    @property
    def problems(self) -> list[str]:
        """What somebody should look at, each told by one scan only (but for ``stopped``)."""
        return [*self.bad, *self.bad_files, *([self.stopped] if self.stopped else [])]

    def summary(self) -> str:
        counts = {"new": len(self.new), "bad": len(self.bad), "waiting": len(self.waiting)}
        counts |= {"postponed": self.postponed, "unchanged": self.unchanged}
        return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "the inbox is empty"


def scan(
    inbox: Path,
    database: Database,
    objects: Objects,
    settings: Settings,
    *,
    seconds: float = SECONDS,
    only: Collection[str] | None = None,
) -> ScanReport:
    """Records every complete folder that is new or changed; of ``only`` these names, when they are given. Begins no
    file after ``seconds``; what was read until then is remembered. Raises Unavailable when the database is away."""
    with folders.housekeeping(inbox):
        names = [name for name in _names(inbox) if only is None or name in only]
    with database.session() as session:
        known = jobs.fingerprints(session, [name for name in names if _sayable(name)])
        full = budget.level(session) >= budget.NO_NEW_JOB
    # Folders never seen come first: however many lie there as they did, a look at them cannot use up all the time.
    names.sort(key=lambda name: (name in known, name))
    with ThreadPoolExecutor(READERS, "inbox") as readers:
        return _Scan(inbox, Studio(settings, database, objects, Cache(objects)), known, full, readers).run(
            names, time.monotonic() + seconds
        )


def waiting(inbox: Path, session: Session) -> list[tuple[str, str]]:
    """Folders that are no job as they lie there, each with the reason. Looks, and changes nothing."""
    if not inbox.is_dir():
        return []
    names = sorted(e.name for e in os.scandir(inbox) if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    known = jobs.fingerprints(session, [name for name in names if _sayable(name)])
    found = []
    for name in names:
        try:
            seen = folders.read(inbox / name)
        except (BadInput, FileNotFoundError):
            continue  # recorded by the scan, or gone
        if seen.fingerprint != known.get(name):
            found.append((_shown(name), folders.waiting_for(seen, time.time(), 0.0) or COMPLETE))
    return found


def _names(inbox: Path) -> list[str]:
    with os.scandir(inbox) as listing:
        return sorted(entry.name for entry in listing if not entry.name.startswith("."))


def _sayable(name: str) -> bool:
    return job_file.sayable(name) and len(os.fsencode(name)) <= 200


def _shown(name: str) -> str:
    return name if _sayable(name) else ascii(name)


@dataclass(slots=True)
class _Scan:
    inbox: Path
    studio: Studio
    known: dict[str, str | None]  # how folders looked when they were last read
    full: bool  # the object store takes no more
    readers: ThreadPoolExecutor
    report: ScanReport = field(default_factory=ScanReport)

    def run(self, names: Sequence[str], deadline: float) -> ScanReport:
        begun: list[tuple[str, Future[Taken]]] = []
        for index, name in enumerate(names):
            if time.monotonic() > deadline:
                self.report.postponed += len(names) - index
                break
            with self._left_alone(name):
                if (future := self._begin(name, deadline)) is not None:
                    begun.append((name, future))
            if len(begun) == TOGETHER:
                self._write(begun)
                begun = []
            if self.report.stopped:
                break
        self._write(begun)
        return self.report

    def _begin(self, name: str, deadline: float) -> Future[Taken] | None:
        """The reading of a folder that does not look as it did."""
        path = self.inbox / name
        if not _sayable(name):
            raise NotYet("its name cannot be shown or is too long, rename it")
        if not path.is_dir() and not path.is_symlink():
            raise NotYet("is a file; a job is a folder")
        try:
            seen = folders.read(path)
        except BadInput as error:
            if taking.refusal(error) != self.known.get(name):
                done: Future[Taken] = Future()
                done.set_result(taking.refused(name, error))
                return done
            self.report.unchanged += 1
            return None
        if seen.fingerprint == self.known.get(name):
            self.report.unchanged += 1
            return None
        return self.readers.submit(self._take, seen, deadline)

    def _take(self, seen: Folder, deadline: float) -> Taken:
        """In a reader's thread."""
        name, before = seen.path.name, {}
        if name in self.known:
            with self.studio.database.session() as session:
                row = jobs.folder(session, name)
                before = dict(row.files) if row else {}
        return Taking(seen.path, self.studio.objects, self.studio.settings, deadline, before, self.full).take(seen)

    def _write(self, begun: Sequence[tuple[str, Future[Taken]]]) -> None:
        taken = []
        for name, future in begun:
            with self._left_alone(name):
                taken.append(future.result())
        taken_back = False
        for one, fresh, took_back in recording.record(self.studio.database, taken):
            self._tell(one, fresh)
            taken_back |= took_back
        if taken_back:
            from pipelines.governance import withdrawal

            withdrawal.erase_learned(self.studio, clock.now())

    @contextlib.contextmanager
    def _left_alone(self, name: str) -> Iterator[None]:
        """What keeps one folder from being taken now keeps no other one; a store that is away ends the scan."""
        try:
            yield
        except NotYet as reason:
            self.report.waiting.append(f"{_shown(name)}: {reason}")
            if reason.memory is not None:
                recording.remember(self.studio.database, name, reason.memory)
        except FileNotFoundError:
            self.report.waiting.append(f"{_shown(name)}: went away while it was read")
        except Unavailable as error:
            if error.what.startswith("database"):
                raise
            self.report.stopped = str(error)

    def _tell(self, one: Taken, fresh: bool) -> None:
        name, error = one.new.name, one.new.error
        if not fresh:
            self.report.unchanged += 1
        elif error:
            self.report.bad.append(error if error.startswith(name) else f"{name}: {error}")
        else:
            self.report.new.append(name)
            self.report.bad_files += [f"{name}/{item.error}" for item in one.files if item.error]
