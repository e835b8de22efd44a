"""Questions about chunks as rows. What follows from a chunk's end is decided in scoring/chunks.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from pipelines.storage.claims import among
from pipelines.storage.scoring_tables import ScoreChunk, ScoreJob, ScoreRow
from pipelines.storage.tables import Job

UNDER_WAY = ("requested", "running")


def add(session: Session, score_job_id: int, spans: Sequence[tuple[int, int, int]]) -> Sequence[ScoreChunk]:
    """``spans``: first row, last row (excluded), mark. In their order, numbered from 1."""
    values: list[dict[str, Any]] = [
        {
            "score_job_id": score_job_id,
            "chunk_id": f"{score_job_id}-{number:04d}",
            "number": number,
            "row_range": Range(first, last, bounds="[)"),
            "mark": mark,
        }
        for number, (first, last, mark) in enumerate(spans, 1)
    ]
    if values:
        session.execute(insert(ScoreChunk), values)
    return of(session, score_job_id)


def of(session: Session, score_job_id: int, *statuses: str) -> Sequence[ScoreChunk]:
    """Of a sheet, in order; of these statuses where some are given."""
    query = select(ScoreChunk).where(ScoreChunk.score_job_id == score_job_id)
    if statuses:
        query = query.where(ScoreChunk.status.in_(statuses))
    return session.execute(query.order_by(ScoreChunk.number)).scalars().all()


def after(session: Session, score_job_id: int, number: int, limit: int) -> Sequence[ScoreChunk]:
    """Of a sheet, in order, those that come after this number."""
    query = select(ScoreChunk).where(ScoreChunk.score_job_id == score_job_id, ScoreChunk.number > number)
    return session.execute(query.order_by(ScoreChunk.number).limit(limit)).scalars().all()


def by_keys(session: Session, chunk_ids: Collection[str]) -> Sequence[ScoreChunk]:
    """By the names of their partitions, by sheet and number."""
    query = select(ScoreChunk).where(among(ScoreChunk.chunk_id, chunk_ids))
    return session.execute(query.order_by(ScoreChunk.score_job_id, ScoreChunk.number)).scalars().all()


def locked(session: Session, chunk_id: int) -> ScoreChunk | None:
    """The row of this id, locked until the end of the transaction."""
    return session.get(ScoreChunk, chunk_id, with_for_update=True, populate_existing=True)


def living(session: Session, chunk_id: int) -> bool:
    """Whether the sheet of the chunk of this id is one that goes on: nobody took it back."""
    query = select(ScoreChunk.id).join(ScoreJob).outerjoin(Job)
    query = query.where(ScoreChunk.id == chunk_id, or_(ScoreJob.job_id.is_(None), Job.status == "ready"))
    return session.execute(query).first() is not None


def locked_by_keys(session: Session, chunk_ids: Collection[str], *statuses: str) -> Sequence[ScoreChunk]:
    """Of these partitions and statuses, locked until the end of the transaction."""
    query = select(ScoreChunk).where(among(ScoreChunk.chunk_id, chunk_ids), ScoreChunk.status.in_(statuses))
    return session.execute(query.order_by(ScoreChunk.id).with_for_update()).scalars().all()


def due(session: Session, now: datetime) -> Sequence[Row[ScoreChunk, ScoreJob]]:
    """Never asked for, or failed and waited long enough, of inbox jobs that go on; by sheet and number."""
    waited = and_(ScoreChunk.status == "failed", or_(ScoreChunk.not_before.is_(None), ScoreChunk.not_before <= now))
    return _of_living(session, or_(ScoreChunk.status == "planned", waited))


def under_way(session: Session, before: datetime) -> Sequence[Row[ScoreChunk, ScoreJob]]:
    """Of inbox jobs, asked for before that moment and not ended yet; by sheet and number."""
    return _of_living(session, ScoreChunk.status.in_(UNDER_WAY), ScoreChunk.requested_at < before)


def request(session: Session, chunk_ids: Collection[str], now: datetime) -> None:
    mine = update(ScoreChunk).where(among(ScoreChunk.chunk_id, chunk_ids))
    values = {"status": "requested", "requested_at": now, "finished_at": None, "not_before": None}
    session.execute(mine.values(attempts=ScoreChunk.attempts + 1, pruned_at=None, **values))


def plan_again(session: Session, score_job_id: int | None) -> dict[int, int]:
    """Failed and given-up chunks, of one sheet or of all living inbox jobs', as if they had never failed: sheet -> how
    many."""
    ended = ScoreChunk.status.in_(("failed", "given_up"))
    inbox = select(ScoreJob.id).join(Job).where(Job.status == "ready")
    sheets = ScoreChunk.score_job_id.in_(inbox) if score_job_id is None else ScoreChunk.score_job_id == score_job_id
    mine = and_(ended, sheets)
    fresh = {"status": "planned", "retry_count": 0, "not_before": None, "finished_at": None, "pruned_at": None}
    found: dict[int, int] = {}
    for sheet in session.execute(update(ScoreChunk).where(mine).values(**fresh).returning(ScoreChunk.score_job_id)):
        found[sheet[0]] = found.get(sheet[0], 0) + 1
    return found


def summary(session: Session, score_job_id: int) -> Sequence[Row[str, int, int, dict[str, Any], float]]:
    """By chunk, in order: status, rows done, rows, tally, seconds."""
    rows = func.upper(ScoreChunk.row_range) - func.lower(ScoreChunk.row_range)
    query = select(ScoreChunk.status, ScoreChunk.rows_done, rows, ScoreChunk.tally, ScoreChunk.seconds)
    query = query.where(ScoreChunk.score_job_id == score_job_id).order_by(ScoreChunk.number)
    return session.execute(query).all()


def short(session: Session, chunk_ids: Collection[str]) -> list[tuple[str, int, int]]:
    """Of these chunks the finished ones with fewer recorded rows than they have: name, recorded, rows."""
    first, last = func.lower(ScoreChunk.row_range), func.upper(ScoreChunk.row_range)
    here = and_(ScoreRow.score_job_id == ScoreChunk.score_job_id, ScoreRow.row >= first, ScoreRow.row < last)
    recorded = select(func.count()).select_from(ScoreRow).where(here).scalar_subquery()
    query = select(ScoreChunk.chunk_id, recorded, last - first).where(among(ScoreChunk.chunk_id, chunk_ids))
    query = query.where(ScoreChunk.status == "finished", recorded < last - first)
    return [(name, rows, of) for name, rows, of in session.execute(query.order_by(ScoreChunk.id))]


def prunable(session: Session, before: datetime) -> Sequence[ScoreChunk]:
    """Not pruned yet, of sheets that came before that moment: what has ended, all of a sheet that an error ended."""
    ended = or_(ScoreChunk.status.in_(("finished", "given_up")), ScoreJob.error.is_not(None))
    query = select(ScoreChunk).join(ScoreJob).where(ended)
    query = query.where(ScoreJob.created_at < before, ScoreChunk.pruned_at.is_(None))
    return session.execute(query.order_by(ScoreChunk.id)).scalars().all()


def pruned_since(session: Session, moment: datetime) -> Sequence[str]:
    """Partitions that were given up since then."""
    query = select(ScoreChunk.chunk_id).where(ScoreChunk.pruned_at >= moment).order_by(ScoreChunk.id)
    return session.execute(query).scalars().all()


def _of_living(session: Session, *where: Any) -> Sequence[Row[ScoreChunk, ScoreJob]]:
    query = select(ScoreChunk, ScoreJob).join(ScoreJob).join(Job).where(*where)
    query = query.where(ScoreJob.error.is_(None), Job.status == "ready")
    return session.execute(query.order_by(ScoreChunk.score_job_id, ScoreChunk.number)).all()
