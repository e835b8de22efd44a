"""Tables of the system of record, as SQLAlchemy 2 classes: columns, constraints, indexes.

Recommending's are in recommending_tables.py, scoring's in scoring_tables.py, composing's in composing_tables.py,
serving's in serving_tables.py, upkeep's in upkeep_tables.py.
Questions over them are left to one module a noun (jobs.py, batches.py ...), how they come to be to migrations/.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import REAL
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pipelines.storage.schema import Base as Base
from pipelines.storage.schema import identity, now, one_of

REVISION = "0008"  # the newest migration; a test holds the two together

JOB_STATUSES = ("ready", "bad", "generated")  # generated: made by the product from media it may use, in no batch
UPLOAD_KINDS = (
    *("music", "clip", "lyrics", "inst", "vocal", "mix", "melody", "sheet"),
    *("videos", "decisions", "tags"),  # what recommendations are learned from, as tables
)
UPLOAD_STATUSES = ("ok", "bad", "expired")  # expired: the original's time was up, or its owner withdrew
BATCH_STATUSES = ("planned", "requested", "finished", "failed")
ITEM_STATUSES = ("ok", "failed")
CLIP_KINDS = ("inst", "vocal", "mix")
TASKS = ("master_reg", "preset_cls", "align_conf")
LABEL_QUALITIES = ("auto", "human", "low")
ROLLOUT_STATUSES = ("running", "live", "rolled_back", "superseded")
STAGES = (0, 5, 25, 100)  # per cent of the users
VAULT_KINDS = (*UPLOAD_KINDS, "master", "preview", "scored", "arrangement")


class BatchRow(Base):
    """Up to N jobs: one partition. ``attempts`` counts its run requests; a pruned one has no partition any more."""

    __tablename__ = "batches"
    id: Mapped[int] = identity()
    key: Mapped[str] = mapped_column(unique=True)
    status: Mapped[str] = mapped_column(server_default="planned")
    attempts: Mapped[int] = mapped_column(server_default="0")
    error: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    requested_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    pruned_at: Mapped[datetime | None]
    __table_args__ = (
        one_of("status", BATCH_STATUSES),
        CheckConstraint("key ~ '^[0-9]{8}-[0-9]{4,}$'", name="key"),
        Index("ix_batches_open", "id", postgresql_where=text("status <> 'finished'")),
    )


class Job(Base):
    """The uploads that belong together: one content of one inbox folder; its other content is another row."""

    __tablename__ = "jobs"
    id: Mapped[int] = identity()
    name: Mapped[str]  # the folder's
    revision: Mapped[int]  # 1, 2, ... among the contents of this name
    content_hash: Mapped[str]
    status: Mapped[str]
    error: Mapped[str | None]  # why it is bad, in one sentence
    owner: Mapped[str | None]
    bpm: Mapped[float | None]
    key: Mapped[str | None]
    edit: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # duration, fps, patterns
    master: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # preset
    score: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'::jsonb")
    )  # categories, column, provider ...
    compose: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # style, candidates ...
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batches.id"))
    created_at: Mapped[datetime] = now()
    uploads: Mapped[list[Upload]] = relationship(order_by="Upload.id", lazy="selectin", back_populates="job")
    __table_args__ = (
        UniqueConstraint("name", "content_hash"),
        UniqueConstraint("name", "revision"),
        one_of("status", JOB_STATUSES),
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
    seen_at: Mapped[datetime] = now()


class Upload(Base):
    """One file with its kind and owner. A bad one is kept as a row, its bytes are not."""

    __tablename__ = "uploads"
    id: Mapped[int] = identity()
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
    created_at: Mapped[datetime] = now()
    job: Mapped[Job] = relationship(back_populates="uploads")
    __table_args__ = (
        UniqueConstraint("job_id", "name"),
        one_of("kind", UPLOAD_KINDS),
        one_of("status", UPLOAD_STATUSES),
        CheckConstraint("(status = 'ok') = (object_key is not null)", name="stored"),
        CheckConstraint("(status = 'bad') = (error is not null)", name="error"),
        Index("ix_uploads_content_hash", "content_hash"),
        Index("ix_uploads_owner", "owner"),
    )


class Consent(Base):
    """What an owner allowed for a job's uploads, and until when. Both are off unless given."""

    __tablename__ = "consents"
    id: Mapped[int] = identity()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), unique=True)
    owner: Mapped[str]
    quality: Mapped[bool]
    training: Mapped[bool]
    granted_at: Mapped[datetime] = now()
    withdrawn_at: Mapped[datetime | None]
    __table_args__ = (Index("ix_consents_owner", "owner"),)


