"""Questions about the work on items: what was done, with which code and parameters, how it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from pipelines.storage.tables import BatchRow, InboxFolder, ItemResult, Job


@dataclass(frozen=True, slots=True)
class NewOutcome:
    """Of one item at one step; failed when there is an ``error``."""

    job_id: int
    kind: str
    content_hash: str
    code_version: str
    upload_id: int | None = None
    params_hash: str = ""
    error: str | None = None
    object_key: str | None = None
    seconds: float = 0.0


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
    one = NewOutcome(job_id, kind, content_hash, code_version, upload_id, params_hash, error, object_key, seconds)
    record_all(session, [one])


def record_all(session: Session, new: Sequence[NewOutcome]) -> None:
    """Each the newest outcome of its item, in place of an earlier one; of two for one item the last counts."""
    rows = {
        (n.job_id, n.upload_id, n.kind, n.content_hash, n.code_version, n.params_hash): {
            **asdict(n),
            "status": "failed" if n.error else "ok",
        }
        for n in new
    }
    if not rows:
        return
    statement = insert(ItemResult)
    outcome = {name: statement.excluded[name] for name in ("status", "error", "object_key", "seconds")}
    statement = statement.on_conflict_do_update(
        constraint="uq_item_results_item", set_=outcome | {"created_at": func.now()}
    )
    session.execute(statement, list(rows.values()))


def seconds_a_job(session: Session, batches: int = 2) -> float | None:
    """What a job of the batches that finished last took on average, all its items together, in seconds of one
    processor; None before any has."""
    last = select(BatchRow.id).where(BatchRow.status == "finished").order_by(BatchRow.id.desc()).limit(batches)
    query = select(func.sum(ItemResult.seconds) / func.nullif(func.count(func.distinct(ItemResult.job_id)), 0))
    query = query.join(Job, Job.id == ItemResult.job_id).where(Job.batch_id.in_(last))
    found = session.execute(query).scalar()
    return None if found is None else float(found)


def failures(session: Session, batch_key: str, kind: str, code_version: str) -> Sequence[ItemResult]:
    """Items of a batch whose newest outcome at this step is a failure with this code, oldest first."""
    query = select(ItemResult).join(Job, Job.id == ItemResult.job_id).join(BatchRow)
    query = query.where(
        BatchRow.key == batch_key,
        *_newest_and_failed(),
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
        .where(*_newest_and_failed(), ~replaced.exists())
    )
    return [(row, job, key) for row, job, key in session.execute(query.order_by(ItemResult.id))]


def _newest_and_failed() -> tuple[ColumnElement[bool], ...]:
    """Failures that no later outcome of the same step for the same item follows, whatever its content and code were: a
    job that is planned again without a broken clip has another content, and what failed with the clip is done with.

    Asked of the failures alone: they are few, however many outcomes there are.
    """
    later = aliased(ItemResult)
    followed = select(later.id).where(
        later.job_id == ItemResult.job_id,
        later.upload_id.is_not_distinct_from(ItemResult.upload_id),
        later.kind == ItemResult.kind,
        later.params_hash == ItemResult.params_hash,
        tuple_(later.created_at, later.id) > tuple_(ItemResult.created_at, ItemResult.id),
    )
    return ItemResult.status == "failed", ~followed.exists()
