"""Serving: API keys, browser sessions, uploads in pieces, submissions, answers given again, the API's traffic.

Kept as it was released: a later change is a later migration.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROLES = "'viewer', 'editor', 'operator', 'administrator'"


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _created() -> sa.Column[datetime]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        *(_text(name) for name in ("prefix", "digest", "label", "owner", "role")),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        _text("created_by"),
        _created(),
        *(_time(name, nullable=True) for name in ("expires_at", "revoked_at", "last_used_at")),
        sa.CheckConstraint(f"role in ({ROLES})", name=op.f("ck_api_keys_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_index("ix_api_keys_owner", "api_keys", ["owner"])
    op.create_table(
        "browser_sessions",
        _text("digest"),
        _text("csrf"),
        sa.Column("key_id", sa.BigInteger(), nullable=True),
        _text("owner"),
        _text("role"),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        _created(),
        _time("expires_at"),
        sa.CheckConstraint(f"role in ({ROLES})", name=op.f("ck_browser_sessions_role")),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name=op.f("fk_browser_sessions_key_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_browser_sessions")),
    )
    for column in ("key_id", "owner", "expires_at"):
        op.create_index(f"ix_browser_sessions_{column}", "browser_sessions", [column])
    op.create_table(
        "pending_uploads",
        *(_text(name) for name in ("id", "owner", "name", "kind")),
        _whole("size"),
        sa.Column("received", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("status", sa.Text(), server_default="receiving", nullable=False),
        _text("error", nullable=True),
        _text("content_hash", nullable=True),
        _created(),
        _time("expires_at"),
        sa.CheckConstraint(
            "status in ('receiving', 'checking', 'ready', 'refused', 'used')", name=op.f("ck_pending_uploads_status")
        ),
        sa.CheckConstraint("received between 0 and size", name=op.f("ck_pending_uploads_received")),
        sa.CheckConstraint("(status = 'refused') = (error is not null)", name=op.f("ck_pending_uploads_error")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending_uploads")),
    )
    for column in ("owner", "expires_at"):
        op.create_index(f"ix_pending_uploads_{column}", "pending_uploads", [column])
    op.create_table(
        "submissions",
        *(_text(name) for name in ("job_name", "owner", "request_id")),
        _created(),
        sa.PrimaryKeyConstraint("job_name", name=op.f("pk_submissions")),
    )
    op.create_index("ix_submissions_owner", "submissions", ["owner"])
    op.create_table(
        "idempotent_answers",
        *(_text(name) for name in ("caller", "key", "request_hash")),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("headers", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        _text("body", nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotent_answers")),
    )
    op.create_index("ix_idempotent_answers_created_at", "idempotent_answers", ["created_at"])
    op.create_table(
        "api_traffic",
        _text("route"),
        _time("minute"),
        *(_whole(name) for name in ("n", "failed", "refused")),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("latency_counts", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.PrimaryKeyConstraint("route", "minute", name=op.f("pk_api_traffic")),
    )
    op.create_index("ix_api_traffic_minute", "api_traffic", ["minute"])


def downgrade() -> None:
    for table in (
        *("api_traffic", "idempotent_answers", "submissions", "pending_uploads"),
        *("browser_sessions", "api_keys"),
    ):
        op.drop_table(table)
