"""Questions about answers that are given again. What makes two requests the same is serving/api/idempotency.py's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.serving_tables import IdempotentAnswer


def begin(
    session: Session, caller: str, key: str, request_hash: str, worker: Mapping[str, Any]
) -> IdempotentAnswer | None:
    """None when this caller's key is new: the request is under way from now on, by ``worker``. Else what is known of
    it, locked until the end of the transaction."""
    values = {"caller": caller, "key": key, "request_hash": request_hash, "headers": dict(worker)}
    made = insert(IdempotentAnswer).values(**values).on_conflict_do_nothing().returning(IdempotentAnswer.key)
    for _ in range(10):  # it may be forgotten between the two questions
        if session.execute(made).first() is not None:
            return None
        query = select(IdempotentAnswer).where(IdempotentAnswer.caller == caller, IdempotentAnswer.key == key)
        if (row := session.execute(query.with_for_update()).scalar_one_or_none()) is not None:
            return row
    raise AssertionError("an answer comes and goes")


def take_over(session: Session, row: IdempotentAnswer, worker: Mapping[str, Any]) -> None:
    """Whoever worked on it is gone."""
    row.headers, row.created_at = dict(worker), session.execute(select(func.now())).scalar_one()


def answer(session: Session, caller: str, key: str, status: int, headers: Mapping[str, str], body: str) -> None:
    which = (IdempotentAnswer.caller == caller, IdempotentAnswer.key == key)
    session.execute(update(IdempotentAnswer).where(*which).values(status=status, headers=dict(headers), body=body))


def drop(session: Session, caller: str, key: str) -> None:
    """Nothing came of the request: the next one with this key is the first."""
    which = (IdempotentAnswer.caller == caller, IdempotentAnswer.key == key, IdempotentAnswer.status.is_(None))
    session.execute(delete(IdempotentAnswer).where(*which))


def drop_old(session: Session, before: datetime) -> int:
    gone = delete(IdempotentAnswer).where(IdempotentAnswer.created_at < before)
    return len(session.execute(gone.returning(IdempotentAnswer.key)).all())
