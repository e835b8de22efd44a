"""Questions about wishes to open an original, and what was decided. Who may do what is governance/access.py's."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.storage.tables import AccessRequest, VaultItem


def add(session: Session, row: AccessRequest) -> AccessRequest:
    session.add(row)
    session.flush()
    return row


def locked(session: Session, request_id: int) -> AccessRequest | None:
    """The request, locked until the end of the transaction."""
    query = select(AccessRequest).where(AccessRequest.id == request_id).with_for_update()
    return session.execute(query).scalar_one_or_none()


def undecided(session: Session) -> Sequence[tuple[AccessRequest, VaultItem]]:
    """Oldest first, each with the item it is about."""
    query = select(AccessRequest, VaultItem).join(VaultItem, VaultItem.id == AccessRequest.vault_item_id)
    query = query.where(AccessRequest.decided_at.is_(None), VaultItem.deleted_at.is_(None))
    return [(row, item) for row, item in session.execute(query.order_by(AccessRequest.id))]
