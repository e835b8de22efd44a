"""Scoring: jobs of sheets, their chunks and rows, the cache of answers, files lent to a provider.

Kept as it was released: a later change is a later migration.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


BEFORE = (
    "'music', 'clip', 'lyrics', 'inst', 'vocal', 'mix', 'melody', 'sheet', 'videos', 'decisions', 'tags', "
    "'master', 'preview'"
)


def _vault_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("ck_vault_items_kind"), "vault_items", type_="check")
    op.create_check_constraint(op.f("ck_vault_items_kind"), "vault_items", f"kind in ({kinds})")


def upgrade() -> None:
    _vault_kinds(f"{BEFORE}, 'scored'")
    op.create_table(
        "score_cache",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("scores", sa.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("confidence", sa.REAL(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("hits", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_score_cache")),
    )
    op.create_index("ix_score_cache_created_at", "score_cache", ["created_at"], unique=False)
    op.create_index("ix_score_cache_used_at", "score_cache", ["used_at"], unique=False)
    op.create_table(
        "score_jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("upload_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("rubric", postgresql.JSONB(), nullable=False),
        sa.Column("asking", postgresql.JSONB(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("out", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("written", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.CheckConstraint("kind in ('csv', 'xlsx', 'parquet', 'google')", name=op.f("ck_score_jobs_kind")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_score_jobs_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_score_jobs_upload_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_jobs")),
    )
    op.create_index("ix_score_jobs_fingerprint", "score_jobs", ["fingerprint"], unique=False)
    op.create_index("ix_score_jobs_job_id", "score_jobs", ["job_id"], unique=False)
    op.create_index(
        "ix_score_jobs_open", "score_jobs", ["id"], unique=False, postgresql_where=sa.text("finished_at is null")
    )
    op.create_index("ix_score_jobs_upload_id", "score_jobs", ["upload_id"], unique=False)
    op.create_table(
        "score_chunks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("score_job_id", sa.BigInteger(), nullable=False),
        sa.Column("chunk_id", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("row_range", postgresql.INT8RANGE(), nullable=False),
        sa.Column("mark", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), server_default="planned", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("retry_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rows_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tally", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("seconds", sa.REAL(), server_default="0", nullable=False),
        sa.CheckConstraint("chunk_id ~ '^[0-9]+-[0-9]{4,}$'", name=op.f("ck_score_chunks_chunk_id")),
        sa.CheckConstraint(
            "status in ('planned', 'requested', 'running', 'finished', 'failed', 'given_up')",
            name=op.f("ck_score_chunks_status"),
        ),
        sa.ForeignKeyConstraint(
            ["score_job_id"], ["score_jobs.id"], name=op.f("fk_score_chunks_score_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_chunks")),
        sa.UniqueConstraint("chunk_id", name=op.f("uq_score_chunks_chunk_id")),
        sa.UniqueConstraint("score_job_id", "number", name=op.f("uq_score_chunks_score_job_id_number")),
    )
    op.create_index(
        "ix_score_chunks_open", "score_chunks", ["id"], unique=False, postgresql_where=sa.text("status <> 'finished'")
    )
    op.create_table(
        "score_files",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("score_job_id", sa.BigInteger(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["score_job_id"], ["score_jobs.id"], name=op.f("fk_score_files_score_job_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_files")),
        sa.UniqueConstraint("provider", "address", "name", name=op.f("uq_score_files_provider_address_name")),
    )
    op.create_table(
        "score_rows",
        sa.Column("score_job_id", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("scores", sa.ARRAY(sa.SmallInteger()), nullable=True),
        sa.Column("confidence", sa.REAL(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("flag", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "flag in ('', 'fallback', 'refused', 'empty', 'too_long', 'given')", name=op.f("ck_score_rows_flag")
        ),
        sa.ForeignKeyConstraint(
            ["score_job_id"], ["score_jobs.id"], name=op.f("fk_score_rows_score_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("score_job_id", "row", name=op.f("pk_score_rows")),
    )
    op.create_index("ix_score_rows_key", "score_rows", ["key"], unique=False)
    op.add_column("jobs", sa.Column("score", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False))


def downgrade() -> None:
    op.execute("delete from vault_items where kind = 'scored'")
    _vault_kinds(BEFORE)
    op.drop_column("jobs", "score")
    for table in ("score_rows", "score_files", "score_chunks", "score_jobs", "score_cache"):
        op.drop_table(table)
