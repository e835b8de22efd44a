"""What serving keeps of persons and for how long: for a withdrawal which rows go, for retention what is too old.

Questions about one of these tables for itself are its own module's.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from pipelines.storage import api_keys, browser_sessions, idempotent_answers
from pipelines.storage.claims import among
from pipelines.storage.serving_tables import (
    ApiKey,
    ApiTraffic,
    BrowserSession,
    IdempotentAnswer,
    PendingUpload,
    Submission,
)

ANSWERS = timedelta(hours=24)  # how long an answer is given again
KEYS = timedelta(days=90)  # how long it can be seen that a key was revoked, or has expired
TRAFFIC = timedelta(days=90)
NAMES: tuple[InstrumentedAttribute[Any], ...] = (
    ApiKey.owner,
    BrowserSession.owner,
    PendingUpload.owner,
    Submission.owner,
)


def doomed(names: Collection[str], persons: Collection[str], until: datetime) -> list[tuple[Any, ColumnElement[bool]]]:
    """Tables with what goes from them when somebody with these spellings and pseudonyms withdraws; those that hang on
    others first. Who comes back later has new keys."""
    owned: list[tuple[Any, ColumnElement[bool]]] = [
        (table, and_(among(table.owner, names), table.created_at <= until))
        for table in (BrowserSession, ApiKey, PendingUpload, Submission)
    ]
    answers = and_(among(IdempotentAnswer.caller, persons), IdempotentAnswer.created_at <= until)
    return [*owned, (IdempotentAnswer, answers)]


def uploads(session: Session, names: Collection[str], until: datetime) -> list[str]:
    """Ids of the uploads in pieces that stand under these names: their bytes lie in the home."""
    mine = select(PendingUpload.id).where(among(PendingUpload.owner, names), PendingUpload.created_at <= until)
    return sorted(session.execute(mine).scalars())


def expire(session: Session, now: datetime) -> dict[str, int]:
    """Deletes sessions that are over and what is older than the periods above; by table how many."""
    old = delete(ApiTraffic).where(ApiTraffic.minute < now - TRAFFIC).returning(ApiTraffic.route)
    return {
        "browser_sessions": browser_sessions.drop_expired(session, now),
        "api_keys": api_keys.drop_gone(session, now - KEYS),
        "idempotent_answers": idempotent_answers.drop_old(session, now - ANSWERS),
        "api_traffic": len(session.execute(old).all()),
    }
