"""Chunks of a sheet: the rows that are asked for, that fail and that run again together, and what becomes of them.

The truth is the table. Whether a run lives only the orchestrator knows (dags/score_requests.py), or, at the command
line, the lock that a run holds (recording.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from pipelines import clock
from pipelines.scoring.scored import Tally
from pipelines.scoring.sheet import Span

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.orm import Session

    from pipelines.storage.scoring_tables import ScoreChunk, ScoreJob

KEEP = timedelta(days=90)  # how long a partition is kept; rows live on
AT_ONCE = 20  # chunks a run, 10,000 rows: a run costs some seconds before its first question
LONGEST = 60.0  # s between two tries
GONE = "its run ended without a word"

Status = Literal["planned", "running", "finished", "partly failed", "failed"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """``id``: of its row in score_chunks; ``chunk_id``: its partition, such as 17-0003."""

    id: int
    chunk_id: str
    span: Span


@dataclass(frozen=True, slots=True)
class Due:
    """A chunk as the orchestrator sees it. ``f"{chunk_id}:{attempts + 1}"`` is a run key that is new each time."""

    id: int
    chunk_id: str
    number: int
    score_job_id: int
    job_id: int  # the inbox job's
    attempts: int
    provider: str


@dataclass(frozen=True, slots=True)
class Failed:
    chunk_id: str
    error: str
    retries: int  # so far
    not_before: datetime | None  # of the next; None: given up


@dataclass(frozen=True, slots=True)
class State:
    """What became of a sheet."""

    status: Status
    counts: Mapping[str, int]  # chunks by status
    rows: int  # done
    of: int
    tally: Tally
    seconds: float
    failed: tuple[Failed, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of its chunks by itself."""
        return set(self.counts) <= {"finished", "given_up"}


def plan(session: Session, score_job_id: int, spans: Sequence[Span]) -> list[Chunk]:
    """Writes down a new sheet's chunks, one a span."""
    from pipelines.storage import score_chunks

    return [_chunk(r) for r in score_chunks.add(session, score_job_id, [(s.first, s.last, s.mark) for s in spans])]


def of(session: Session, score_job_id: int, *statuses: str) -> list[Chunk]:
    """A sheet's chunks in order; of these statuses where some are given."""
    from pipelines.storage import score_chunks

    return [_chunk(row) for row in score_chunks.of(session, score_job_id, *statuses)]


def left(session: Session, score_job_id: int) -> list[Chunk]:
    """A sheet's chunks that are not finished, whatever became of them, in order."""
    return of(session, score_job_id, "planned", "requested", "running", "failed", "given_up")


def by_keys(session: Session, chunk_ids: Collection[str]) -> dict[int, list[Chunk]]:
    """By the names of their partitions: the sheet's id -> its chunks in order."""
    from pipelines.storage import score_chunks

    found: dict[int, list[Chunk]] = {}
    for row in score_chunks.by_keys(session, chunk_ids):
        found.setdefault(row.score_job_id, []).append(_chunk(row))
    return found


def due(session: Session, now: datetime) -> list[Due]:
    """Chunks of inbox jobs that were never asked for, or whose wait is over; by sheet and number."""
    from pipelines.storage import score_chunks

    return [_due(row) for row in score_chunks.due(session, now)]


def under_way(session: Session, before: datetime) -> list[Due]:
    """Chunks of inbox jobs asked for before that moment and not ended since; by sheet and number."""
    from pipelines.storage import score_chunks

    return [_due(row) for row in score_chunks.under_way(session, before)]


def held(session: Session, of: Sequence[Due]) -> set[int]:
    """Ids of those that somebody works on at this moment."""
    from pipelines.storage import score_jobs

    return score_jobs.held_chunks(session, [chunk.id for chunk in of])


def grouped(waiting: Sequence[Due]) -> list[list[Due]]:
    """Of one sheet, in order: first tries that follow each other together, as many as a run takes; every other chunk by
    itself, since what ails it must not hold up others."""
    groups: list[list[Due]] = []
    for chunk in waiting:
        last = groups[-1] if groups else []
        first_tries = bool(last) and not chunk.attempts and not last[-1].attempts
        if first_tries and len(last) < AT_ONCE and chunk.number == last[-1].number + 1:
            last.append(chunk)
        else:
            groups.append([chunk])
    return groups


def request(session: Session, chunk_ids: Collection[str], now: datetime) -> None:
    """A run has been asked for."""
    from pipelines.storage import score_chunks

    score_chunks.request(session, chunk_ids, now)


def lose(session: Session, chunk_ids: Collection[str], now: datetime, *, retries: int) -> None:
    """The run of these is gone. It counts as a failure of those not ended, since it may be a chunk that kills it."""
    from pipelines.storage import score_chunks

    for row in score_chunks.locked_by_keys(session, chunk_ids, *score_chunks.UNDER_WAY):
        fail(row, GONE, now, retries)


