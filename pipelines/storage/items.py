"""Questions about the work on items: what was done, with which code and parameters, how it went."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from pipelines.storage.tables import BatchRow, InboxFolder, ItemResult, Job


def record(
    session: Session,
    *,
    job_id: int,
    kind: str,
    content_hash: str,
    code_version: str,
    upload_id: int | None = None,
    params_hash: str = "",
    error: str | None = None,
    object_key: str | None = None,
    seconds: float = 0.0,
) -> None:
    """The newest outcome of this item, in place of an earlier one; failed when there is an ``error``."""
    outcome = {
        "status": "failed" if error else "ok",
        "error": error,
        "object_key": object_key,
        "seconds": seconds,
        "created_at": func.now(),
    }
    statement = insert(ItemResult).values(
        job_id=job_id,
        upload_id=upload_id,
        kind=kind,
        content_hash=content_hash,
        code_version=code_version,
        params_hash=params_hash,
        **outcome,
    )
    session.execute(statement.on_conflict_do_update(constraint="uq_item_results_item", set_=outcome))


def failures(session: Session, batch_key: str, kind: str, code_version: str) -> Sequence[ItemResult]:
    """Items of a batch whose newest outcome at this step is a failure with this code, oldest first."""
    query = select(ItemResult).join(Job, Job.id == ItemResult.job_id).join(BatchRow)
    query = query.where(
        BatchRow.key == batch_key,
        ItemResult.id.in_(_newest()),
        ItemResult.status == "failed",
        ItemResult.kind == kind,
        ItemResult.code_version == code_version,
    )
    return session.execute(query.order_by(ItemResult.id)).scalars().all()


def open_failures(session: Session) -> Sequence[tuple[ItemResult, Job, str | None]]:
    """Newest outcomes that are failures, oldest first, each with its job and its batch's key.

    Those of a job whose inbox folder holds another sound content by now matter to nobody any more.
    """
    present = aliased(Job)
    replaced = (
        select(InboxFolder.name)
        .join(present, present.id == InboxFolder.job_id)
        .where(InboxFolder.name == Job.name, present.id != Job.id, present.status == "ready")
    )
    query = (
        select(ItemResult, Job, BatchRow.key)
        .join(Job, Job.id == ItemResult.job_id)
        .outerjoin(BatchRow, BatchRow.id == Job.batch_id)
        .where(ItemResult.id.in_(_newest()), ItemResult.status == "failed", ~replaced.exists())
    )
    return [(row, job, key) for row, job, key in session.execute(query.order_by(ItemResult.id))]


def _newest() -> Select[int]:
    """Ids of the newest outcomes of each step for each item, whatever its content and code were before: a job that
    is planned again without a broken clip has another content, and what failed with the clip is done with."""
    age = func.row_number().over(
        partition_by=(ItemResult.job_id, ItemResult.upload_id, ItemResult.kind, ItemResult.params_hash),
        order_by=(ItemResult.created_at.desc(), ItemResult.id.desc()),
    )
    aged = select(ItemResult.id, age.label("age")).subquery()
    return select(aged.c.id).where(aged.c.age == 1)
