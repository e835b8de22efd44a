"""Questions about jobs as people know them, by name: what a name stands for now, who came with it, how far it is.

Jobs as rows are jobs.py's; what their rows mean together is pipelines/job_state.py's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, null, select, tuple_, union, union_all
from sqlalchemy.orm import Session, aliased

from pipelines.governance.people import pseudonym
from pipelines.storage.claims import among, of_jobs
from pipelines.storage.scoring_tables import ScoreChunk, ScoreJob
from pipelines.storage.serving_tables import Submission
from pipelines.storage.tables import BatchRow, InboxFolder, ItemResult, Job


@dataclass(frozen=True, slots=True)
class Named:
    """``job_id`` is null for a job that was sent and is not taken in yet. ``since``: when it was sent or taken in."""

    name: str
    since: datetime
    owner: str | None
    job_id: int | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The newest of a step for an item; ``upload_id`` is null for a whole job's."""

    job_id: int
    upload_id: int | None
    kind: str
    params_hash: str
    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class SheetProgress:
    """``chunks``: how many, by status."""

    job_id: int
    error: str | None
    finished: bool
    rows: int
    of: int
    chunks: Mapping[str, int]


def spellings(session: Session, person: str) -> list[str]:
    """All ways in which this pseudonym's name stands over jobs."""
    names: Any = union(select(Job.owner).where(Job.owner.is_not(None)), select(Submission.owner))
    return sorted({name for name in session.execute(names).scalars() if name.strip() and pseudonym(name) == person})


def newest(
    session: Session, owners: Collection[str] | None, before: tuple[datetime, str] | None, limit: int
) -> list[Named]:
    """The newest first, of these owners (None: of everybody); ``before``: those after this one in the list."""
    found = _named().subquery()
    query = select(found)
    if owners is not None:
        query = query.where(among(found.c.owner, owners))
    if before is not None:
        query = query.where(tuple_(found.c.since, found.c.name) < tuple_(literal(before[0]), literal(before[1])))
    query = query.order_by(found.c.since.desc(), found.c.name.desc()).limit(limit)
    return [Named(*row) for row in session.execute(query)]


def of_names(session: Session, names: Collection[str]) -> dict[str, Named]:
    """Those of these names that there are."""
    found = _named(names).subquery()
    return {row.name: Named(*row) for row in session.execute(select(found))}


def jobs(session: Session, job_ids: Collection[int]) -> dict[int, tuple[Job, BatchRow | None]]:
    query = select(Job, BatchRow).outerjoin(BatchRow, BatchRow.id == Job.batch_id).where(of_jobs(Job.id, job_ids))
    return {job.id: (job, batch) for job, batch in session.execute(query)}


def outcomes(session: Session, job_ids: Collection[int]) -> dict[int, list[Outcome]]:
    """By job, in the order in which the steps were first run."""
    age = func.row_number().over(
        partition_by=(ItemResult.job_id, ItemResult.upload_id, ItemResult.kind, ItemResult.params_hash),
        order_by=(ItemResult.created_at.desc(), ItemResult.id.desc()),
    )
    aged = select(ItemResult.id, age.label("age")).where(of_jobs(ItemResult.job_id, job_ids)).subquery()
    query = select(ItemResult).join(aged, aged.c.id == ItemResult.id).where(aged.c.age == 1).order_by(ItemResult.id)
    found: dict[int, list[Outcome]] = defaultdict(list)
    for row in session.execute(query).scalars():
        one = Outcome(row.job_id, row.upload_id, row.kind, row.params_hash, row.error, row.seconds)
        found[row.job_id].append(one)
    return found


def sheets(session: Session, job_ids: Collection[int]) -> dict[int, list[SheetProgress]]:
    """By job, the sheets that came with it, in their order."""
    size = func.upper(ScoreChunk.row_range) - func.lower(ScoreChunk.row_range)
    query = select(
        ScoreJob.job_id,
        ScoreJob.id,
        ScoreJob.error,
        ScoreJob.finished_at.is_not(None),
        ScoreChunk.status,
        func.count(ScoreChunk.id),
        func.coalesce(func.sum(ScoreChunk.rows_done), 0),
        func.coalesce(func.sum(size), 0),
    ).outerjoin(ScoreChunk)
    query = query.where(of_jobs(ScoreJob.job_id, job_ids)).group_by(ScoreJob.id, ScoreChunk.status)
    parts: dict[tuple[int, int], list[Any]] = defaultdict(list)
    for row in session.execute(query.order_by(ScoreJob.id)):
        parts[row[0], row[1]].append(row)
    found: dict[int, list[SheetProgress]] = defaultdict(list)
    for (job_id, _), rows in parts.items():
        counts = {str(status): int(n) for _, _, _, _, status, n, _, _ in rows if status is not None}
        done, of = sum(int(row[6]) for row in rows), sum(int(row[7]) for row in rows)
        found[job_id].append(SheetProgress(job_id, rows[0][2], bool(rows[0][3]), done, of, counts))
    return found


def of_batch(session: Session, key: str) -> Sequence[tuple[str, str | None]]:
    """Names of the batch's jobs, each with the id of the request that it came with, if it came by one."""
    query = select(Job.name, Submission.request_id).join(BatchRow, BatchRow.id == Job.batch_id)
    query = query.outerjoin(Submission, Submission.job_name == Job.name).where(BatchRow.key == key)
    return [(name, request) for name, request in session.execute(query.order_by(Job.id))]


def _named(names: Collection[str] | None = None) -> Select[Any]:
    """One row a name: its present job, or what was sent under it. A job that the product made for itself is none."""
    one, ours = aliased(Job), Job.status != "generated"
    last = select(func.max(Job.id)).where(Job.name == one.name, ours).scalar_subquery()
    folder = select(InboxFolder.job_id).where(InboxFolder.name == one.name).scalar_subquery()
    taken = (
        select(
            one.name,
            func.coalesce(Submission.created_at, one.created_at).label("since"),
            one.owner,
            one.id.label("job_id"),
            Submission.request_id,
        )
        .outerjoin(Submission, Submission.job_name == one.name)
        .where(one.status != "generated", one.id == func.coalesce(folder, last), *_of(one.name, names))
    )
    known = select(Job.id).where(Job.name == Submission.job_name, ours).exists()
    sent = select(
        Submission.job_name, Submission.created_at, Submission.owner, null().label("job_id"), Submission.request_id
    ).where(~known, *_of(Submission.job_name, names))
    both = union_all(taken, sent).subquery()
    return select(both.c.name, both.c.since, both.c.owner, both.c.job_id, both.c.request_id)


def _of(column: Any, names: Collection[str] | None) -> tuple[ColumnElement[bool], ...]:
    return () if names is None else (among(column, names),)
