"""Questions about rollouts: which version of a name runs, which is live, which came before, what was decided.

When a row may change, and to what, is models/rollout.py's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from pipelines.storage.tables import AuditLog, ModelVersion, Rollout

ACTIONS = ("rollout.begin", "rollout.promote", "rollout.roll_back", "rollout.set_stage")


def lock(session: Session, name: str) -> None:
    """Nobody else changes this name's rollouts until the transaction ends. May be taken again by its holder."""
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 5))"), {"name": f"rollout:{name}"})


def present(session: Session, name: str) -> tuple[Rollout | None, Rollout | None]:
    """The running and the live rollout as they are committed now, whatever this session has read before."""
    query = select(Rollout).where(Rollout.name == name, Rollout.status.in_(("running", "live")))
    rows = session.execute(query.execution_options(populate_existing=True)).scalars().all()
    by_status = {row.status: row for row in rows}
    return by_status.get("running"), by_status.get("live")


def state(session: Session, name: str) -> str:
    """What running and live are at this moment, in 32 hexadecimal digits: equal until either changes."""
    rows = [
        None
        if row is None
        else [row.id, row.model_id, row.stage, row.status, row.stage_since.astimezone(UTC).isoformat()]
        for row in present(session, name)
    ]
    return hashlib.sha256(json.dumps([name, *rows]).encode()).hexdigest()[:32]


def names(session: Session) -> Sequence[str]:
    """Names of models of which a version runs or is live."""
    query = select(Rollout.name).where(Rollout.status.in_(("running", "live"))).distinct().order_by(Rollout.name)
    return session.execute(query).scalars().all()


def history(session: Session, name: str) -> Sequence[Rollout]:
    """All rollouts of a name, newest first (by their number: clocks jump)."""
    query = select(Rollout).where(Rollout.name == name).order_by(Rollout.id.desc())
    return session.execute(query.execution_options(populate_existing=True)).scalars().all()


def model(session: Session, model_id: int) -> ModelVersion | None:
    return session.get(ModelVersion, model_id)


def add(
    session: Session,
    *,
    name: str,
    model_id: int,
    previous_id: int | None,
    stage: int,
    status: str,
    reason: str,
    decided_by: str,
    now: datetime,
) -> Rollout:
    row = Rollout(
        name=name,
        model_id=model_id,
        previous_id=previous_id,
        stage=stage,
        status=status,
        reason=reason,
        decided_by=decided_by,
        started_at=now,
        stage_since=now,
    )
    session.add(row)
    session.flush()
    return row


def decisions(session: Session, within: timedelta) -> Sequence[AuditLog]:
    """What was decided about any model lately, by the database's own clock, oldest first."""
    since = func.now() - within
    query = select(AuditLog).where(AuditLog.action.in_(ACTIONS), AuditLog.at >= since).order_by(AuditLog.seq)
    return session.execute(query).scalars().all()
