"""Questions about uploads: the files of the jobs, each with its kind, its owner and where its bytes are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.storage.tables import Upload


@dataclass(frozen=True, slots=True)
class NewUpload:
    """A bad one (``error`` says why) has no object."""

    name: str
    kind: str
    content_hash: str
    size: int
    tags: tuple[str, ...] = ()
    object_key: str | None = None
    error: str | None = None


def add(session: Session, job_id: int, owner: str, new: Collection[NewUpload]) -> None:
    session.add_all(
        Upload(
            job_id=job_id,
            name=item.name,
            kind=item.kind,
            owner=owner,
            tags=list(item.tags),
            content_hash=item.content_hash,
            size=item.size,
            object_key=item.object_key,
            status="bad" if item.error else "ok",
            error=item.error,
        )
        for item in new
    )
    session.flush()


def of_job(session: Session, job_id: int, kind: str | None = None) -> Sequence[Upload]:
    """The job's sound uploads, of one kind if given, as the job file lists them."""
    query = select(Upload).where(Upload.job_id == job_id, Upload.status == "ok").order_by(Upload.id)
    return session.execute(query if kind is None else query.where(Upload.kind == kind)).scalars().all()


def bad(session: Session) -> Sequence[Upload]:
    """Refused files, newest first."""
    return session.execute(select(Upload).where(Upload.status == "bad").order_by(Upload.id.desc())).scalars().all()
