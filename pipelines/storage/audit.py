"""The audit trail: who did what to what. It is written and read; the table itself refuses any change.

Whether it is still what was written is governance/audit.py's question.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, literal_column, select, text
from sqlalchemy.orm import Session

from pipelines.storage.tables import AuditLog


@dataclass(frozen=True, slots=True)
class Link:
    """One row as the chain sees it. ``payload`` is the text that its hash is over, made from the row's columns."""

    seq: int
    previous: str
    hash: str
    payload: str


def write(session: Session, *, actor: str, action: str, subject: str, detail: dict[str, Any] | None = None) -> None:
    """In the transaction of the deed itself, so that neither is without the other."""
    session.add(AuditLog(actor=actor, action=action, subject=subject, detail=detail or {}))
    session.flush()


def of_subject(session: Session, subject: str) -> Sequence[AuditLog]:
    """Oldest first."""
    return session.execute(select(AuditLog).where(AuditLog.subject == subject).order_by(AuditLog.id)).scalars().all()


def newest(session: Session, n: int) -> Sequence[AuditLog]:
    """The last ``n`` rows, newest first."""
    return session.execute(select(AuditLog).order_by(AuditLog.seq.desc()).limit(n)).scalars().all()


def search(
    session: Session,
    *,
    subjects: Collection[str] = (),
    subject_prefix: str = "",
    actors: Collection[str] = (),
    action: str | None = None,
    action_prefix: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[AuditLog]:
    """Rows for which all that is given holds, newest first: one of ``subjects``, one of ``actors``, at in
    [since, until), and a number below ``before``."""
    query = select(AuditLog)
    if subjects:
        query = query.where(AuditLog.subject.in_(subjects))
    if subject_prefix:
        query = query.where(AuditLog.subject.startswith(subject_prefix, autoescape=True))
    if actors:
        query = query.where(AuditLog.actor.in_(actors))
    if action is not None:
        query = query.where(AuditLog.action == action)
    if action_prefix:
        query = query.where(AuditLog.action.startswith(action_prefix, autoescape=True))
    if since is not None:
        query = query.where(AuditLog.at >= since)
    if until is not None:
        query = query.where(AuditLog.at < until)
    if before is not None:
        query = query.where(AuditLog.seq < before)
    return session.execute(query.order_by(AuditLog.seq.desc()).limit(limit)).scalars().all()


def head(session: Session) -> tuple[int, str]:
    """Number and hash of the newest row; (0, "") when there is none."""
    query = select(AuditLog.seq, AuditLog.hash).order_by(AuditLog.seq.desc()).limit(1)
    row = session.execute(query).first()
    return (row[0], row[1]) if row else (0, "")


def links(session: Session, at_once: int = 2000) -> Generator[Link, None, None]:
    """Every row in the order of its number, read through a server-side cursor, ``at_once`` in memory. To be closed by
    who stops early (``contextlib.closing``)."""
    moment = func.to_char(func.timezone("UTC", AuditLog.at), "YYYY-MM-DD HH24:MI:SS.US")
    parts = (AuditLog.previous, AuditLog.seq, moment, AuditLog.actor, AuditLog.action, AuditLog.subject)
    payload = func.jsonb_build_array(*parts, AuditLog.detail).op("::")(literal_column("text"))
    query = select(AuditLog.seq, AuditLog.previous, AuditLog.hash, payload).order_by(AuditLog.seq, AuditLog.id)
    with session.execute(query, execution_options={"yield_per": at_once}) as rows:
        for row in rows:
            yield Link(*row)


def guards(session: Session) -> set[str]:
    """Names of the table's own triggers that are at work."""
    query = text("select tgname from pg_trigger where tgrelid = 'audit_logs'::regclass and tgenabled in ('O', 'A')")
    return set(session.execute(query).scalars())
