"""Tables of composing: arrangements and which of them was chosen, composers' own styles, instruments and effects.

No note is kept here: what was composed lies in the object store and goes with its owner.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import REAL
from sqlalchemy.orm import Mapped, mapped_column

from pipelines.storage.schema import Base, identity, now, one_of

ARRANGEMENT_STYLES = ("chorale", "pop")
PLUGIN_FORMATS = ("gm", "sf2", "vst3", "clap", "builtin")
PLUGIN_KINDS = ("instrument", "effect")
PLUGIN_STATUSES = ("ok", "failed", "gone")


class Arrangement(Base):
    """One candidate for one melody. ``measures`` is what it was ranked by; ``chosen_at``: a person took it.

    ``owner``: who may learn from it; ``job_id``: the inbox job that it came with; null at the command line.
    """

    __tablename__ = "arrangements"
    id: Mapped[int] = identity()
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    upload_id: Mapped[int | None] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"))
    owner: Mapped[str]
    name: Mapped[str]  # of the melody, as its owner calls it
    content_hash: Mapped[str]  # of the melody's file
    wish: Mapped[str]  # hash of all that was asked for: the same wish has the same candidates
    style: Mapped[str]
    candidate: Mapped[int]  # 1 is the one that was ranked first; 0 was chosen once and is no longer made
    seed: Mapped[int]
    measures: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    rating: Mapped[float] = mapped_column(REAL())
    made_by: Mapped[str]  # version of the model and of the composer's style
    object_key: Mapped[str | None]  # the MIDI file
    created_at: Mapped[datetime] = now()
    chosen_at: Mapped[datetime | None]
    __table_args__ = (
        one_of("style", ARRANGEMENT_STYLES),
        # The first columns serve the search for a wish's rows, whoever's they are.
        UniqueConstraint("content_hash", "wish", "job_id", "owner", "candidate", postgresql_nulls_not_distinct=True),
        Index("ix_arrangements_job_id", "job_id"),
        Index("ix_arrangements_upload_id", "upload_id"),
        Index("ix_arrangements_owner", "owner"),
    )


class ComposerStyle(Base):
    """What was learned of one composer from their own files, a version each time. Goes with their consent."""

    __tablename__ = "composer_styles"
    id: Mapped[int] = identity()
    owner: Mapped[str]
    version: Mapped[int]  # 1, 2, ... of this owner
    object_key: Mapped[str]
    content_hash: Mapped[str]
    pieces: Mapped[int]
    metrics: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    created_at: Mapped[datetime] = now()
    __table_args__ = (UniqueConstraint("owner", "version"),)


class Plugin(Base):
    """An instrument or an effect that a part may be given. ``status`` failed: it crashed or hung when it was asked."""

    __tablename__ = "plugins"
    id: Mapped[int] = identity()
    format: Mapped[str]
    identifier: Mapped[str]  # unique in its format: a class id, a GM program's number
    name: Mapped[str]
    vendor: Mapped[str] = mapped_column(server_default="")
    version: Mapped[str] = mapped_column(server_default="")
    kind: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    path: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="ok")
    error: Mapped[str | None]
    fingerprint: Mapped[str] = mapped_column(server_default="")  # size and time of its file when it was scanned
    scanned_at: Mapped[datetime] = now()
    __table_args__ = (
        UniqueConstraint("format", "identifier"),
        one_of("format", PLUGIN_FORMATS),
        one_of("kind", PLUGIN_KINDS),
        one_of("status", PLUGIN_STATUSES),
    )


class InstrumentChoice(Base):
    """A person gave a part this instrument: what suggestions learn from."""

    __tablename__ = "instrument_choices"
    id: Mapped[int] = identity()
    owner: Mapped[str]
    role: Mapped[str]
    style: Mapped[str]
    format: Mapped[str]
    identifier: Mapped[str]
    created_at: Mapped[datetime] = now()
    __table_args__ = (Index("ix_instrument_choices_owner", "owner"),)
