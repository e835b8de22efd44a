"""Questions about batches as rows. When one is made, asked for again or given up is decided in intake/batches.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from pipelines.storage.tables import BatchRow, Job, Upload

PLANNING_LOCK = 5_283_114_903


def lock_planning(session: Session) -> None:
    """One planner at a time, until the end of the transaction. What is read afterwards includes the last one's work."""
    session.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": PLANNING_LOCK})


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that is in no batch yet."""

    job_id: int
    size: int  # bytes of its uploads
    age: float  # s since it was taken in


def unplanned(session: Session) -> list[Waiting]:
    """The sound jobs that are in no batch, in the order in which they came, locked until the end of the transaction."""
    size = select(func.coalesce(func.sum(Upload.size), 0)).where(Upload.job_id == Job.id).scalar_subquery()
    age = func.extract("epoch", func.clock_timestamp() - Job.created_at)
    query = select(Job.id, size, age).where(Job.batch_id.is_(None), Job.status == "ready").order_by(Job.id)
    return [Waiting(row[0], int(row[1]), float(row[2])) for row in session.execute(query.with_for_update(of=Job))]


def count(session: Session, *statuses: str) -> int:
    return session.execute(select(func.count(BatchRow.id)).where(BatchRow.status.in_(statuses))).scalar_one()


def count_of_day(session: Session, day: str) -> int:
    """The highest number given on that day (``YYYYMMDD``), 0 when there was none."""
    number = func.max(func.split_part(BatchRow.key, "-", 2).cast(BatchRow.id.type))
    return session.execute(select(number).where(BatchRow.key.startswith(f"{day}-"))).scalar() or 0


def add(session: Session, key: str, job_ids: Sequence[int], now: datetime) -> BatchRow:
    row = BatchRow(key=key, created_at=now)
    session.add(row)
    session.flush()
    session.execute(update(Job).where(Job.id.in_(job_ids)).values(batch_id=row.id))
    return row


def by_status(session: Session, *statuses: str) -> Sequence[BatchRow]:
    return session.execute(select(BatchRow).where(BatchRow.status.in_(statuses)).order_by(BatchRow.id)).scalars().all()


def by_key(session: Session, key: str) -> BatchRow | None:
    """The batch, locked until the end of the transaction."""
    return session.execute(select(BatchRow).where(BatchRow.key == key).with_for_update()).scalar_one_or_none()


def of_job(session: Session, job_id: int) -> BatchRow | None:
    return session.execute(select(BatchRow).join(Job).where(Job.id == job_id)).scalar_one_or_none()


def job_ids(session: Session, batch_ids: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """Batch id -> its jobs' ids."""
    query = select(Job.batch_id, func.array_agg(Job.id)).where(Job.batch_id.in_(batch_ids)).group_by(Job.batch_id)
    return {batch: tuple(sorted(ids)) for batch, ids in session.execute(query) if batch is not None}


def prunable(session: Session, before: datetime) -> Sequence[BatchRow]:
    """Finished or failed batches made before that moment and not pruned yet."""
    query = select(BatchRow).where(
        BatchRow.status.in_(("finished", "failed")), BatchRow.created_at < before, BatchRow.pruned_at.is_(None)
    )
    return session.execute(query.order_by(BatchRow.id)).scalars().all()


def pruned_since(session: Session, moment: datetime) -> Sequence[BatchRow]:
    """Batches whose partitions were given up since then."""
    query = select(BatchRow).where(BatchRow.pruned_at >= moment).order_by(BatchRow.id)
    return session.execute(query).scalars().all()
