"""The intake (folders, jobs, uploads, consents, batches), the work on items, features, edits, audit and flags.

Kept as it was released: a later change is a later migration.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create extension if not exists vector")
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_logs")),
    )
    op.create_index("ix_audit_logs_at", "audit_logs", ["at"], unique=False)
    op.create_index("ix_audit_logs_subject_at", "audit_logs", ["subject", "at"], unique=False)
    op.create_table(
        "batches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="planned", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("key ~ '^[0-9]{8}-[0-9]{4,}$'", name=op.f("ck_batches_key")),
        sa.CheckConstraint("status in ('planned', 'requested', 'finished', 'failed')", name=op.f("ck_batches_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("key", name=op.f("uq_batches_key")),
    )
    op.create_index(
        "ix_batches_open", "batches", ["id"], unique=False, postgresql_where=sa.text("status <> 'finished'")
    )
    op.create_table(
        "feature_flags",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_feature_flags")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("bpm", sa.Double(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column(
            "edit", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'bad') = (error is not null)", name=op.f("ck_jobs_error")),
        sa.CheckConstraint("status = 'ready' or batch_id is null", name=op.f("ck_jobs_bad_is_in_no_batch")),
        sa.CheckConstraint("status in ('ready', 'bad')", name=op.f("ck_jobs_status")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_jobs_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("name", "content_hash", name=op.f("uq_jobs_name_content_hash")),
        sa.UniqueConstraint("name", "revision", name=op.f("uq_jobs_name_revision")),
    )
    op.create_index("ix_jobs_batch_id", "jobs", ["batch_id"], unique=False)
    op.create_index(
        "ix_jobs_unplanned",
        "jobs",
        ["id"],
        unique=False,
        postgresql_where=sa.text("batch_id is null and status = 'ready'"),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("quality", sa.Boolean(), nullable=False),
        sa.Column("training", sa.Boolean(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_consents_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
        sa.UniqueConstraint("job_id", name=op.f("uq_consents_job_id")),
    )
    op.create_index("ix_consents_owner", "consents", ["owner"], unique=False)
    op.create_table(
        "edits",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("plan_key", sa.Text(), nullable=False),
        sa.Column("render_key", sa.Text(), nullable=True),
        sa.Column("quality", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_edits_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_edits")),
        sa.UniqueConstraint("job_id", "pattern", name=op.f("uq_edits_job_id_pattern")),
    )
    op.create_table(
        "features_store",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("clip_kind", sa.Text(), nullable=False),
        sa.Column("n_dim", sa.BigInteger(), nullable=False),
        sa.Column("vec", sa.ARRAY(sa.REAL()), nullable=False),
        sa.Column(
            "stats", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("not vec && '{NaN,Infinity,-Infinity}'::float4[]", name=op.f("ck_features_store_finite")),
        sa.CheckConstraint("clip_kind in ('inst', 'vocal', 'mix')", name=op.f("ck_features_store_clip_kind")),
        sa.CheckConstraint("n_dim > 0 and cardinality(vec) = n_dim", name=op.f("ck_features_store_n_dim")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_features_store_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_features_store")),
        sa.UniqueConstraint("job_id", "clip_kind", "content_hash", "feature_version", name="uq_features_store_item"),
    )
    op.create_index("ix_features_store_content_hash", "features_store", ["content_hash"], unique=False)
    op.create_index("ix_features_store_user_id", "features_store", ["user_id"], unique=False)
    op.create_table(
        "inbox_folders",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column(
            "files", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_inbox_folders_job_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_inbox_folders")),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="ok", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'bad') = (error is not null)", name=op.f("ck_uploads_error")),
        sa.CheckConstraint("(status = 'ok') = (object_key is not null)", name=op.f("ck_uploads_stored")),
        sa.CheckConstraint(
            "kind in ('music', 'clip', 'lyrics', 'inst', 'vocal', 'mix', 'melody', 'sheet')",
            name=op.f("ck_uploads_kind"),
        ),
        sa.CheckConstraint("status in ('ok', 'bad')", name=op.f("ck_uploads_status")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_uploads_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        sa.UniqueConstraint("job_id", "name", name=op.f("uq_uploads_job_id_name")),
    )
    op.create_index("ix_uploads_content_hash", "uploads", ["content_hash"], unique=False)
    op.create_index("ix_uploads_owner", "uploads", ["owner"], unique=False)
    op.create_table(
        "item_results",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("upload_id", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("params_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("object_key", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(status = 'failed') = (error is not null)", name=op.f("ck_item_results_error")),
        sa.CheckConstraint("status in ('ok', 'failed')", name=op.f("ck_item_results_status")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_item_results_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_item_results_upload_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_item_results")),
        sa.UniqueConstraint(
            "job_id",
            "upload_id",
            "kind",
            "content_hash",
            "code_version",
            "params_hash",
            name="uq_item_results_item",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "ix_item_results_failed",
        "item_results",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("status = 'failed'"),
    )
    op.create_index("ix_item_results_upload_id", "item_results", ["upload_id"], unique=False)
    op.execute(
        """
        create function refuse_change() returns trigger language plpgsql as
        $$ begin raise exception 'rows of % are only ever added', tg_table_name; end $$
        """
    )
    op.execute(
        """
        create trigger audit_logs_append_only before update or delete or truncate on audit_logs
        for each statement execute function refuse_change()
        """
    )


def downgrade() -> None:
    op.drop_index("ix_item_results_upload_id", table_name="item_results")
    op.drop_index("ix_item_results_failed", table_name="item_results", postgresql_where=sa.text("status = 'failed'"))
    op.drop_table("item_results")
    op.drop_index("ix_uploads_owner", table_name="uploads")
    op.drop_index("ix_uploads_content_hash", table_name="uploads")
    op.drop_table("uploads")
    op.drop_table("inbox_folders")
    op.drop_index("ix_features_store_user_id", table_name="features_store")
    op.drop_index("ix_features_store_content_hash", table_name="features_store")
    op.drop_table("features_store")
    op.drop_table("edits")
    op.drop_index("ix_consents_owner", table_name="consents")
    op.drop_table("consents")
    op.drop_index(
        "ix_jobs_unplanned", table_name="jobs", postgresql_where=sa.text("batch_id is null and status = 'ready'")
    )
    op.drop_index("ix_jobs_batch_id", table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("feature_flags")
    op.drop_index("ix_batches_open", table_name="batches", postgresql_where=sa.text("status <> 'finished'"))
    op.drop_table("batches")
    op.drop_index("ix_audit_logs_subject_at", table_name="audit_logs")
    op.drop_index("ix_audit_logs_at", table_name="audit_logs")
    op.drop_table("audit_logs")
    op.execute("drop function refuse_change()")
