"""Questions about how many there are of each thing at this moment: what an operator sees first. No row is read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pipelines.storage.tables import AccessRequest, BatchRow, Job, VaultItem, Withdrawal


def jobs(session: Session) -> dict[str, int]:
    """By status."""
    return dict(session.execute(select(Job.status, func.count()).group_by(Job.status).order_by(Job.status)).all())


def batches(session: Session) -> dict[str, int]:
    """By status."""
    query = select(BatchRow.status, func.count()).group_by(BatchRow.status).order_by(BatchRow.status)
    return dict(session.execute(query).all())


def withdrawals(session: Session, now: datetime) -> tuple[int, int]:
    """Those that are under way, and how many of them are overdue."""
    late = func.count().filter(Withdrawal.due_at < now)
    row = session.execute(select(func.count(), late).where(Withdrawal.completed_at.is_(None))).one()
    return int(row[0]), int(row[1])


def undecided(session: Session) -> int:
    """Wishes to open an original that wait for a decision."""
    query = select(func.count()).select_from(AccessRequest)
    query = query.join(VaultItem, VaultItem.id == AccessRequest.vault_item_id)
    query = query.where(AccessRequest.decided_at.is_(None), VaultItem.deleted_at.is_(None))
    return int(session.execute(query).scalar_one())


def holds(session: Session) -> int:
    """Items under a legal hold."""
    query = select(func.count()).where(VaultItem.legal_hold, VaultItem.deleted_at.is_(None))
    return int(session.execute(query).scalar_one())
