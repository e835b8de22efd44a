"""Groups jobs into batches (one partition each) and writes down what becomes of them.

The truth is the table, never a cursor. Whether a run lives only the orchestrator knows: dags/run_requests.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.storage import batches as table
from pipelines.storage import items
from pipelines.storage.batches import Waiting
from pipelines.storage.tables import BatchRow

KEEP = timedelta(days=90)  # how long a partition is kept; rows live on
# A run costs some 15 s of a processor before and after its items. Up to these a batch grows while many jobs wait.
MOST_JOBS = 1000
MOST_BYTES = 256 << 20  # of uploads; eight jobs of long videos are more, and stay eight
MOST_SECONDS = 1200.0  # of processors, so that the first results do not come hours after the first job
AHEAD = 2  # batches under way; a further one would only wait for its turn
HOLD_SECONDS = 30.0


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
    table.lock_planning(session)
    ids = [one.job_id for one in table.unplanned(session)]
    return _made(session, [tuple(ids[first : first + size]) for first in range(0, len(ids), size)], now)


def plan_backlog(session: Session, now: datetime | None = None, least: int = 8) -> list[Batch]:
    """As ``plan_batches``, for who comes back within seconds: a run has a price, so many small jobs share one.

    A batch holds ``least`` jobs, and more of them up to MOST_JOBS, MOST_BYTES and, by what the last ones took,
    MOST_SECONDS. While AHEAD batches wait or run, one that is not full gathers further jobs, HOLD_SECONDS at most.
    """
    table.lock_planning(session)
    waiting = table.unplanned(session)
    if not waiting:
        return []
    seconds = items.seconds_a_job(session)
    most = MOST_JOBS if not seconds else min(MOST_JOBS, int(MOST_SECONDS / seconds))
    groups = list(_grouped(waiting, least, most))
    last = groups[-1]
    gathers = len(last) < least or (len(last) < most and sum(one.size for one in last) < MOST_BYTES)
    under_way = table.count(session, "planned", "requested") + len(groups) - 1
    if gathers and under_way >= AHEAD and max(one.age for one in last) < HOLD_SECONDS:
        groups.pop()
    return _made(session, [tuple(one.job_id for one in group) for group in groups], now)


def _grouped(waiting: Sequence[Waiting], least: int, most: int) -> Iterator[list[Waiting]]:
    group: list[Waiting] = []
    size = 0
    for one in waiting:
        if len(group) >= least and (len(group) >= most or size + one.size > MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(one)
        size += one.size
    yield group


def _made(session: Session, groups: Sequence[tuple[int, ...]], now: datetime | None) -> list[Batch]:
    now = now or datetime.now(UTC)
    day = f"{now.astimezone(UTC):%Y%m%d}"
    number = table.count_of_day(session, day) if groups else 0
    made = []
    for count, ids in enumerate(groups, number + 1):
        row = table.add(session, f"{day}-{count:04d}", ids, now)
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
