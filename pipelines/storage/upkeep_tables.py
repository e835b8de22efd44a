"""Tables of upkeep: objects that nothing refers to, and since when; what people were told.

What refers to an object is asked in references.py, when an unreferenced one goes is decided in upkeep/garbage.py.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from pipelines.storage.schema import Base, now


class UnreferencedObject(Base):
    """Found by a look at the whole store; goes when a later look, a grace period on, finds it so again."""

    __tablename__ = "unreferenced_objects"
    key: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int]  # bytes
    reason: Mapped[str]  # unnamed, or superseded by another version of the code
    seen_at: Mapped[datetime] = now()  # the first time since it was last referred to
    __table_args__ = (Index("ix_unreferenced_objects_seen_at", "seen_at"),)


class Notice(Base):
    """Told to people, so that no other process or machine tells the same again at once (notifier.py)."""

    __tablename__ = "notices"
    key: Mapped[str] = mapped_column(primary_key=True)  # a hash: what it was about is nobody's to read here
    told_at: Mapped[datetime]
