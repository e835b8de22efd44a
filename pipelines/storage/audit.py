"""The audit trail: who did what to what. It is written and read; the table itself refuses any change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.storage.tables import AuditLog


def write(session: Session, *, actor: str, action: str, subject: str, detail: dict[str, Any] | None = None) -> None:
    """In the transaction of the deed itself, so that neither is without the other."""
    session.add(AuditLog(actor=actor, action=action, subject=subject, detail=detail or {}))
    session.flush()


def of_subject(session: Session, subject: str) -> Sequence[AuditLog]:
    """Oldest first."""
    return session.execute(select(AuditLog).where(AuditLog.subject == subject).order_by(AuditLog.id)).scalars().all()