class ItemResult(Base):
    """How the work on one item went: the newest outcome of (job, upload, kind, content, code version, parameters)."""

    __tablename__ = "item_results"
    id: Mapped[int] = identity()
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
    created_at: Mapped[datetime] = now()
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
        one_of("status", ITEM_STATUSES),
        CheckConstraint("(status = 'failed') = (error is not null)", name="error"),
        Index("ix_item_results_upload_id", "upload_id"),
        Index("ix_item_results_failed", "created_at", postgresql_where=text("status = 'failed'")),
    )


class FeatureRow(Base):
    """One feature vector of one sound. A vector that is not finite or of another length than it says is refused."""

    __tablename__ = "features_store"
    id: Mapped[int] = identity()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    user_id: Mapped[str]
    clip_kind: Mapped[str]
    n_dim: Mapped[int]
    vec: Mapped[list[float]] = mapped_column(ARRAY(REAL()))
    stats: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    content_hash: Mapped[str]
    feature_version: Mapped[str]
    created_at: Mapped[datetime] = now()
    __table_args__ = (
        UniqueConstraint("job_id", "clip_kind", "content_hash", "feature_version", name="uq_features_store_item"),
        one_of("clip_kind", CLIP_KINDS),
        CheckConstraint("n_dim > 0 and cardinality(vec) = n_dim", name="n_dim"),
        CheckConstraint("not vec && '{NaN,Infinity,-Infinity}'::float4[]", name="finite"),
        Index("ix_features_store_content_hash", "content_hash"),
        Index("ix_features_store_user_id", "user_id"),
    )


class EditRow(Base):
    """The newest edit of a job by a pattern: its cut list, its rendered file, its quality."""

    __tablename__ = "edits"
    id: Mapped[int] = identity()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    pattern: Mapped[str]
    plan_key: Mapped[str]
    render_key: Mapped[str | None]
    quality: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = now()
    updated_at: Mapped[datetime] = now()
    __table_args__ = (UniqueConstraint("job_id", "pattern"),)


class Label(Base):
    """What a model is to answer for one sound. ``recording`` is the source recording: folds never divide it."""

    __tablename__ = "labels"
    id: Mapped[int] = identity()
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    user_id: Mapped[str]
    task: Mapped[str]
    content_hash: Mapped[str]  # with clip_kind and feature_version: its row of features_store
    clip_kind: Mapped[str]
    feature_version: Mapped[str]
    recording: Mapped[str]
    y_reg: Mapped[list[float] | None] = mapped_column(ARRAY(REAL()))
    y_cls: Mapped[str | None]
    quality: Mapped[str] = mapped_column(server_default="auto")
    author: Mapped[str] = mapped_column(server_default="rule")  # a person's name where quality is human
    created_at: Mapped[datetime] = now()
    __table_args__ = (
        UniqueConstraint("job_id", "task", "clip_kind", "content_hash", name="uq_labels_item"),
        one_of("task", TASKS),
        one_of("clip_kind", CLIP_KINDS),
        one_of("quality", LABEL_QUALITIES),
        CheckConstraint("(y_reg is null) <> (y_cls is null)", name="one_answer"),
        CheckConstraint("not y_reg && '{NaN,Infinity,-Infinity}'::float4[]", name="finite"),
        Index("ix_labels_user_id", "user_id"),
        Index("ix_labels_task_id", "task", "id"),
    )


class TrainingSnapshot(Base):
    """The exact rows a model learned from: a Parquet file in the object store, until one of its users withdraws."""

    __tablename__ = "training_snapshots"
    id: Mapped[int] = identity()
    task: Mapped[str]
    uri: Mapped[str]  # key in the object store
    sha256: Mapped[str]
    n_rows: Mapped[int]
    feature_version: Mapped[str]
    users: Mapped[list[str]]  # pseudonyms, see governance/people.py
    provenance: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # counts, sources, licences
    created_at: Mapped[datetime] = now()
    erased_at: Mapped[datetime | None]
    erased_reason: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("task", "sha256"),
        Index("ix_training_snapshots_users", "users", postgresql_using="gin"),
    )


