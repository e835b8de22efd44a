"""Tables of scoring: a sheet's job, its chunks of 500 rows, what each row got, the cache of answers, temporary files.

No text of a sheet is kept here: a row is known by its number and by the hash of all that its answer depends on. What a
model wrote about it (``reason``) may quote it, and goes with the sheet's owner.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import INT8RANGE, REAL, Range
from sqlalchemy.orm import Mapped, mapped_column

from pipelines.storage.schema import Base, identity, now, one_of

SHEET_KINDS = ("csv", "xlsx", "parquet", "google")
CHUNK_STATUSES = ("planned", "requested", "running", "finished", "failed", "given_up")
SCORE_FLAGS = ("", "fallback", "refused", "empty", "too_long", "given")


class ScoreJob(Base):
    """One sheet to be scored one way. What became of it is what became of its chunks: see storage/score_jobs.py.

    ``job_id``: the inbox job that it came with, and goes with; null for a sheet scored at the command line.
    """

    __tablename__ = "score_jobs"
    id: Mapped[int] = identity()
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    upload_id: Mapped[int | None] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"))
    name: Mapped[str]  # as its owner calls the sheet
    kind: Mapped[str]
    place: Mapped[str]  # a path, an object's key or a Google Sheet's address
    identity: Mapped[str]  # content hash of a file; id and worksheet of a Google Sheet
    rubric: Mapped[dict[str, Any]]  # categories, scale, instructions
    asking: Mapped[dict[str, Any]]  # provider, model, address, column, mode
    fingerprint: Mapped[str]  # of identity, rubric and asking: the same wish has the same
    rows: Mapped[int]
    out: Mapped[str | None]  # where the scored sheet is to lie
    error: Mapped[str | None]  # what ended it for good, in one sentence
    created_at: Mapped[datetime] = now()
    finished_at: Mapped[datetime | None]  # every chunk ended, and the scored sheet was written
    written: Mapped[dict[str, Any]] = mapped_column(
        server_default=text("'{}'::jsonb")
    )  # place, rows, kept, moved, gone
    __table_args__ = (
        one_of("kind", SHEET_KINDS),
        Index("ix_score_jobs_job_id", "job_id"),
        Index("ix_score_jobs_upload_id", "upload_id"),
        Index("ix_score_jobs_fingerprint", "fingerprint"),
        Index("ix_score_jobs_open", "id", postgresql_where=text("finished_at is null")),
    )


class ScoreChunk(Base):
    """500 rows: the unit that is asked for, that fails, and that runs again alone. ``chunk_id`` is its partition."""

    __tablename__ = "score_chunks"
    id: Mapped[int] = identity()
    score_job_id: Mapped[int] = mapped_column(ForeignKey("score_jobs.id", ondelete="CASCADE"))
    chunk_id: Mapped[str] = mapped_column(unique=True)  # such as 17-0003
    number: Mapped[int]  # from 1
    row_range: Mapped[Range[int]] = mapped_column(INT8RANGE)  # from 0, upper end excluded
    mark: Mapped[int] = mapped_column(server_default="0")  # where a reader finds its first row (a CSV's byte)
    status: Mapped[str] = mapped_column(server_default="planned")
    attempts: Mapped[int] = mapped_column(server_default="0")  # runs that were asked for
    retry_count: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str | None]
    not_before: Mapped[datetime | None]  # of its next try
    requested_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    pruned_at: Mapped[datetime | None]  # its partition was taken away; the row lives on
    rows_done: Mapped[int] = mapped_column(server_default="0")
    tally: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))  # scoring/scored.py's Tally
    seconds: Mapped[float] = mapped_column(REAL(), server_default="0")
    __table_args__ = (
        UniqueConstraint("score_job_id", "number"),
        one_of("status", CHUNK_STATUSES),
        CheckConstraint("chunk_id ~ '^[0-9]+-[0-9]{4,}$'", name="chunk_id"),
        Index("ix_score_chunks_open", "id", postgresql_where=text("status <> 'finished'")),
    )


class ScoreRow(Base):
    """What a row got: the record that a run goes on from after it was killed."""

    __tablename__ = "score_rows"
    score_job_id: Mapped[int] = mapped_column(ForeignKey("score_jobs.id", ondelete="CASCADE"), primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(LargeBinary())
    scores: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger()))  # in the order of the categories
    confidence: Mapped[float | None] = mapped_column(REAL())
    reason: Mapped[str] = mapped_column(server_default="")
    flag: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = now()
    __table_args__ = (one_of("flag", SCORE_FLAGS), Index("ix_score_rows_key", "key"))


class ScoreCacheEntry(Base):
    """A valid answer for whoever asks the same within a day."""

    __tablename__ = "score_cache"
    key: Mapped[bytes] = mapped_column(LargeBinary(), primary_key=True)
    scores: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger()))
    confidence: Mapped[float | None] = mapped_column(REAL())
    reason: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = now()
    used_at: Mapped[datetime] = now()
    hits: Mapped[int] = mapped_column(server_default="0")
    __table_args__ = (Index("ix_score_cache_created_at", "created_at"), Index("ix_score_cache_used_at", "used_at"))


class ScoreFile(Base):
    """A video lent to a provider for a while. Written down before it is sent, gone when it is deleted there."""

    __tablename__ = "score_files"
    id: Mapped[int] = identity()
    score_job_id: Mapped[int | None] = mapped_column(ForeignKey("score_jobs.id", ondelete="SET NULL"))
    provider: Mapped[str]
    address: Mapped[str]  # of the provider's API
    name: Mapped[str]  # as the provider calls it
    holder: Mapped[str]  # who may still need it: machine, home, process (scoring/scratch.py)
    created_at: Mapped[datetime] = now()
    __table_args__ = (UniqueConstraint("provider", "address", "name"),)
