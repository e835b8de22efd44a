"""Groups jobs into batches (one partition each) and writes down what becomes of them.

The truth is the table, never a cursor. Whether a run lives only the orchestrator knows: dags/run_requests.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.storage import batches as table
from pipelines.storage.tables import BatchRow

KEEP = timedelta(days=90)  # how long a partition is kept; rows live on


@dataclass(frozen=True, slots=True)
class Batch:
    """``attempts``: how many runs were asked for. ``f"{key}:{attempts + 1}"`` is a run key that is new each time."""

    key: str
    job_ids: tuple[int, ...]
    status: str = "planned"  # planned, requested, finished or failed
    attempts: int = 0
    requested_at: datetime | None = None
    error: str | None = None


def plan_batches(session: Session, now: datetime | None = None, size: int = 8) -> list[Batch]:
    """Puts every sound job that is in no batch into one of at most ``size``; the new batches.

    Safe however many plan at once: a job has one batch, and planners take turns until their transaction ends.
    """
    now = now or datetime.now(UTC)
    table.lock_planning(session)
    waiting = table.unplanned_jobs(session)
    day = f"{now.astimezone(UTC):%Y%m%d}"
    number = table.count_of_day(session, day) if waiting else 0
    made = []
    for first in range(0, len(waiting), size):
        number += 1
        ids = tuple(waiting[first : first + size])
        row = table.add(session, f"{day}-{number:04d}", ids, now)
        made.append(Batch(row.key, ids))
    return made


def listed(session: Session, *statuses: str) -> list[Batch]:
    """Batches of these statuses, oldest first."""
    return _batches(session, table.by_status(session, *statuses))


def mark_requested(session: Session, key: str, now: datetime | None = None) -> int:
    """A run has been asked for; returns how many by now."""
    row = _row(session, key)
    row.status, row.error = "requested", None
    row.requested_at, row.finished_at = now or datetime.now(UTC), None
    row.attempts += 1
    return row.attempts


def mark_finished(session: Session, key: str) -> None:
    """Every step of the batch has run; failed items in it are recorded as such."""
    row = _row(session, key)
    row.status, row.error, row.finished_at = "finished", None, datetime.now(UTC)


def mark_failed(session: Session, key: str, error: str) -> None:
    """The run itself failed and is not retried by itself any more."""
    row = _row(session, key)
    row.status, row.error, row.finished_at = "failed", error, datetime.now(UTC)


def ask_again(session: Session, key: str) -> None:
    """The batch is planned anew, whatever became of it; finished items are skipped when it runs."""
    row = _row(session, key)
    row.status, row.error = "planned", None
    row.requested_at, row.finished_at = None, None
    row.pruned_at = None  # else its partition would be taken from under its run


def bring_back(session: Session, job_id: int) -> None:
    """A known job lies in the inbox again after another one: its batch, if it has ended, is planned anew, which costs
    no more than publishing the results."""
    row = table.of_job(session, job_id)
    if row is not None and row.status in ("finished", "failed"):
        ask_again(session, row.key)


def prune(session: Session, now: datetime | None = None, keep: timedelta = KEEP) -> list[str]:
    """Keys whose partitions are to go: older than ``keep`` and done with. The rows stay.

    A key is named for a week after it was first named, in case the caller was stopped before it could act.
    """
    now = now or datetime.now(UTC)
    for row in table.prunable(session, now - keep):
        row.pruned_at = now
    session.flush()
    return [row.key for row in table.pruned_since(session, now - timedelta(days=7))]


def _row(session: Session, key: str) -> BatchRow:
    row = table.by_key(session, key)
    if row is None:
        raise BadInput(f"batch {key}", "is not known", "see `orimono status` for the batches")
    return row


def _batches(session: Session, rows: Sequence[BatchRow]) -> list[Batch]:
    ids = table.job_ids(session, [row.id for row in rows])
    return [Batch(r.key, ids.get(r.id, ()), r.status, r.attempts, r.requested_at, r.error) for r in rows]
