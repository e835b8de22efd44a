"""Questions about wishes to open an original, and what was decided. Who may do what is governance/access.py's."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.governance.people import pseudonym
from pipelines.storage.tables import AccessRequest, VaultItem


def add(session: Session, row: AccessRequest) -> AccessRequest:
    session.add(row)
    session.flush()
    return row


def locked(session: Session, request_id: int) -> AccessRequest | None:
    """The request, locked until the end of the transaction."""
    query = select(AccessRequest).where(AccessRequest.id == request_id).with_for_update()
    return session.execute(query).scalar_one_or_none()


def find(session: Session, request_id: int) -> tuple[AccessRequest, VaultItem] | None:
    """The request with the item that it is about."""
    query = select(AccessRequest, VaultItem).join(VaultItem, VaultItem.id == AccessRequest.vault_item_id)
    row = session.execute(query.where(AccessRequest.id == request_id)).first()
    return (row[0], row[1]) if row else None


def page(
    session: Session,
    *,
    person: str | None = None,
    waiting: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> list[tuple[AccessRequest, VaultItem]]:
    """Newest first, each with its item. ``person``: a pseudonym, whose wishes they are; ``waiting``: only those that
    nobody decided on and whose item is there; numbers below ``before``."""
    query = select(AccessRequest, VaultItem).join(VaultItem, VaultItem.id == AccessRequest.vault_item_id)
    if person is not None:
        names = session.execute(select(AccessRequest.requested_by).distinct()).scalars()
        # A withdrawal leaves the pseudonym in place of the name.
        query = query.where(AccessRequest.requested_by.in_([n for n in names if person in (n, pseudonym(n))]))
    if waiting:
        query = query.where(AccessRequest.decided_at.is_(None), VaultItem.deleted_at.is_(None))
    if before is not None:
        query = query.where(AccessRequest.id < before)
    return [(row, item) for row, item in session.execute(query.order_by(AccessRequest.id.desc()).limit(limit))]


def undecided(session: Session) -> Sequence[tuple[AccessRequest, VaultItem]]:
    """Oldest first, each with the item it is about."""
    query = select(AccessRequest, VaultItem).join(VaultItem, VaultItem.id == AccessRequest.vault_item_id)
    query = query.where(AccessRequest.decided_at.is_(None), VaultItem.deleted_at.is_(None))
    return [(row, item) for row, item in session.execute(query.order_by(AccessRequest.id))]
