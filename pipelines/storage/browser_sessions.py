"""Questions about who is signed in to the pages. What a session is, is identity/sessions.py's."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pipelines.storage.serving_tables import ApiKey, BrowserSession


def add(session: Session, row: BrowserSession) -> None:
    session.add(row)
    session.flush()


def by_digest(session: Session, digest: str) -> tuple[BrowserSession, ApiKey | None] | None:
    """The session, and the key that it was begun with."""
    query = select(BrowserSession, ApiKey).outerjoin(ApiKey, ApiKey.id == BrowserSession.key_id)
    row = session.execute(query.where(BrowserSession.digest == digest)).first()
    return None if row is None else (row[0], row[1])


def drop(session: Session, digest: str) -> None:
    session.execute(delete(BrowserSession).where(BrowserSession.digest == digest))


def drop_expired(session: Session, now: datetime) -> int:
    """Returns how many."""
    gone = delete(BrowserSession).where(BrowserSession.expires_at <= now).returning(BrowserSession.digest)
    return len(session.execute(gone).all())
