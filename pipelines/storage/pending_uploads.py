"""Questions about files that come in pieces. Their bytes, and what may become of one, are intake/receiving.py's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from pipelines.governance.people import pseudonym
from pipelines.storage.claims import among
from pipelines.storage.serving_tables import PendingUpload


@dataclass(frozen=True, slots=True)
class Load:
    """What one person's uploads that no job took amount to. Refused ones hold no bytes."""

    receiving: int
    unused: int  # those and the ones that are there
    size: int  # bytes, as announced


def add(session: Session, row: PendingUpload) -> PendingUpload:
    session.add(row)
    session.flush()
    session.refresh(row)
    return row


def get(session: Session, upload_id: str) -> PendingUpload | None:
    return session.get(PendingUpload, upload_id)


def locked(session: Session, ids: Collection[str]) -> dict[str, PendingUpload]:
    """By id, locked until the end of the transaction; always in the same order, so that two never wait for each
    other."""
    query = select(PendingUpload).where(among(PendingUpload.id, ids)).order_by(PendingUpload.id).with_for_update()
    return {row.id: row for row in session.execute(query).scalars()}


def spellings(session: Session, owner: str) -> list[str]:
    """The ways in which this person's name is written on uploads."""
    names = session.execute(select(PendingUpload.owner).distinct()).scalars()
    return [name for name in names if pseudonym(name) == pseudonym(owner)]


def listed(
    session: Session,
    names: Collection[str],
    *,
    limit: int,
    before: datetime | None = None,
    status: str | None = None,
) -> Sequence[PendingUpload]:
    """Theirs, newest first; ``before``: only those made earlier."""
    query = select(PendingUpload).where(among(PendingUpload.owner, names))
    if before is not None:
        query = query.where(PendingUpload.created_at < before)
    if status is not None:
        query = query.where(PendingUpload.status == status)
    return session.execute(query.order_by(PendingUpload.created_at.desc()).limit(limit)).scalars().all()


def load(session: Session, owner: str) -> Load:
    """How much of this person waits. Until the end of the transaction nobody else counts theirs."""
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:who, 7))"), {"who": pseudonym(owner)})
    waiting = ("receiving", "checking", "ready")
    query = select(PendingUpload.status, func.count(), func.sum(PendingUpload.size)).where(
        among(PendingUpload.owner, spellings(session, owner)), among(PendingUpload.status, waiting)
    )
    found = {status: (n, int(size)) for status, n, size in session.execute(query.group_by(PendingUpload.status))}
    unused = sum(n for n, _ in found.values())
    return Load(found.get("receiving", (0, 0))[0], unused, sum(size for _, size in found.values()))


def expired(session: Session, now: datetime) -> list[str]:
    return list(session.execute(select(PendingUpload.id).where(PendingUpload.expires_at < now)).scalars())


def unchecked(session: Session) -> list[str]:
    """Ids of those that are all there and have not been looked at, the oldest first."""
    query = select(PendingUpload.id).where(PendingUpload.status == "checking").order_by(PendingUpload.created_at)
    return list(session.execute(query).scalars())


def known(session: Session, ids: Collection[str]) -> set[str]:
    """Those of these that there are."""
    return set(session.execute(select(PendingUpload.id).where(among(PendingUpload.id, ids))).scalars())


def remove(session: Session, ids: Collection[str]) -> int:
    found = session.execute(delete(PendingUpload).where(among(PendingUpload.id, ids)).returning(PendingUpload.id))
    return len(found.all())
