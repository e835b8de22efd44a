"""Which rows of recommending go with a viewer, and with a job of somebody who withdraws; and which files name viewers.

The other rows of a person are withdrawals.py's, which puts all of it in order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from pipelines.storage import embeddings, imports
from pipelines.storage.claims import among, of_jobs
from pipelines.storage.recommending_tables import (
    Decision,
    Recommendation,
    UserEmbedding,
    Video,
    VideoEmbedding,
    VideoPerformer,
    VideoTag,
    Viewer,
)
from pipelines.storage.tables import Upload, VaultItem
from pipelines.storage.viewers import among as among_viewers

NAMING = ("decisions", "tags")  # kinds of files that say who


def hide(session: Session, viewers: Collection[str]) -> None:
    """What was made of these viewers' decisions goes at once; what they decided, with the deletion."""
    embeddings.forget(session, [UUID(viewer) for viewer in viewers])
    session.execute(delete(Recommendation).where(among_viewers(Recommendation.user_id, viewers)))


def doomed(viewers: Collection[str], jobs: Collection[int]) -> list[tuple[Any, ColumnElement[bool]]]:
    """Tables with what goes from them: all of these viewers, and of these jobs the decisions, the viewers of whom
    nothing else is known, and the videos about which nobody else decided anything. In this order: each condition reads
    tables after its own."""
    mine = of_jobs(Decision.job_id, jobs)
    elsewhere = or_(Decision.job_id.is_(None), ~mine)

    def going(column: Any) -> ColumnElement[bool]:
        about = Decision.user_id == column
        alone = and_(exists().where(about, mine), ~exists().where(about, elsewhere))
        return or_(among_viewers(column, viewers), alone)

    catalogue = select(Video.id).where(of_jobs(Video.job_id, jobs))
    others = exists().where(Decision.video_id == Video.id, elsewhere, ~among_viewers(Decision.user_id, viewers))
    return [
        (UserEmbedding, going(UserEmbedding.user_id)),
        (Recommendation, or_(going(Recommendation.user_id), Recommendation.video_id.in_(catalogue))),
        (Viewer, going(Viewer.user_id)),
        (Decision, or_(among_viewers(Decision.user_id, viewers), mine)),
        (VideoEmbedding, VideoEmbedding.video_id.in_(catalogue)),
        (Video, and_(of_jobs(Video.job_id, jobs), ~others)),
    ]


def strip(session: Session, jobs: Collection[int]) -> None:
    """Of these jobs' videos about which others decided something, only what the others call them too stays."""
    named = select(Video.id).where(of_jobs(Video.job_id, jobs))
    for table in (VideoTag, VideoPerformer):
        session.execute(delete(table).where(table.video_id.in_(named)))
    bare: dict[str, Any] = {
        "title": None,
        "description": None,
        "category": None,
        "genres": [],
        "year": None,
        "duration_s": None,
    }
    session.execute(update(Video).where(of_jobs(Video.job_id, jobs)).values(**bare, job_id=None))
    imports.drop_unused_words(session)


def left(session: Session, jobs: Collection[int]) -> int:
    """How many videos of these jobs are not stripped yet."""
    return len(session.execute(select(Video.id).where(of_jobs(Video.job_id, jobs))).all())


def exports(session: Session, jobs: Collection[int], until: datetime) -> Sequence[Upload]:
    """Files that are there, of others than these jobs, which may name viewers; oldest first."""
    query = select(Upload).where(Upload.kind.in_(NAMING), Upload.status == "ok", ~of_jobs(Upload.job_id, jobs))
    return session.execute(query.where(Upload.created_at <= until).order_by(Upload.id)).scalars().all()


def kept(session: Session, hashes: Collection[str], jobs: Collection[int]) -> Sequence[VaultItem]:
    """Items of the vault, under no legal hold, that hold these contents, but for those of these jobs."""
    query = select(VaultItem).where(among(VaultItem.content_hash, hashes), VaultItem.kind.in_(NAMING))
    query = query.where(VaultItem.deleted_at.is_(None), ~VaultItem.legal_hold, VaultItem.job_id.is_not(None))
    return session.execute(query.where(~of_jobs(VaultItem.job_id, jobs)).order_by(VaultItem.id)).scalars().all()


def there(session: Session, uploads: Collection[int]) -> set[int]:
    """Ids of those of these uploads whose bytes are here."""
    query = select(Upload.id).where(of_jobs(Upload.id, uploads), Upload.object_key.is_not(None))
    return set(session.execute(query).scalars())
