"""Questions about edits: of each job and pattern the newest cut list, its rendered file and its quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import EditRow


def save_plan(session: Session, job_id: int, pattern: str, plan_key: str) -> None:
    """A changed plan takes the old one's rendering and quality with it; the same plan leaves them."""
    statement = insert(EditRow).values(job_id=job_id, pattern=pattern, plan_key=plan_key)
    changed = {"plan_key": plan_key, "render_key": None, "quality": None, "updated_at": func.now()}
    session.execute(
        statement.on_conflict_do_update(
            constraint="uq_edits_job_id_pattern", set_=changed, where=EditRow.plan_key != plan_key
        )
    )


def save_render(session: Session, job_id: int, pattern: str, render_key: str) -> None:
    _change(session, job_id, pattern, {"render_key": render_key})


def save_quality(session: Session, job_id: int, pattern: str, quality: dict[str, Any]) -> None:
    """``quality`` as JSON; NaN and infinity become null."""
    _change(session, job_id, pattern, {"quality": quality})


def of_job(session: Session, job_id: int) -> Sequence[EditRow]:
    return session.execute(select(EditRow).where(EditRow.job_id == job_id).order_by(EditRow.pattern)).scalars().all()


def _change(session: Session, job_id: int, pattern: str, values: dict[str, Any]) -> None:
    where = (EditRow.job_id == job_id, EditRow.pattern == pattern)
    session.execute(update(EditRow).where(*where).values(**values, updated_at=func.now()))
