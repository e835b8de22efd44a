"""Recommending: viewers, videos with performers and tags, decisions, embeddings in a partition a set, the pointers.

Kept as it was released: a later change is a later migration.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BEFORE = "'music', 'clip', 'lyrics', 'inst', 'vocal', 'mix', 'melody', 'sheet'"
TABLES = "'videos', 'decisions', 'tags'"
MADE = "'master', 'preview'"


def _kinds(uploads: str) -> None:
    """What ``uploads`` and ``vault_items`` take as a kind."""
    for table, kinds in (("uploads", uploads), ("vault_items", f"{uploads}, {MADE}")):
        op.drop_constraint(op.f(f"ck_{table}_kind"), table, type_="check")
        op.create_check_constraint(op.f(f"ck_{table}_kind"), table, f"kind in ({kinds})")


def upgrade() -> None:
    _kinds(f"{BEFORE}, {TABLES}")
    op.create_table(
        "performers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performers")),
        sa.UniqueConstraint("name", name=op.f("uq_performers_name")),
    )
    op.create_table(
        "tags",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("name", name=op.f("uq_tags_name")),
    )
    op.create_table(
        "user_embeddings",
        sa.Column("set_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("embedding", Vector(768), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("set_id", "user_id", name=op.f("pk_user_embeddings")),
        postgresql_partition_by="LIST (set_id)",
    )
    op.create_index("ix_user_embeddings_user_id", "user_embeddings", ["user_id"], unique=False)
    op.create_table(
        "video_embeddings",
        sa.Column("set_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("embedding", Vector(768), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("set_id", "video_id", name=op.f("pk_video_embeddings")),
        postgresql_partition_by="LIST (set_id)",
    )
    op.create_table(
        "viewers",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("training", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_viewers")),
        sa.UniqueConstraint("pseudonym", name=op.f("uq_viewers_pseudonym")),
    )
    op.create_table(
        "embedding_sets",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), server_default="building", nullable=False),
        sa.Column("n_users", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("n_videos", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("video_index", sa.Text(), nullable=True),
        sa.Column(
            "detail", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'building') = (ready_at is null)", name=op.f("ck_embedding_sets_ready_at")),
        sa.CheckConstraint("status in ('building', 'ready', 'retired')", name=op.f("ck_embedding_sets_status")),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model_registry.id"], name=op.f("fk_embedding_sets_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_embedding_sets")),
    )
    op.create_index("ix_embedding_sets_model_id", "embedding_sets", ["model_id"], unique=False)
    op.create_table(
        "videos",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("genres", sa.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("year", sa.BigInteger(), nullable=True),
        sa.Column("duration_s", sa.REAL(), nullable=True),
        sa.Column("available", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "duration_s is null or (duration_s >= 0 and duration_s < 'Infinity')", name=op.f("ck_videos_duration_s")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_videos_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_videos")),
        sa.UniqueConstraint("external_id", name=op.f("uq_videos_external_id")),
    )
    op.create_index("ix_videos_genres", "videos", ["genres"], unique=False, postgresql_using="gin")
    op.create_index("ix_videos_job_id", "videos", ["job_id"], unique=False)
    op.create_table(
        "embedding_pointers",
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        sa.Column("set_id", sa.BigInteger(), nullable=False),
        sa.Column("previous_set_id", sa.BigInteger(), nullable=True),
        sa.Column("flipped_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model_registry.id"], name=op.f("fk_embedding_pointers_model_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["previous_set_id"],
            ["embedding_sets.id"],
            name=op.f("fk_embedding_pointers_previous_set_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(["set_id"], ["embedding_sets.id"], name=op.f("fk_embedding_pointers_set_id")),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_embedding_pointers")),
    )
    op.create_table(
        "user_video_decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("rating", sa.REAL(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "decision in ('like', 'watch', 'skip', 'dislike')", name=op.f("ck_user_video_decisions_decision")
        ),
        sa.CheckConstraint(
            "rating not in ('NaN', 'Infinity', '-Infinity')", name=op.f("ck_user_video_decisions_rating")
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_user_video_decisions_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["viewers.user_id"], name=op.f("fk_user_video_decisions_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.id"], name=op.f("fk_user_video_decisions_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_video_decisions")),
        sa.UniqueConstraint("user_id", "video_id", "decided_at", "decision", name="uq_user_video_decisions_event"),
    )
    op.create_index("ix_user_video_decisions_job_id", "user_video_decisions", ["job_id"], unique=False)
    op.create_index(
        "ix_user_video_decisions_user_id_decided_at", "user_video_decisions", ["user_id", "decided_at"], unique=False
    )
    op.create_index(
        "ix_user_video_decisions_video_id_decided_at", "user_video_decisions", ["video_id", "decided_at"], unique=False
    )
    op.create_table(
        "video_performers",
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("performer_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["performer_id"], ["performers.id"], name=op.f("fk_video_performers_performer_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.id"], name=op.f("fk_video_performers_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "performer_id", name=op.f("pk_video_performers")),
    )
    op.create_index("ix_video_performers_performer_id", "video_performers", ["performer_id"], unique=False)
    op.create_table(
        "video_tags",
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("tag_id", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), server_default="1", nullable=False),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_video_tags_tag_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["video_id"], ["videos.id"], name=op.f("fk_video_tags_video_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("video_id", "tag_id", name=op.f("pk_video_tags")),
    )
    op.create_index("ix_video_tags_tag_id", "video_tags", ["tag_id"], unique=False)
    op.create_table(
        "recommendations",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("rank", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.REAL(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("rank > 0", name=op.f("ck_recommendations_rank")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["viewers.user_id"], name=op.f("fk_recommendations_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["video_id"], ["videos.id"], name=op.f("fk_recommendations_video_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "rank", name=op.f("pk_recommendations")),
    )
    op.create_index("ix_recommendations_video_id", "recommendations", ["video_id"], unique=False)
    # A vector is 3,076 bytes: beside its row, not in a table of its own, since a search reads all of them.
    op.execute("alter table user_embeddings alter column embedding set storage plain")
    op.execute("alter table video_embeddings alter column embedding set storage plain")


def downgrade() -> None:
    op.drop_index("ix_recommendations_video_id", table_name="recommendations")
    op.drop_table("recommendations")
    op.drop_index("ix_video_tags_tag_id", table_name="video_tags")
    op.drop_table("video_tags")
    op.drop_index("ix_video_performers_performer_id", table_name="video_performers")
    op.drop_table("video_performers")
    op.drop_index("ix_user_video_decisions_video_id_decided_at", table_name="user_video_decisions")
    op.drop_index("ix_user_video_decisions_user_id_decided_at", table_name="user_video_decisions")
    op.drop_index("ix_user_video_decisions_job_id", table_name="user_video_decisions")
    op.drop_table("user_video_decisions")
    op.drop_table("embedding_pointers")
    op.drop_index("ix_videos_job_id", table_name="videos")
    op.drop_index("ix_videos_genres", table_name="videos", postgresql_using="gin")
    op.drop_table("videos")
    op.drop_index("ix_embedding_sets_model_id", table_name="embedding_sets")
    op.drop_table("embedding_sets")
    op.drop_table("viewers")
    op.drop_table("video_embeddings")
    op.drop_index("ix_user_embeddings_user_id", table_name="user_embeddings")
    op.drop_table("user_embeddings")
    op.drop_table("tags")
    op.drop_table("performers")
    op.execute(f"delete from uploads where kind in ({TABLES})")  # noqa: S608 - words of this file
    op.execute(f"delete from vault_items where kind in ({TABLES})")  # noqa: S608 - words of this file
    _kinds(BEFORE)
