# ruff: noqa: S608 - generated lines stay as they were; no value of a user is in this SQL
"""Labels, training snapshots, the model registry and its rollouts, traffic and metrics; the vault with withdrawals,
access requests and storage use; the audit trail as a hash chain.

Kept as it was released: a later change is a later migration.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# What a row's hash is over. governance/audit.py asks for the same text and hashes it by itself.
PAYLOAD = """jsonb_build_array({0}.previous, {0}.seq, to_char({0}.at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
    {0}.actor, {0}.action, {0}.subject, {0}.detail)::text"""


def upgrade() -> None:
    op.create_table(
        "storage_use",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("budget", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.CheckConstraint("level in (0, 80, 90, 95)", name=op.f("ck_storage_use_level")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_use")),
    )
    op.create_table(
        "training_snapshots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("n_rows", sa.BigInteger(), nullable=False),
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("users", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "provenance", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("erased_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_snapshots")),
        sa.UniqueConstraint("task", "sha256", name=op.f("uq_training_snapshots_task_sha256")),
    )
    op.create_index(
        "ix_training_snapshots_users", "training_snapshots", ["users"], unique=False, postgresql_using="gin"
    )
    op.create_table(
        "withdrawals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("keep_originals", sa.Boolean(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "report", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawals")),
    )
    op.create_index("ix_withdrawals_completed_at", "withdrawals", ["completed_at"], unique=False)
    op.create_index(
        "ix_withdrawals_open",
        "withdrawals",
        ["user_id"],
        unique=False,
        postgresql_where=sa.text("completed_at is null"),
    )
    op.create_table(
        "model_registry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("framework", sa.Text(), nullable=False),
        sa.Column("input_dim", sa.BigInteger(), nullable=False),
        sa.Column("output_dim", sa.BigInteger(), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=True),
        sa.Column("licences", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column(
            "provenance", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "reference", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("version ~ '^v[0-9]{8}([.][0-9]+)?$'", name=op.f("ck_model_registry_version")),
        sa.CheckConstraint("input_dim > 0 and output_dim > 0", name=op.f("ck_model_registry_dims")),
        sa.ForeignKeyConstraint(["snapshot_id"], ["training_snapshots.id"], name=op.f("fk_model_registry_snapshot_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_registry")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_model_registry_name_version")),
    )
    op.create_table(
        "labels",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("clip_kind", sa.Text(), nullable=False),
        sa.Column("feature_version", sa.Text(), nullable=False),
        sa.Column("recording", sa.Text(), nullable=False),
        sa.Column("y_reg", sa.ARRAY(sa.REAL()), nullable=True),
        sa.Column("y_cls", sa.Text(), nullable=True),
        sa.Column("quality", sa.Text(), server_default="auto", nullable=False),
        sa.Column("author", sa.Text(), server_default="rule", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("clip_kind in ('inst', 'vocal', 'mix')", name=op.f("ck_labels_clip_kind")),
        sa.CheckConstraint("not y_reg && '{NaN,Infinity,-Infinity}'::float4[]", name=op.f("ck_labels_finite")),
        sa.CheckConstraint("quality in ('auto', 'human', 'low')", name=op.f("ck_labels_quality")),
        sa.CheckConstraint("task in ('master_reg', 'preset_cls', 'align_conf')", name=op.f("ck_labels_task")),
        sa.CheckConstraint("(y_reg is null) <> (y_cls is null)", name=op.f("ck_labels_one_answer")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_labels_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint("job_id", "task", "clip_kind", "content_hash", name="uq_labels_item"),
    )
    op.create_index("ix_labels_task_id", "labels", ["task", "id"], unique=False)
    op.create_index("ix_labels_user_id", "labels", ["user_id"], unique=False)
    op.create_table(
        "model_metrics",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("latency_p95_ms", sa.Double(), nullable=True),
        sa.Column("err_rate", sa.Double(), nullable=True),
        sa.Column("retry_rate", sa.Double(), nullable=True),
        sa.Column("input_psi", sa.Double(), nullable=True),
        sa.Column("output_psi", sa.Double(), nullable=True),
        sa.Column("output_ks", sa.Double(), nullable=True),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("\"window\" in ('1d', '7d', '30d')", name=op.f("ck_model_metrics_window")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model_registry.id"], name=op.f("fk_model_metrics_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_metrics")),
    )
    op.create_index("ix_model_metrics_model_id_created_at", "model_metrics", ["model_id", "created_at"], unique=False)
    op.create_table(
        "model_traffic",
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("retries", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("latency_counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("input_counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("output_counts", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model_registry.id"], name=op.f("fk_model_traffic_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "minute", name=op.f("pk_model_traffic")),
    )
    op.create_table(
        "rollouts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("previous_id", sa.BigInteger(), nullable=True),
        sa.Column("stage", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("stage_since", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status <> 'live' or stage = 100) and (status <> 'running' or stage in (5, 25))",
            name=op.f("ck_rollouts_due"),
        ),
        sa.CheckConstraint(
            "status in ('running', 'live', 'rolled_back', 'superseded')", name=op.f("ck_rollouts_status")
        ),
        sa.CheckConstraint("stage in (0, 5, 25, 100)", name=op.f("ck_rollouts_stage")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model_registry.id"], name=op.f("fk_rollouts_model_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["previous_id"], ["model_registry.id"], name=op.f("fk_rollouts_previous_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rollouts")),
    )
    op.create_index("ix_rollouts_model_id", "rollouts", ["model_id"], unique=False)
    op.create_index("ix_rollouts_previous_id", "rollouts", ["previous_id"], unique=False)
    op.create_index("uq_rollouts_live", "rollouts", ["name"], unique=True, postgresql_where=sa.text("status = 'live'"))
    op.create_index(
        "uq_rollouts_running", "rollouts", ["name"], unique=True, postgresql_where=sa.text("status = 'running'")
    )
    op.create_table(
        "vault_items",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("legal_hold", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("hold_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "kind in ('music', 'clip', 'lyrics', 'inst', 'vocal', 'mix', 'melody', 'sheet', 'master', 'preview')",
            name=op.f("ck_vault_items_kind"),
        ),
        sa.CheckConstraint("legal_hold = (hold_reason is not null)", name=op.f("ck_vault_items_hold_reason")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_vault_items_job_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_items")),
        sa.UniqueConstraint(
            "job_id",
            "kind",
            "object_key",
            name=op.f("uq_vault_items_job_id_kind_object_key"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(
        "ix_vault_items_expires_at",
        "vault_items",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("deleted_at is null"),
    )
    op.create_index("ix_vault_items_object_key", "vault_items", ["object_key"], unique=False)
    op.create_index("ix_vault_items_user_id", "vault_items", ["user_id"], unique=False)
    op.create_table(
        "access_requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("vault_item_id", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("approved", sa.Boolean(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(decided_by is null) = (approved is null)", name=op.f("ck_access_requests_decided")),
        sa.CheckConstraint("decided_by <> requested_by", name=op.f("ck_access_requests_four_eyes")),
        sa.ForeignKeyConstraint(
            ["vault_item_id"], ["vault_items.id"], name=op.f("fk_access_requests_vault_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_requests")),
    )
    op.create_index("ix_access_requests_vault_item_id", "access_requests", ["vault_item_id"], unique=False)
    op.add_column("audit_logs", sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("audit_logs", sa.Column("previous", sa.Text(), server_default="", nullable=False))
    op.add_column("audit_logs", sa.Column("hash", sa.Text(), server_default="", nullable=False))
    op.add_column(
        "jobs",
        sa.Column(
            "master", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
    )
    _chain_the_audit()
    op.execute(
        """
        create trigger model_registry_immutable before update on model_registry
        for each row execute function refuse_change()
        """
    )
    for table, statuses in (("jobs", "'ready', 'bad', 'generated'"), ("uploads", "'ok', 'bad', 'expired'")):
        op.drop_constraint(f"ck_{table}_status", table)
        op.create_check_constraint(op.f(f"ck_{table}_status"), table, f"status in ({statuses})")


def _chain_the_audit() -> None:
    """Numbers and hashes the rows that are there, then lets the table do so for each new one."""
    op.execute("alter table audit_logs disable trigger audit_logs_append_only")
    op.execute(
        f"""
        do $$
        declare
            entry audit_logs;
            newest text := '';
            number bigint := 0;
        begin
            for entry in select * from audit_logs order by id loop
                number := number + 1;
                entry.seq := number;
                entry.previous := newest;
                newest := encode(sha256(convert_to({PAYLOAD.format("entry")}, 'UTF8')), 'hex');
                update audit_logs set seq = number, previous = entry.previous, hash = newest where id = entry.id;
            end loop;
        end $$
        """
    )
    op.execute("alter table audit_logs enable trigger audit_logs_append_only")
    op.create_unique_constraint(op.f("uq_audit_logs_seq"), "audit_logs", ["seq"])
    # One writer at a time until its transaction ends: the hash before must be a committed one.
    op.execute(
        f"""
        create function chain_audit() returns trigger language plpgsql as $$
        begin
            perform pg_advisory_xact_lock(5283114904);
            select seq + 1, hash into new.seq, new.previous from audit_logs order by seq desc limit 1;
            new.seq := coalesce(new.seq, 1);
            new.previous := coalesce(new.previous, '');
            new.hash := encode(sha256(convert_to({PAYLOAD.format("new")}, 'UTF8')), 'hex');
            return new;
        end $$
        """
    )
    op.execute(
        "create trigger audit_logs_chain before insert on audit_logs for each row execute function chain_audit()"
    )


def downgrade() -> None:
    op.execute("drop trigger audit_logs_chain on audit_logs")
    op.execute("drop function chain_audit()")
    for table, statuses in (("jobs", "'ready', 'bad'"), ("uploads", "'ok', 'bad'")):
        op.drop_constraint(f"ck_{table}_status", table)
        op.create_check_constraint(op.f(f"ck_{table}_status"), table, f"status in ({statuses})")

    op.drop_column("jobs", "master")
    op.drop_constraint(op.f("uq_audit_logs_seq"), "audit_logs", type_="unique")
    op.drop_column("audit_logs", "hash")
    op.drop_column("audit_logs", "previous")
    op.drop_column("audit_logs", "seq")
    op.drop_index("ix_access_requests_vault_item_id", table_name="access_requests")
    op.drop_table("access_requests")
    op.drop_index("ix_vault_items_user_id", table_name="vault_items")
    op.drop_index("ix_vault_items_object_key", table_name="vault_items")
    op.drop_index("ix_vault_items_expires_at", table_name="vault_items", postgresql_where=sa.text("deleted_at is null"))
    op.drop_table("vault_items")
    op.drop_index("uq_rollouts_running", table_name="rollouts", postgresql_where=sa.text("status = 'running'"))
    op.drop_index("uq_rollouts_live", table_name="rollouts", postgresql_where=sa.text("status = 'live'"))
    op.drop_index("ix_rollouts_previous_id", table_name="rollouts")
    op.drop_index("ix_rollouts_model_id", table_name="rollouts")
    op.drop_table("rollouts")
    op.drop_table("model_traffic")
    op.drop_index("ix_model_metrics_model_id_created_at", table_name="model_metrics")
    op.drop_table("model_metrics")
    op.drop_index("ix_labels_user_id", table_name="labels")
    op.drop_index("ix_labels_task_id", table_name="labels")
    op.drop_table("labels")
    op.drop_table("model_registry")
    op.drop_index("ix_withdrawals_open", table_name="withdrawals", postgresql_where=sa.text("completed_at is null"))
    op.drop_index("ix_withdrawals_completed_at", table_name="withdrawals")
    op.drop_table("withdrawals")
    op.drop_index("ix_training_snapshots_users", table_name="training_snapshots", postgresql_using="gin")
    op.drop_table("training_snapshots")
    op.drop_table("storage_use")
