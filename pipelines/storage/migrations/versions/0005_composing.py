"""Composing: what a job wants composed, arrangements, composers' styles, instruments and effects.

Kept as it was released: a later change is a later migration.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


BEFORE = (
    "'music', 'clip', 'lyrics', 'inst', 'vocal', 'mix', 'melody', 'sheet', 'videos', 'decisions', 'tags', "
    "'master', 'preview', 'scored'"
)


def _vault_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("ck_vault_items_kind"), "vault_items", type_="check")
    op.create_check_constraint(op.f("ck_vault_items_kind"), "vault_items", f"kind in ({kinds})")


def _identity() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _empty(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def _object(name: str) -> sa.Column[dict[str, object]]:
    return sa.Column(name, postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False)


def upgrade() -> None:
    _vault_kinds(f"{BEFORE}, 'arrangement'")
    op.add_column("jobs", _object("compose"))
    op.create_table(
        "arrangements",
        _identity(),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("upload_id", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("wish", sa.Text(), nullable=False),
        sa.Column("style", sa.Text(), nullable=False),
        sa.Column("candidate", sa.BigInteger(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        _object("measures"),
        sa.Column("rating", sa.REAL(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=True),
        _now("created_at"),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("style in ('chorale', 'pop')", name=op.f("ck_arrangements_style")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_arrangements_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_arrangements_upload_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrangements")),
        sa.UniqueConstraint(
            *("content_hash", "wish", "job_id", "owner", "candidate"),
            name=op.f("uq_arrangements_content_hash_wish_job_id_owner_candidate"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index("ix_arrangements_job_id", "arrangements", ["job_id"], unique=False)
    op.create_index("ix_arrangements_upload_id", "arrangements", ["upload_id"], unique=False)
    op.create_index("ix_arrangements_owner", "arrangements", ["owner"], unique=False)
    op.create_table(
        "composer_styles",
        _identity(),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("pieces", sa.BigInteger(), nullable=False),
        _object("metrics"),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_composer_styles")),
        sa.UniqueConstraint("owner", "version", name=op.f("uq_composer_styles_owner_version")),
    )
    op.create_table(
        "plugins",
        _identity(),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        _empty("vendor"),
        _empty("version"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tags", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="ok", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        _empty("fingerprint"),
        _now("scanned_at"),
        sa.CheckConstraint("format in ('gm', 'sf2', 'vst3', 'clap', 'builtin')", name=op.f("ck_plugins_format")),
        sa.CheckConstraint("kind in ('instrument', 'effect')", name=op.f("ck_plugins_kind")),
        sa.CheckConstraint("status in ('ok', 'failed', 'gone')", name=op.f("ck_plugins_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plugins")),
        sa.UniqueConstraint("format", "identifier", name=op.f("uq_plugins_format_identifier")),
    )
    op.create_table(
        "instrument_choices",
        _identity(),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("style", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instrument_choices")),
    )
    op.create_index("ix_instrument_choices_owner", "instrument_choices", ["owner"], unique=False)


def downgrade() -> None:
    for table in ("instrument_choices", "plugins", "composer_styles", "arrangements"):
        op.drop_table(table)
    op.drop_column("jobs", "compose")
    op.execute("delete from vault_items where kind = 'arrangement'")
    _vault_kinds(BEFORE)
