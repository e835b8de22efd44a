"""Questions about edits: of each job and pattern the newest cut list, its rendered file and its quality."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from pipelines.storage.claims import among
from pipelines.storage.tables import EditRow, InboxFolder, Job


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


def listed(
    session: Session, owners: Collection[str] | None, *, before: int | None = None, limit: int, job: str | None = None
) -> list[tuple[str, EditRow]]:
    """The newest first, each with its job's name, of the contents that names stand for now; of these owners (None: of
    everybody). ``before``: below this id; ``job``: of this name."""
    last = aliased(Job)
    newest = select(func.max(last.id)).where(last.name == Job.name, last.status == "ready").scalar_subquery()
    folder = select(InboxFolder.job_id).join(last, last.id == InboxFolder.job_id)
    present = folder.where(InboxFolder.name == Job.name, last.status == "ready").scalar_subquery()
    query = select(Job.name, EditRow).join(Job, Job.id == EditRow.job_id)
    query = query.where(Job.id == func.coalesce(present, newest))
    if owners is not None:
        query = query.where(among(Job.owner, owners))
    if job is not None:
        query = query.where(Job.name == job)
    if before is not None:
        query = query.where(EditRow.id < before)
    return [(name, row) for name, row in session.execute(query.order_by(EditRow.id.desc()).limit(limit))]


def _change(session: Session, job_id: int, pattern: str, values: dict[str, Any]) -> None:
    where = (EditRow.job_id == job_id, EditRow.pattern == pattern)
    session.execute(update(EditRow).where(*where).values(**values, updated_at=func.now()))
