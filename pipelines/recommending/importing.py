"""A job's catalogue, decisions and tags, from its files into the tables: one transaction, the same however often.

How a file is read is reading.py's, what a row says rows.py's, the statements storage/imports.py's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.governance import exports
from pipelines.recommending import reading
from pipelines.recommending.headings import KINDS
from pipelines.recommending.people import viewer_id
from pipelines.recommending.rows import Reader, Tally
from pipelines.storage import imports, jobs
from pipelines.studio import Studio

VERSION = "1"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """Rows that were not taken, or cells that were left out, for one reason."""

    reason: str
    n: int
    lines: tuple[int, ...]  # the first few

    def __str__(self) -> str:
        where = ", ".join(map(str, self.lines)) + (", ..." if self.n > len(self.lines) else "")
        return f"{self.reason}: {self.n} (line {where})"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a job's tables. Counts by kind: ``rows`` that were usable, ``new`` ones among them, and so on."""

    counts: dict[str, dict[str, int]]  # kind -> what -> how many
    refused: dict[str, tuple[Refused, ...]]  # file -> reasons
    left_out: dict[str, tuple[Refused, ...]]  # file -> cells not understood, in rows that were taken
    seconds: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def n_refused(self) -> int:
        return sum(each.n for found in self.refused.values() for each in found)

    def summary(self) -> dict[str, float | int | str]:
        """For a table: counts, and why rows were refused."""
        counts = {f"{kind} {what}": n for kind, found in self.counts.items() for what, n in found.items()}
        told: dict[str, float | int | str] = {**counts, "refused": self.n_refused, "seconds": round(self.seconds, 2)}
        if said := self.lines():
            told["notes"] = "; ".join(said)
        return told

    def lines(self) -> list[str]:
        """One line a reason."""
        refused = [f"{name}: refused: a row {each}" for name, found in self.refused.items() for each in found]
        left = [f"{name}: left out: {each}" for name, found in self.left_out.items() for each in found]
        return [*refused, *left, *self.notes]


def load(studio: Studio, job_id: int, now: datetime | None = None) -> Imported:
    """Takes the job's uploads of kinds videos, decisions and tags over, the catalogue first. Run again, it changes
    nothing. Rows that cannot be used are left out and counted.

    A file that names somebody who withdrew is deleted once all others' rows are taken.

    BadInput, and nothing is taken, for a file that cannot be read, lacks a column, or has rows but no usable one.
    """
    now = now or clock.now()
    began = time.perf_counter()
    with studio.database.session() as session:
        uploads = [u for u in jobs.get(session, job_id).uploads if u.kind in KINDS and u.object_key]
    files = [(u, studio.objects.local(str(u.object_key))) for u in uploads]
    counts: dict[str, dict[str, int]] = {}
    readers: dict[int, Reader] = {}
    naming: set[int] = set()  # ids of uploads that name somebody who withdrew
    with _unsaid(), studio.database.session() as session:
        imports.begin(session)
        for kind in KINDS:
            for upload, path in files:
                if upload.kind == kind:
                    readers[upload.id] = _copy(session, kind, upload.name, path, now, upload.id)
            if any(upload.kind == kind for upload, _ in files):
                counts[kind], more = _take(session, kind, job_id, now)
                for reason, found in more.items():
                    for upload_id, (n, lines) in found.items():
                        readers[upload_id].refused.add_many(reason, n, lines)
                    naming |= set(found) if reason in imports.WITHDREW else set()
        naming |= {upload_id for upload_id, reader in readers.items() if imports.withdrew(session, reader.unused)}
    # The rows of everybody else are in the tables by now.
    gone, kept = exports.let_go(studio, job_id, [upload for upload in uploads if upload.id in naming], now)
    names = {upload.id: upload.name for upload in uploads}
    result = Imported(
        counts,
        _told({names[upload_id]: reader.refused for upload_id, reader in readers.items()}),
        _told({names[upload_id]: reader.left_out for upload_id, reader in readers.items()}),
        time.perf_counter() - began,
        (*_notes(counts), *_gone(gone, kept)),
    )
    log.info("job %d: %s", job_id, ", ".join(f"{n} {what}" for what, n in result.summary().items() if what != "notes"))
    return result


def names_any(path: Path, kind: str, people: Collection[UUID]) -> bool:
    """Whether a file of this kind names one of these viewers. BadInput for a file that cannot be read."""
    known: set[object] = set()
    for block in reading.blocks(path, kind, path.name):
        for cell in set(block.columns.get("user_id", ())) - known:
            if cell is not None and str(cell).strip() and viewer_id(str(cell)) in people:
                return True
            known.add(cell)
    return False


def count_tags_anew(studio: Studio, job_id: int, now: datetime) -> None:
    """The tags of the job's own videos, as its files give them without those of viewers who withdrew."""
    with _unsaid(), studio.database.session() as session:
        uploads = [u for u in jobs.get(session, job_id).uploads if u.kind in ("videos", "tags") and u.object_key]
        imports.begin(session)
        for upload in uploads:
            path = studio.objects.local(str(upload.object_key))
            _copy(session, upload.kind, upload.name, path, now, upload.id)
        imports.drop_tags(session, job_id)
        imports.take_tags(session, job_id)


def _copy(session: Session, kind: str, name: str, path: Path, now: datetime, number: int) -> Reader:
    reader = Reader(now)
    usable = 0
    for block in reading.blocks(path, kind, name):
        rows = reader.read(kind, block)
        usable += len(rows)
        imports.copy_in(session, kind, ((number, *row) for row in rows))
    if not reader.rows:
        raise BadInput(name, "holds no rows below its header", f"give {kind}, or leave the file out")
    if not usable:
        reason = next(iter(_told({name: reader.refused})[name]))
        raise BadInput(name, f"has no usable row; a row {reason}", "mend it, or leave the file out")
    return reader


def _take(session: Session, kind: str, job_id: int, now: datetime) -> tuple[dict[str, int], dict[str, imports.Refused]]:
    if kind == "videos":
        return imports.take_videos(session, job_id, now), {}
    if kind == "decisions":
        return imports.take_decisions(session, job_id, now)
    return imports.take_tags(session, job_id)


@contextmanager
def _unsaid() -> Iterator[None]:
    """What the database does not understand of a row stays unsaid: messages are kept, and no withdrawal finds them."""
    try:
        yield
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        raise RuntimeError(f"the database refused an import: {type(error.orig).__name__}, {state}") from None


def _told(found: dict[str, Tally]) -> dict[str, tuple[Refused, ...]]:
    return {
        name: tuple(Refused(reason, n, tuple(lines)) for reason, (n, lines) in tally.found.items())
        for name, tally in found.items()
        if tally.found
    }


def _notes(counts: dict[str, dict[str, int]]) -> tuple[str, ...]:
    notes = []
    if bare := counts.get("decisions", {}).get("videos"):
        notes.append(f"{bare} videos were decided about that no catalogue names yet: they have no title")
    if older := counts.get("videos", {}).get("older"):
        notes.append(f"{older} videos are described by a job that came later, and stay as that one says")
    return tuple(notes)


def _gone(gone: Collection[str], kept: Collection[str]) -> list[str]:
    return [
        *(f"{name} named somebody who withdrew: its other rows were taken, and the file was deleted" for name in gone),
        *(f"{name} names somebody who withdrew, and stays: a legal hold keeps it" for name in kept),
    ]
