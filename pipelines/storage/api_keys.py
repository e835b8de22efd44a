"""Questions about API keys. What a key looks like and who may make one is identity/keys.py's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, delete, or_, select, text, update
from sqlalchemy.orm import Session

from pipelines.storage.claims import among
from pipelines.storage.serving_tables import ApiKey

USED_EVERY = timedelta(minutes=1)  # how exact ``last_used_at`` is


def add(session: Session, row: ApiKey) -> ApiKey:
    session.add(row)
    session.flush()
    return row


def by_prefix(session: Session, prefix: str, *, locked: bool = False) -> ApiKey | None:
    """``locked``: until the end of the transaction."""
    query = select(ApiKey).where(ApiKey.prefix == prefix)
    return session.execute(query.with_for_update() if locked else query).scalar_one_or_none()


def get(session: Session, key_id: int) -> ApiKey | None:
    return session.get(ApiKey, key_id)


def any_at_all(session: Session) -> bool:
    """Nobody else makes one until the end of this transaction, if there is none."""
    session.execute(text("lock table api_keys in share row exclusive mode"))
    return session.execute(select(ApiKey.id).limit(1)).first() is not None


def used(session: Session, key_id: int, now: datetime) -> None:
    """Notes that it was, at most once a minute."""
    seldom = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - USED_EVERY)
    session.execute(update(ApiKey).where(ApiKey.id == key_id, seldom).values(last_used_at=now))


def owners(session: Session) -> list[str]:
    """Every spelling of a name that keys have."""
    return list(session.execute(select(ApiKey.owner).distinct()).scalars())


def listed(
    session: Session, *, names: Collection[str] | None = None, before: int | None = None, limit: int | None = None
) -> Sequence[ApiKey]:
    """Newest first; ``names``: only theirs, as spelt; ``before``: only those with a lower id."""
    query = select(ApiKey).order_by(ApiKey.id.desc()).limit(limit)
    if names is not None:
        query = query.where(among(ApiKey.owner, names))
    if before is not None:
        query = query.where(ApiKey.id < before)
    return session.execute(query).scalars().all()


def drop_gone(session: Session, until: datetime) -> int:
    """Deletes those that were revoked or expired before then. Returns how many."""
    gone = or_(ApiKey.revoked_at < until, and_(ApiKey.expires_at.is_not(None), ApiKey.expires_at < until))
    return len(session.execute(delete(ApiKey).where(gone).returning(ApiKey.id)).all())