class ModelVersion(Base):
    """One artefact of one model. Rows are never changed; ``reference`` is what drift is measured against."""

    __tablename__ = "model_registry"
    id: Mapped[int] = identity()
    name: Mapped[str]
    version: Mapped[str]
    uri: Mapped[str]  # key in the object store
    framework: Mapped[str]
    input_dim: Mapped[int]
    output_dim: Mapped[int]
    metrics: Mapped[dict[str, Any]]
    sha256: Mapped[str]
    feature_version: Mapped[str]
    code_version: Mapped[str]
    snapshot_id: Mapped[int | None] = mapped_column(ForeignKey("training_snapshots.id"))
    licences: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    provenance: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    reference: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = now()
    created_by: Mapped[str]
    __table_args__ = (
        UniqueConstraint("name", "version"),
        CheckConstraint("version ~ '^v[0-9]{8}([.][0-9]+)?$'", name="version"),
        CheckConstraint("input_dim > 0 and output_dim > 0", name="dims"),
    )


class Rollout(Base):
    """How far one version has come. At most one runs a name (5 or 25 %), at most one is live (100 %)."""

    __tablename__ = "rollouts"
    id: Mapped[int] = identity()
    name: Mapped[str]
    model_id: Mapped[int] = mapped_column(ForeignKey("model_registry.id", ondelete="CASCADE"))
    previous_id: Mapped[int | None] = mapped_column(ForeignKey("model_registry.id", ondelete="SET NULL"))
    stage: Mapped[int]
    status: Mapped[str]
    reason: Mapped[str]
    decided_by: Mapped[str]
    started_at: Mapped[datetime] = now()
    stage_since: Mapped[datetime] = now()
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        one_of("status", ROLLOUT_STATUSES),
        CheckConstraint("stage in (0, 5, 25, 100)", name="stage"),
        CheckConstraint("(status <> 'live' or stage = 100) and (status <> 'running' or stage in (5, 25))", name="due"),
        Index("uq_rollouts_running", "name", unique=True, postgresql_where=text("status = 'running'")),
        Index("uq_rollouts_live", "name", unique=True, postgresql_where=text("status = 'live'")),
        Index("ix_rollouts_model_id", "model_id"),
        Index("ix_rollouts_previous_id", "previous_id"),
    )


class ModelTraffic(Base):
    """What a version did in one minute, added up over all processes. Windows over it become ``model_metrics``."""

    __tablename__ = "model_traffic"
    model_id: Mapped[int] = mapped_column(ForeignKey("model_registry.id", ondelete="CASCADE"), primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    n: Mapped[int]
    errors: Mapped[int]  # calls that this version failed, whoever answered them then
    retries: Mapped[int]
    latency_ms: Mapped[float]  # sum over the calls
    latency_counts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))
    input_counts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))  # [input_dim * bins], row by row
    output_counts: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))  # [output_dim * bins], row by row
    last_error: Mapped[str | None]


class ModelMetrics(Base):
    """A version's figures over a window that ended at ``created_at``."""

    __tablename__ = "model_metrics"
    id: Mapped[int] = identity()
    model_id: Mapped[int] = mapped_column(ForeignKey("model_registry.id", ondelete="CASCADE"))
    window: Mapped[str]
    n: Mapped[int]
    latency_ms: Mapped[float | None]  # mean; null when n is 0
    latency_p95_ms: Mapped[float | None]
    err_rate: Mapped[float | None]
    retry_rate: Mapped[float | None]
    input_psi: Mapped[float | None]  # population stability index, see models/drift.py
    output_psi: Mapped[float | None]
    output_ks: Mapped[float | None]  # Kolmogorov-Smirnov distance
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = now()
    __table_args__ = (
        CheckConstraint("\"window\" in ('1d', '7d', '30d')", name="window"),
        Index("ix_model_metrics_model_id_created_at", "model_id", "created_at"),
    )


