"""Which batches hold items that other code made than the present one. What the present code is, pipelines/staleness.py
knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from pipelines.storage.tables import BatchRow, InboxFolder, ItemResult, Job, Upload

ENDED = ("finished", "failed")


@dataclass(frozen=True, slots=True)
class OldItems:
    """Of one batch at one step: how many items were made by this version of the code."""

    step: str
    batch: str
    version: str
    items: int


def old_items(session: Session, versions: Mapping[str, str]) -> list[OldItems]:
    """By step and batch, oldest batch first; ``versions``: step -> its present version.

    The newest outcome of an item counts. What cannot be made again is left out: files whose time was up, jobs that were
    replaced in the inbox, batches that were given up; and batches under way, whose run makes all with the present code.
    """
    age = func.row_number().over(
        partition_by=(ItemResult.job_id, ItemResult.upload_id, ItemResult.kind, ItemResult.params_hash),
        order_by=(ItemResult.created_at.desc(), ItemResult.id.desc()),
    )
    aged = select(ItemResult.id, age.label("age")).where(ItemResult.kind.in_(versions)).subquery()
    query = (
        select(ItemResult.kind, BatchRow.key, ItemResult.code_version, func.count())
        .join(Job, Job.id == ItemResult.job_id)
        .join(BatchRow, BatchRow.id == Job.batch_id)
        .where(
            ItemResult.id.in_(select(aged.c.id).where(aged.c.age == 1)),
            tuple_(ItemResult.kind, ItemResult.code_version).not_in(list(versions.items())),
            *_can_be_made_again(),
        )
        .group_by(ItemResult.kind, BatchRow.id, BatchRow.key, ItemResult.code_version)
        .order_by(BatchRow.id, ItemResult.kind, ItemResult.code_version)
    )
    return [OldItems(*row) for row in session.execute(query)]


def ended_batches(session: Session) -> Sequence[str]:
    """Keys of the batches that a backfill may take: ended, and with a partition. Oldest first."""
    query = select(BatchRow.key).where(BatchRow.status.in_(ENDED), BatchRow.pruned_at.is_(None))
    return session.execute(query.order_by(BatchRow.id)).scalars().all()


def _can_be_made_again() -> list[ColumnElement[bool]]:
    present, upload = aliased(Job), aliased(Upload)
    replaced = (
        select(InboxFolder.name)
        .join(present, present.id == InboxFolder.job_id)
        .where(InboxFolder.name == Job.name, present.id != Job.id, present.status == "ready")
    )
    needed = or_(upload.id == ItemResult.upload_id, and_(ItemResult.upload_id.is_(None), upload.job_id == Job.id))
    expired = select(upload.id).where(needed, upload.status == "expired")
    return [
        BatchRow.status.in_(ENDED),
        BatchRow.pruned_at.is_(None),
        ~replaced.exists(),
        ~expired.exists(),
    ]