def broken(session: Session, chunk_ids: Collection[str], error: str, now: datetime, *, retries: int) -> None:
    """A defect ended the run of these. It counts as a failure of those not ended, or they would be asked for again at
    once, for ever."""
    from pipelines.storage import score_chunks

    for row in score_chunks.locked_by_keys(session, chunk_ids, "planned", *score_chunks.UNDER_WAY):
        fail(row, error, now, retries)


def leave(session: Session, chunk_ids: Collection[str]) -> None:
    """The run of these ends without an end of theirs: they wait for the next, and nothing is held against them."""
    from pipelines.storage import score_chunks

    for row in score_chunks.locked_by_keys(session, chunk_ids, *score_chunks.UNDER_WAY):
        row.status, row.not_before = "planned", None


def fail(row: ScoreChunk, error: str, now: datetime, retries: int) -> None:
    """To be tried again after a while, or given up for good."""
    row.last_error = error
    if row.retry_count >= retries:
        row.status, row.not_before, row.finished_at = "given_up", None, now
        return
    row.retry_count += 1
    row.status, row.not_before = "failed", now + timedelta(seconds=backoff(row.retry_count))


def backoff(retry_count: int) -> float:
    """Seconds until a chunk's retry of that number, from 1."""
    return min(LONGEST, 2.0 ** min(retry_count, 10))


def ask_again(session: Session, score_job_id: int | None = None) -> int:
    """Failed and given-up chunks, of one sheet or of all living inbox jobs', are planned anew; how many."""
    from pipelines.storage import score_chunks, score_jobs

    found = score_chunks.plan_again(session, score_job_id)
    score_jobs.reopen(session, found)
    return sum(found.values())


def unwritten(session: Session) -> dict[str, str]:
    """Batches with sheets that are ready to be written -> which sheets after how many tries, the same until one is
    written or asked about again."""
    from pipelines.storage import score_jobs

    found: dict[str, list[str]] = {}
    for batch, sheet, asked in score_jobs.unwritten(session):
        found.setdefault(batch, []).append(f"{sheet}:{asked}")
    return {batch: ",".join(sheets) for batch, sheets in found.items()}


def prune(session: Session, now: datetime | None = None, keep: timedelta = KEEP) -> list[str]:
    """Partitions that are to go: of sheets older than ``keep``, done with. The rows stay.

    One is named for a week after it was first named, in case the caller was stopped before it could act.
    """
    from pipelines.storage import score_chunks

    now = now or clock.now()
    for row in score_chunks.prunable(session, now - keep):
        row.pruned_at = now
    session.flush()
    return list(score_chunks.pruned_since(session, now - timedelta(days=7)))


def state(session: Session, score_job_id: int) -> State:
    from pipelines.storage import score_chunks

    counts: dict[str, int] = {}
    tally, rows, of_rows, seconds = Tally(), 0, 0, 0.0
    for status, done, size, told, took in score_chunks.summary(session, score_job_id):
        counts[status] = counts.get(status, 0) + 1
        rows, of_rows, seconds = rows + done, of_rows + size, seconds + took
        tally.add(Tally(**told))
    ended = score_chunks.of(session, score_job_id, "failed", "given_up") if {"failed", "given_up"} & set(counts) else ()
    failed = tuple(Failed(r.chunk_id, r.last_error or "", r.retry_count, r.not_before) for r in ended)
    return State(status_of(counts), counts, rows, of_rows, tally, seconds, failed)


def status_of(counts: Mapping[str, int]) -> Status:
    """What a sheet's chunks by status make of it. While one waits for its first run or has one, it is running."""
    all_, under_way = sum(counts.values()), counts.get("requested", 0) + counts.get("running", 0)
    planned, finished = counts.get("planned", 0), counts.get("finished", 0)
    if planned == all_:
        return "planned"
    if planned or under_way:
        return "running"
    if finished == all_:
        return "finished"
    return "partly failed" if finished else "failed"


def _chunk(row: ScoreChunk) -> Chunk:
    first, last = row.row_range.lower, row.row_range.upper
    if first is None or last is None:  # a range of nothing has no ends; none is ever written
        raise ValueError(f"chunk {row.chunk_id} has no rows")
    return Chunk(row.id, row.chunk_id, Span(first, last, row.mark))


def _due(row: Row[ScoreChunk, ScoreJob]) -> Due:
    chunk, sheet = row
    assert sheet.job_id is not None  # the query joins it
    provider = str(sheet.asking.get("provider"))
    return Due(chunk.id, chunk.chunk_id, chunk.number, sheet.id, sheet.job_id, chunk.attempts, provider)
