"""Every table of the system of record, as SQLAlchemy 2 classes: columns, constraints, indexes.

Questions over them are left to one module a noun (jobs.py, batches.py ...), how they come to be to migrations/.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

REVISION = "0001"  # the newest migration; a test holds the two together

JOB_STATUSES = ("ready", "bad")
UPLOAD_KINDS = ("music", "clip", "lyrics", "inst", "vocal", "mix", "melody", "sheet")
UPLOAD_STATUSES = ("ok", "bad")
BATCH_STATUSES = ("planned", "requested", "finished", "failed")
ITEM_STATUSES = ("ok", "failed")
CLIP_KINDS = ("inst", "vocal", "mix")


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    allowed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({allowed})", name=column)


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


def _id() -> Mapped[int]:
    return mapped_column(BigInteger, Identity(always=True), primary_key=True)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        str: Text(),
        int: BigInteger(),
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(),
        list[str]: ARRAY(Text()),
    }


class BatchRow(Base):
    """Up to N jobs: one partition. ``attempts`` counts its run requests; a pruned one has no partition any more."""

    __tablename__ = "batches"
    id: Mapped[int] = _id()
    key: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(server_default="planned")
    attempts: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    requested_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    pruned_at: Mapped[datetime | None]
    __table_args__ = (
        _one_of("status", BATCH_STATUSES),
        CheckConstraint("key ~ '^[0-9]{8}-[0-9]{4,}$'", name="key"),
        Index("ix_batches_open", "id", postgresql_where=text("status <> 'finished'")),
    )


class Job(Base):
    """The uploads that belong together: one content of one inbox folder; its other content is another row."""

    __tablename__ = "jobs"
    id: Mapped[int] = _id()
    name: Mapped[str]  # the folder's
    revision: Mapped[int]  # 1, 2, ... among the contents of this name
    content_hash: Mapped[str]
    status: Mapped[str]
    error: Mapped[str | None]  # why it is bad, in one sentence
    owner: Mapped[str | None]
    bpm: Mapped[float | None]
    key: Mapped[str | None]
    edit: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # duration, fps, patterns
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    created_at: Mapped[datetime] = _now()
    uploads: Mapped[list[Upload]] = relationship(order_by="Upload.id", lazy="selectin", back_populates="job")
    __table_args__ = (
        UniqueConstraint("name", "content_hash"),
        UniqueConstraint("name", "revision"),
        _one_of("status", JOB_STATUSES),
        CheckConstraint("(status = 'bad') = (error is not null)", name="error"),
        CheckConstraint("status = 'ready' or batch_id is null", name="bad_is_in_no_batch"),
        Index("ix_jobs_unplanned", "id", postgresql_where=text("batch_id is null and status = 'ready'")),
        Index("ix_jobs_batch_id", "batch_id"),
    )


class InboxFolder(Base):
    """What the inbox looked like when it was last read, so that an unchanged folder costs a few ``stat`` calls."""

    __tablename__ = "inbox_folders"
    name: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str | None]  # of names, sizes and times; null while the folder is being read
    files: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # name -> stamp, hash, key
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    seen_at: Mapped[datetime] = _now()


class Upload(Base):
    """One file with its kind and owner. A bad one is kept as a row, its bytes are not."""

    __tablename__ = "uploads"
    id: Mapped[int] = _id()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    name: Mapped[str]
    kind: Mapped[str]
    owner: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    content_hash: Mapped[str]
    size: Mapped[int]  # bytes
    object_key: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="ok")
    error: Mapped[str | None]
    created_at: Mapped[datetime] = _now()
    job: Mapped[Job] = relationship(back_populates="uploads")
    __table_args__ = (
        UniqueConstraint("job_id", "name"),
        _one_of("kind", UPLOAD_KINDS),
        _one_of("status", UPLOAD_STATUSES),
        CheckConstraint("(status = 'ok') = (object_key is not null)", name="stored"),
        CheckConstraint("(status = 'bad') = (error is not null)", name="error"),
        Index("ix_uploads_content_hash", "content_hash"),
        Index("ix_uploads_owner", "owner"),
    )


class Consent(Base):
    """What an owner allowed for a job's uploads, and until when."""

    __tablename__ = "consents"
    id: Mapped[int] = _id()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), unique=True)
    owner: Mapped[str]
    quality: Mapped[bool]
    training: Mapped[bool]
    granted_at: Mapped[datetime] = _now()
    withdrawn_at: Mapped[datetime | None]
    __table_args__ = (Index("ix_consents_owner", "owner"),)