class VaultItem(Base):
    """An object that belongs to a person: how long it may stay, and whether a legal hold keeps it longer."""

    __tablename__ = "vault_items"
    id: Mapped[int] = identity()
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    user_id: Mapped[str]
    kind: Mapped[str]
    object_key: Mapped[str]
    content_hash: Mapped[str]
    size: Mapped[int]  # bytes
    legal_hold: Mapped[bool] = mapped_column(server_default=text("false"))
    hold_reason: Mapped[str | None]
    created_at: Mapped[datetime] = now()
    expires_at: Mapped[datetime | None]  # null: kept until its owner withdraws
    deleted_at: Mapped[datetime | None]
    deleted_reason: Mapped[str | None]
    __table_args__ = (
        UniqueConstraint("job_id", "kind", "object_key", postgresql_nulls_not_distinct=True),
        one_of("kind", VAULT_KINDS),
        CheckConstraint("legal_hold = (hold_reason is not null)", name="hold_reason"),
        Index("ix_vault_items_user_id", "user_id"),
        Index("ix_vault_items_object_key", "object_key"),
        Index("ix_vault_items_expires_at", "expires_at", postgresql_where=text("deleted_at is null")),
    )


class Withdrawal(Base):
    """A person's consent taken back: excluded from then on, deleted by ``due_at``. ``user_id`` becomes a pseudonym
    when it is done."""

    __tablename__ = "withdrawals"
    id: Mapped[int] = identity()
    user_id: Mapped[str]
    keep_originals: Mapped[bool]
    requested_by: Mapped[str]
    requested_at: Mapped[datetime] = now()
    due_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    report: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # what was deleted, by kind
    __table_args__ = (
        Index("ix_withdrawals_open", "user_id", postgresql_where=text("completed_at is null")),
        Index("ix_withdrawals_completed_at", "completed_at"),
    )


class AccessRequest(Base):
    """One person's wish to open an original, and another person's decision."""

    __tablename__ = "access_requests"
    id: Mapped[int] = identity()
    vault_item_id: Mapped[int] = mapped_column(ForeignKey("vault_items.id", ondelete="CASCADE"))
    requested_by: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime] = now()
    decided_by: Mapped[str | None]
    approved: Mapped[bool | None]
    decided_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("decided_by <> requested_by", name="four_eyes"),
        CheckConstraint("(decided_by is null) = (approved is null)", name="decided"),
        Index("ix_access_requests_vault_item_id", "vault_item_id"),
    )


class StorageUse(Base):
    """How full the store was, and what followed from it."""

    __tablename__ = "storage_use"
    id: Mapped[int] = identity()
    at: Mapped[datetime] = now()
    used: Mapped[int]  # bytes
    budget: Mapped[int]  # bytes
    level: Mapped[int]  # 0, 80, 90 or 95 per cent reached
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # bytes by kind
    __table_args__ = (CheckConstraint("level in (0, 80, 90, 95)", name="level"),)


class AuditLog(Base):
    """Who did what to what, and when. Rows are only ever added: the table refuses any change.

    The table itself numbers and chains them: ``hash`` is over the row and the hash before (see governance/audit.py).
    """

    __tablename__ = "audit_logs"
    id: Mapped[int] = identity()
    seq: Mapped[int] = mapped_column(unique=True, server_default="0")  # set by the table: no number is ever missing
    at: Mapped[datetime] = now()
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]  # such as job:12, model:master_reg, user:3f2a... (a pseudonym)
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    previous: Mapped[str] = mapped_column(server_default="")
    hash: Mapped[str] = mapped_column(server_default="")
    __table_args__ = (Index("ix_audit_logs_subject_at", "subject", "at"), Index("ix_audit_logs_at", "at"))


class FeatureFlag(Base):
    """A switch that an operator turns while the product runs."""

    __tablename__ = "feature_flags"
    name: Mapped[str] = mapped_column(primary_key=True)
    enabled: Mapped[bool]
    note: Mapped[str] = mapped_column(server_default="")
    updated_at: Mapped[datetime] = now()


from pipelines.storage import composing_tables as composing_tables  # noqa: E402
from pipelines.storage import recommending_tables as recommending_tables  # noqa: E402 - Base is to know all tables
from pipelines.storage import scoring_tables as scoring_tables  # noqa: E402
from pipelines.storage import serving_tables as serving_tables  # noqa: E402
from pipelines.storage import upkeep_tables as upkeep_tables  # noqa: E402
