"""Tables of recommending: viewers, videos, decisions, and the vectors of every version in partitions of their own.

The rest of the system of record is in tables.py. Questions over these are left to viewers.py, videos.py, decisions.py,
embedding_sets.py and embeddings.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import REAL
from sqlalchemy.orm import Mapped, mapped_column

from pipelines.storage.schema import Base, identity, now, one_of

DECISIONS = ("like", "watch", "skip", "dislike")
WANTED = ("like", "watch")  # what a list is to foresee; the others are history only
SET_STATUSES = ("building", "ready", "retired")
DIMENSIONS = 768


class Viewer(Base):
    """A person whose decisions are kept, by pseudonym only. Nothing of theirs is learned from unless they allow it."""

    __tablename__ = "viewers"
    user_id: Mapped[UUID] = mapped_column(primary_key=True)  # see recommending/people.py
    pseudonym: Mapped[str] = mapped_column(unique=True)
    training: Mapped[bool] = mapped_column(server_default=text("false"))
    granted_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]  # excluded from then on, deleted within a day
    created_at: Mapped[datetime] = now()


class Video(Base):
    """What may be recommended. ``job_id``: the catalogue that it came with, and goes with."""

    __tablename__ = "videos"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(unique=True)  # as the studio calls it
    title: Mapped[str | None]
    description: Mapped[str | None]
    category: Mapped[str | None]
    genres: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    year: Mapped[int | None]
    duration_s: Mapped[float | None] = mapped_column(REAL())
    available: Mapped[bool] = mapped_column(server_default=text("true"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    updated_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint("duration_s is null or (duration_s >= 0 and duration_s < 'Infinity')", name="duration_s"),
        Index("ix_videos_job_id", "job_id"),
        Index("ix_videos_genres", "genres", postgresql_using="gin"),
    )


class Performer(Base):
    __tablename__ = "performers"
    id: Mapped[int] = identity()
    name: Mapped[str] = mapped_column(unique=True)


class VideoPerformer(Base):
    __tablename__ = "video_performers"
    video_id: Mapped[UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True)
    performer_id: Mapped[int] = mapped_column(ForeignKey("performers.id", ondelete="CASCADE"), primary_key=True)
    __table_args__ = (Index("ix_video_performers_performer_id", "performer_id"),)


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = identity()
    name: Mapped[str] = mapped_column(unique=True)


class VideoTag(Base):
    """How many people gave a video this tag."""

    __tablename__ = "video_tags"
    video_id: Mapped[UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True)
    n: Mapped[int] = mapped_column(server_default="1")
    __table_args__ = (Index("ix_video_tags_tag_id", "tag_id"),)


class Decision(Base):
    """What a viewer decided about a video at a moment. A later one about the same video replaces it in every list, but
    stays here."""

    __tablename__ = "user_video_decisions"
    id: Mapped[int] = identity()
    user_id: Mapped[UUID] = mapped_column(ForeignKey("viewers.user_id", ondelete="CASCADE"))
    video_id: Mapped[UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"))
    decision: Mapped[str]
    rating: Mapped[float | None] = mapped_column(REAL())
    decided_at: Mapped[datetime]
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))  # null: told one by one
    created_at: Mapped[datetime] = now()
    __table_args__ = (
        UniqueConstraint("user_id", "video_id", "decided_at", "decision", name="uq_user_video_decisions_event"),
        one_of("decision", DECISIONS),
        CheckConstraint("rating not in ('NaN', 'Infinity', '-Infinity')", name="rating"),
        Index("ix_user_video_decisions_user_id_decided_at", "user_id", "decided_at"),
        Index("ix_user_video_decisions_video_id_decided_at", "video_id", "decided_at"),
        Index("ix_user_video_decisions_job_id", "job_id"),
    )


class EmbeddingSet(Base):
    """One whole load of one version's vectors: two partitions, of users and of videos."""

    __tablename__ = "embedding_sets"
    id: Mapped[int] = identity()
    model_id: Mapped[int] = mapped_column(ForeignKey("model_registry.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(server_default="building")
    n_users: Mapped[int] = mapped_column(server_default="0")
    n_videos: Mapped[int] = mapped_column(server_default="0")
    video_index: Mapped[str | None]  # hnsw or exact; null while it is built
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = now()
    ready_at: Mapped[datetime | None]
    __table_args__ = (
        one_of("status", SET_STATUSES),
        CheckConstraint("(status = 'building') = (ready_at is null)", name="ready_at"),
        Index("ix_embedding_sets_model_id", "model_id"),
    )


class EmbeddingPointer(Base):
    """Which set serves a version. This row is the deployment: whoever changes it changes what everybody reads."""

    __tablename__ = "embedding_pointers"
    model_id: Mapped[int] = mapped_column(ForeignKey("model_registry.id", ondelete="CASCADE"), primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("embedding_sets.id"))
    previous_set_id: Mapped[int | None] = mapped_column(ForeignKey("embedding_sets.id", ondelete="SET NULL"))
    flipped_at: Mapped[datetime] = now()


class UserEmbedding(Base):
    """A viewer's vector of length 1 in one set. ``digest``: of what it was made from, so that only changes move."""

    __tablename__ = "user_embeddings"
    set_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(DIMENSIONS), nullable=False)
    updated_at: Mapped[datetime] = now()
    model_version: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary())
    __table_args__ = (Index("ix_user_embeddings_user_id", "user_id"), {"postgresql_partition_by": "LIST (set_id)"})


class VideoEmbedding(Base):
    """A video's vector of length 1 in one set."""

    __tablename__ = "video_embeddings"
    set_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    video_id: Mapped[UUID] = mapped_column(primary_key=True)
    embedding: Mapped[Any] = mapped_column(Vector(DIMENSIONS), nullable=False)
    updated_at: Mapped[datetime] = now()
    model_version: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary())
    __table_args__ = ({"postgresql_partition_by": "LIST (set_id)"},)


class Recommendation(Base):
    """One place in the list that the last batch made for a viewer."""

    __tablename__ = "recommendations"
    user_id: Mapped[UUID] = mapped_column(ForeignKey("viewers.user_id", ondelete="CASCADE"), primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # from 1
    video_id: Mapped[UUID] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"))
    score: Mapped[float] = mapped_column(REAL())
    reason: Mapped[str]
    model_version: Mapped[str]
    made_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint("rank > 0", name="rank"),
        Index("ix_recommendations_video_id", "video_id"),
    )