class ItemResult(Base):
    """How the work on one item went: the newest outcome of (job, upload, kind, content, code version, parameters)."""

    __tablename__ = "item_results"
    id: Mapped[int] = _id()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    upload_id: Mapped[int | None] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"))  # null: a whole job's
    kind: Mapped[str]  # the asset's name, such as music_features
    content_hash: Mapped[str]
    code_version: Mapped[str]
    params_hash: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str]
    error: Mapped[str | None]
    object_key: Mapped[str | None]
    seconds: Mapped[float]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint(
            "job_id",
            "upload_id",
            "kind",
            "content_hash",
            "code_version",
            "params_hash",
            name="uq_item_results_item",
            postgresql_nulls_not_distinct=True,
        ),
        _one_of("status", ITEM_STATUSES),
        CheckConstraint("(status = 'failed') = (error is not null)", name="error"),
        Index("ix_item_results_upload_id", "upload_id"),
        Index("ix_item_results_failed", "created_at", postgresql_where=text("status = 'failed'")),
    )


class FeatureRow(Base):
    """One feature vector of one sound. A vector that is not finite or of another length than it says is refused."""

    __tablename__ = "features_store"
    id: Mapped[int] = _id()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    user_id: Mapped[str]
    clip_kind: Mapped[str]
    n_dim: Mapped[int]
    vec: Mapped[list[float]] = mapped_column(ARRAY(REAL()))
    stats: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    content_hash: Mapped[str]
    feature_version: Mapped[str]
    created_at: Mapped[datetime] = _now()
    __table_args__ = (
        UniqueConstraint("job_id", "clip_kind", "content_hash", "feature_version", name="uq_features_store_item"),
        _one_of("clip_kind", CLIP_KINDS),
        CheckConstraint("n_dim > 0 and cardinality(vec) = n_dim", name="n_dim"),
        CheckConstraint("not vec && '{NaN,Infinity,-Infinity}'::float4[]", name="finite"),
        Index("ix_features_store_content_hash", "content_hash"),
        Index("ix_features_store_user_id", "user_id"),
    )


class EditRow(Base):
    """The newest edit of a job by a pattern: its cut list, its rendered file, its quality."""

    __tablename__ = "edits"
    id: Mapped[int] = _id()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    pattern: Mapped[str]
    plan_key: Mapped[str]
    render_key: Mapped[str | None]
    quality: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = _now()
    updated_at: Mapped[datetime] = _now()
    __table_args__ = (UniqueConstraint("job_id", "pattern"),)


class AuditLog(Base):
    """Who did what to what, and when. Rows are only ever added: the table refuses any change."""

    __tablename__ = "audit_logs"
    id: Mapped[int] = _id()
    at: Mapped[datetime] = _now()
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]  # such as job:12, user:yamada
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    __table_args__ = (Index("ix_audit_logs_subject_at", "subject", "at"), Index("ix_audit_logs_at", "at"))


class FeatureFlag(Base):
    """A switch that an operator turns while the product runs."""

    __tablename__ = "feature_flags"
    name: Mapped[str] = mapped_column(primary_key=True)
    enabled: Mapped[bool]
    note: Mapped[str] = mapped_column(server_default="")
    updated_at: Mapped[datetime] = _now()
