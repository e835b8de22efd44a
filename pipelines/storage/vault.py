"""Questions about the vault: objects that belong to a person, until when, and under which hold.

How long each kind is kept is governance/retention.py's, who may hold or open one governance/vault.py's and access.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.governance.people import pseudonym
from pipelines.storage.claims import among
from pipelines.storage.tables import InboxFolder, ItemResult, Job, Upload, VaultItem


def keep(
    session: Session,
    *,
    job_id: int,
    user_id: str,
    kind: str,
    object_key: str,
    content_hash: str,
    size: int,
    now: datetime,
    expires_at: datetime | None,
) -> int:
    """Id of the item. One that is there keeps its time; one that was deleted and made again gets a new one."""
    fresh = {"size": size, "created_at": now, "expires_at": expires_at, "deleted_at": None, "deleted_reason": None}
    statement = insert(VaultItem).values(
        job_id=job_id, user_id=user_id, kind=kind, object_key=object_key, content_hash=content_hash, **fresh
    )
    key = ("job_id", "kind", "object_key")
    session.execute(
        statement.on_conflict_do_update(index_elements=key, set_=fresh, where=VaultItem.deleted_at.is_not(None))
    )
    known = select(VaultItem.id)
    known = known.where(VaultItem.job_id == job_id, VaultItem.kind == kind, VaultItem.object_key == object_key)
    return session.execute(known).scalar_one()


def keep_new(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Items (job_id, user_id, kind, object_key, content_hash, size, created_at, expires_at) of jobs that had none."""
    session.execute(insert(VaultItem).on_conflict_do_nothing(), rows)


def present(session: Session) -> datetime:
    """When this transaction began, which is what its rows are dated by."""
    found: datetime = session.execute(select(func.now())).scalar_one()
    return found


def locked(session: Session, item_id: int) -> VaultItem | None:
    """The item, locked until the end of the transaction."""
    return session.execute(select(VaultItem).where(VaultItem.id == item_id).with_for_update()).scalar_one_or_none()


def of_owners(session: Session, owners: Collection[str]) -> Sequence[VaultItem]:
    """Items that are there, of these names or pseudonyms, oldest first."""
    query = select(VaultItem).where(among(VaultItem.user_id, owners), VaultItem.deleted_at.is_(None))
    return session.execute(query.order_by(VaultItem.id)).scalars().all()


def page(
    session: Session,
    *,
    person: str | None = None,
    held: bool = False,
    item_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[tuple[VaultItem, str | None]]:
    """Items that are there with the name of their job, newest first, numbers below ``before``. ``person``: a pseudonym,
    whose they are; ``held``: under a legal hold only; ``item_id``: this one."""
    query = select(VaultItem, Job.name).outerjoin(Job, Job.id == VaultItem.job_id)
    query = query.where(VaultItem.deleted_at.is_(None))
    if person is not None:
        owners = session.execute(select(VaultItem.user_id).where(VaultItem.deleted_at.is_(None)).distinct()).scalars()
        # A hold keeps items whose owner withdrew: under the pseudonym.
        query = query.where(VaultItem.user_id.in_([name for name in owners if person in (name, pseudonym(name))]))
    if held:
        query = query.where(VaultItem.legal_hold)
    if item_id is not None:
        query = query.where(VaultItem.id == item_id)
    if before is not None:
        query = query.where(VaultItem.id < before)
    return [(item, name) for item, name in session.execute(query.order_by(VaultItem.id.desc()).limit(limit))]


def of_job(session: Session, job_id: int) -> Sequence[VaultItem]:
    """Oldest first, the deleted ones with them."""
    query = select(VaultItem).where(VaultItem.job_id == job_id).order_by(VaultItem.id)
    return session.execute(query).scalars().all()


def expired(session: Session, now: datetime) -> Sequence[VaultItem]:
    """Items that are there and whose time is up, the held ones with them, longest overdue first."""
    query = select(VaultItem).where(VaultItem.deleted_at.is_(None), VaultItem.expires_at <= now)
    return session.execute(query.order_by(VaultItem.expires_at, VaultItem.id)).scalars().all()


def previews_of_masters(session: Session) -> Sequence[VaultItem]:
    """Previews that can be made again from a master that is there, oldest first."""
    master = select(Job.id).join(VaultItem, VaultItem.job_id == Job.id)
    master = master.where(VaultItem.kind == "master", VaultItem.deleted_at.is_(None))
    query = select(VaultItem).where(
        VaultItem.kind == "preview",
        VaultItem.deleted_at.is_(None),
        ~VaultItem.legal_hold,
        VaultItem.job_id.in_(master),
    )
    return session.execute(query.order_by(VaultItem.created_at, VaultItem.id)).scalars().all()


def others_need(session: Session, item: VaultItem) -> bool:
    """Whether the item's object is also an upload's or a vault item's of another job, or another kind of this one."""
    uploads = select(Upload.id).where(Upload.object_key == item.object_key)
    items = select(VaultItem.id).where(
        VaultItem.object_key == item.object_key, VaultItem.id != item.id, VaultItem.deleted_at.is_(None)
    )
    if item.job_id is not None:
        uploads = uploads.where((Upload.job_id != item.job_id) | (Upload.kind != item.kind))
    return any(session.execute(query.limit(1)).first() is not None for query in (uploads, items))


def needed(session: Session, keys: Collection[str]) -> set[str]:
    """Those of these objects that are an item of the vault."""
    query = select(VaultItem.object_key).where(among(VaultItem.object_key, keys), VaultItem.deleted_at.is_(None))
    return set(session.execute(query).scalars())


def expire_upload(session: Session, item: VaultItem) -> None:
    """The item's upload stays as a row, without bytes."""
    mine = update(Upload).where(Upload.job_id == item.job_id, Upload.kind == item.kind)
    mine = mine.where(Upload.object_key == item.object_key)
    session.execute(mine.values(status="expired", object_key=None))


def inbox_folder(session: Session, job_id: int) -> InboxFolder | None:
    """The inbox folder whose present content is this job."""
    return session.execute(select(InboxFolder).where(InboxFolder.job_id == job_id)).scalars().first()


def name_of_job(session: Session, job_id: int) -> str:
    return session.execute(select(Job.name).where(Job.id == job_id)).scalar_one()


def mixed_from_expired(session: Session, hashes: Collection[str]) -> set[str]:
    """Those of these contents that are only worked on in jobs whose stems have expired."""
    rows = select(
        ItemResult.content_hash,
        func.bool_and(
            select(Upload.id)
            .where(Upload.job_id == ItemResult.job_id, Upload.kind.in_(("inst", "vocal")), Upload.status == "expired")
            .exists()
        ),
    )
    found = session.execute(rows.where(among(ItemResult.content_hash, hashes)).group_by(ItemResult.content_hash))
    return {content for content, all_expired in found if all_expired}
