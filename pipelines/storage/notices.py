"""Questions about what people were told: whose turn it is to tell something, and when it was told last."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.upkeep_tables import Notice

_LOCK = 5_283_114  # of PostgreSQL's locks with two numbers; the other is the key's hash


def due(session: Session, key: str, now: datetime, within: timedelta) -> bool:
    """Whether ``key`` may be told by whoever asks; nobody else is told so until the transaction ends. A time that lies
    ahead is from a clock that jumped, and counts for nothing."""
    if not session.execute(select(func.pg_try_advisory_xact_lock(_LOCK, func.hashtext(key)))).scalar():
        return False
    told = session.execute(select(Notice.told_at).where(Notice.key == key)).scalar()
    return told is None or not timedelta(0) <= now - told < within


def note(session: Session, key: str, now: datetime) -> None:
    """It was told just now."""
    given = insert(Notice).values(key=key, told_at=now)
    session.execute(given.on_conflict_do_update(index_elements=[Notice.key], set_={"told_at": now}))


def forget(session: Session, before: datetime) -> None:
    session.execute(delete(Notice).where(Notice.told_at < before))
