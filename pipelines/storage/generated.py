"""Questions about generated jobs: what the product made itself, from media it may use, to learn from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from pipelines.storage.tables import Consent, Job


def open_job(session: Session, name: str, content_hash: str, owner: str, about: dict[str, Any]) -> int:
    """Id of the generated job of this content, made when there is none; its owner allows training.

    There is one content of a name at a time: jobs of other contents (another seed, another version of the code) go,
    with their features and labels.
    """
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 1))"), {"name": name})
    of_name = (Job.name == name, Job.status == "generated")
    session.execute(delete(Job).where(*of_name, Job.content_hash != content_hash))
    found = session.execute(select(Job.id).where(*of_name, Job.content_hash == content_hash)).scalar()
    if found is not None:
        return found
    # An inbox folder may bear the same name; its contents are jobs of their own.
    last = session.execute(select(func.max(Job.revision)).where(Job.name == name)).scalar() or 0
    job = Job(
        name=name, revision=last + 1, content_hash=content_hash, status="generated", owner=owner, master=dict(about)
    )
    session.add(job)
    session.flush()
    session.add(Consent(job_id=job.id, owner=owner, quality=False, training=True))
    session.flush()
    return job.id


def job_of(session: Session, name: str) -> int | None:
    """Id of the generated job of this name, if there is one."""
    return session.execute(select(Job.id).where(Job.name == name, Job.status == "generated")).scalar_one_or_none()
