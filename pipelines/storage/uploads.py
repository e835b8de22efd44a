"""Uploads as rows: the files of the jobs, each with its kind, its owner and where its bytes are. They are read with
their jobs (jobs.py)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from pipelines.storage.tables import InboxFolder, Job, Upload


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
    add_many(session, [(job_id, owner, item) for item in new])
    session.expire(session.get_one(Job, job_id), ["uploads"])


def add_many(session: Session, new: Sequence[tuple[int, str, NewUpload]]) -> None:
    """Files of several jobs: (job, owner, file)."""
    rows = [
        {
            "job_id": job_id,
            "name": item.name,
            "kind": item.kind,
            "owner": owner,
            "tags": list(item.tags),
            "content_hash": item.content_hash,
            "size": item.size,
            "object_key": item.object_key,
            "status": "bad" if item.error else "ok",
            "error": item.error,
        }
        for job_id, owner, item in new
    ]
    if rows:
        session.execute(insert(Upload), rows)


def get(session: Session, upload_id: int) -> Upload:
    return session.get_one(Upload, upload_id)


def refused(session: Session) -> Sequence[tuple[Upload, Job]]:
    """Bad files of sound jobs that are what lies in the inbox, newest first."""
    query = select(Upload, Job).join(Job, Job.id == Upload.job_id).join(InboxFolder, InboxFolder.job_id == Job.id)
    query = query.where(Upload.status == "bad", Job.status == "ready").order_by(Upload.id.desc())
    return [(upload, job) for upload, job in session.execute(query)]
