"""Questions about the work on items: what was done, with which code and parameters, how it went."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import BatchRow, ItemResult, Job


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


def finished(
    session: Session,
    *,
    job_id: int,
    kind: str,
    content_hash: str,
    code_version: str,
    params_hash: str = "",
    upload_id: int | None = None,
) -> ItemResult | None:
    """The item's outcome if it went well with this very content, code and parameters."""
    query = select(ItemResult).where(
        ItemResult.job_id == job_id,
        ItemResult.upload_id.is_not_distinct_from(upload_id),
        ItemResult.kind == kind,
        ItemResult.content_hash == content_hash,
        ItemResult.code_version == code_version,
        ItemResult.params_hash == params_hash,
        ItemResult.status == "ok",
    )
    return session.execute(query).scalar_one_or_none()


def failures(
    session: Session, batch_key: str | None = None, kind: str | None = None, code_version: str | None = None
) -> Sequence[ItemResult]:
    """Items that failed, oldest first: of one batch, kind and code version where given."""
    query = select(ItemResult).where(ItemResult.status == "failed").order_by(ItemResult.id)
    if batch_key is not None:
        query = query.join(Job, Job.id == ItemResult.job_id).join(BatchRow).where(BatchRow.key == batch_key)
    if kind is not None:
        query = query.where(ItemResult.kind == kind)
    if code_version is not None:
        query = query.where(ItemResult.code_version == code_version)
    return session.execute(query).scalars().all()


def of_batch(session: Session, batch_key: str) -> Sequence[ItemResult]:
    """Every outcome of a batch's jobs."""
    query = select(ItemResult).join(Job, Job.id == ItemResult.job_id).join(BatchRow).where(BatchRow.key == batch_key)
    return session.execute(query.order_by(ItemResult.id)).scalars().all()


def failed_batches(session: Session) -> Sequence[str]:
    """Keys of the batches that hold a failed item."""
    query = select(BatchRow.key).join(Job, Job.batch_id == BatchRow.id).join(ItemResult, ItemResult.job_id == Job.id)
    return session.execute(query.where(ItemResult.status == "failed").distinct()).scalars().all()
