"""Questions about composers' own styles: which version is in use, and whose may not be any more.

What a style is, and the object that holds it, are composing/personal.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from pipelines.governance.people import pseudonym
from pipelines.storage import consents
from pipelines.storage.claims import among, of_jobs
from pipelines.storage.composing_tables import ComposerStyle
from pipelines.storage.tables import Job

FOLDER = "styles"  # of the object store; below it a folder a pseudonym, so that nobody's is another's, too


def key(person: str, version: int) -> str:
    """Of a style's object; ``person``: pseudonym."""
    return f"{FOLDER}/{person}/{version}.safetensors"


def next_version(session: Session, owners: Collection[str]) -> int:
    """1 for somebody who has none."""
    found = session.execute(select(func.max(ComposerStyle.version)).where(among(ComposerStyle.owner, owners))).scalar()
    return (found or 0) + 1


def add(
    session: Session, *, owner: str, version: int, content_hash: str, pieces: int, metrics: Mapping[str, Any]
) -> ComposerStyle:
    row = ComposerStyle(
        owner=owner,
        version=version,
        object_key=key(pseudonym(owner), version),
        content_hash=content_hash,
        pieces=pieces,
        metrics=dict(metrics),
    )
    session.add(row)
    session.flush()
    return row


def newest(session: Session, owners: Collection[str]) -> ComposerStyle | None:
    query = select(ComposerStyle).where(among(ComposerStyle.owner, owners))
    return session.execute(query.order_by(ComposerStyle.version.desc(), ComposerStyle.id.desc()).limit(1)).scalar()


def of_owners(session: Session, owners: Collection[str]) -> Sequence[ComposerStyle]:
    """Oldest first."""
    query = select(ComposerStyle).where(among(ComposerStyle.owner, owners)).order_by(ComposerStyle.id)
    return session.execute(query).scalars().all()


def forget(session: Session, ids: Collection[int]) -> None:
    session.execute(delete(ComposerStyle).where(of_jobs(ComposerStyle.id, ids)))


def allowed(session: Session, owners: Collection[str]) -> bool:
    """Whether one of these owners' jobs may be learned from at this moment."""
    query = select(Job.id).where(among(Job.owner, owners), Job.id.in_(consents.trainable_jobs())).limit(1)
    return session.execute(query).first() is not None


def taken_back(session: Session) -> list[ComposerStyle]:
    """Those whose composer has taken training back, for whichever job, since they were learned."""
    found = []
    for row in session.execute(select(ComposerStyle).order_by(ComposerStyle.id)).scalars():
        at: datetime | None = consents.taken_back_at(session, pseudonym(row.owner))
        if at is not None and at >= row.created_at:
            found.append(row)
    return found
