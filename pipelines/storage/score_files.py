"""Videos that lie at a provider for a while: written down before they are sent, struck out when they are deleted there.

Who may still need one is left to scoring/video.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from pipelines.storage.scoring_tables import ScoreFile, ScoreJob


def add(session: Session, *, provider: str, address: str, name: str, holder: str, score_job_id: int | None) -> None:
    """``score_job_id``: of the sheet, which may be gone by now."""
    job = select(ScoreJob.id).where(ScoreJob.id == score_job_id).scalar_subquery()
    values = {"provider": provider, "address": address, "name": name, "holder": holder, "score_job_id": job}
    session.execute(insert(ScoreFile).values(values))


def lent(session: Session, provider: str, address: str) -> Sequence[ScoreFile]:
    """All that should still lie there, oldest first."""
    query = select(ScoreFile).where(ScoreFile.provider == provider, ScoreFile.address == address)
    return session.execute(query.order_by(ScoreFile.id)).scalars().all()


def strike(session: Session, provider: str, address: str, names: Collection[str]) -> None:
    """These are deleted there."""
    where = (ScoreFile.provider == provider, ScoreFile.address == address, ScoreFile.name.in_(names))
    session.execute(delete(ScoreFile).where(*where))


def strike_expired(session: Session, provider: str, before: datetime) -> int:
    """Those that the provider has deleted by itself; returns how many."""
    where = (ScoreFile.provider == provider, ScoreFile.created_at < before)
    return len(session.execute(delete(ScoreFile).where(*where).returning(ScoreFile.id)).all())
