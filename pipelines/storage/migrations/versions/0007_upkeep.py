"""Upkeep: which objects nothing refers to, and since when.

Kept as it was released: a later change is a later migration.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unreferenced_objects",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_unreferenced_objects")),
    )
    op.create_index("ix_unreferenced_objects_seen_at", "unreferenced_objects", ["seen_at"])


def downgrade() -> None:
    op.drop_table("unreferenced_objects")
