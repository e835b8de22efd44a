"""Questions about sheets to be scored, and who works on one. What became of a sheet is what became of its chunks:
scoring/chunks.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, or_, select, text, update
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.storage.claims import of_jobs
from pipelines.storage.scoring_tables import ScoreChunk, ScoreJob
from pipelines.storage.tables import Job

SHEET_LOCK, CHUNK_LOCK = 528_311_501, 528_311_502  # classes of advisory locks, each with a row's id


@dataclass(frozen=True, slots=True)
class NewScoreJob:
    """``rubric``: Rubric.to_dict; ``asking``: provider, model, address, column, mode. ``job_id``: the inbox job, if the
    sheet came with one."""

    name: str
    kind: str
    place: str
    identity: str
    rubric: Mapping[str, Any]
    asking: Mapping[str, Any]
    rows: int
    out: str | None = None
    job_id: int | None = None
    upload_id: int | None = None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.identity, self.rubric, self.asking)


def fingerprint(identity: str, rubric: Mapping[str, Any], asking: Mapping[str, Any]) -> str:
    """64 hexadecimal digits; the same sheet to be scored the same way has the same."""
    wish = json.dumps([identity, dict(rubric), dict(asking)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(wish.encode("utf-8", "replace")).hexdigest()


def add(session: Session, new: NewScoreJob) -> int:
    """Id of the row. Whether there is one already, ``unfinished`` and ``of_job`` say."""
    row = ScoreJob(
        job_id=new.job_id,
        upload_id=new.upload_id,
        name=new.name,
        kind=new.kind,
        place=new.place,
        identity=new.identity,
        rubric=dict(new.rubric),
        asking=dict(new.asking),
        fingerprint=new.fingerprint,
        rows=new.rows,
        out=new.out,
    )
    session.add(row)
    session.flush()
    return row.id


def get(session: Session, score_job_id: int) -> ScoreJob:
    """BadInput when there is none: it was never, or was deleted with its owner's data."""
    row = session.get(ScoreJob, score_job_id)
    if row is None:
        raise BadInput(f"score job {score_job_id}", "is not known (any more)", "score the sheet anew")
    return row


def locked(session: Session, score_job_id: int) -> ScoreJob | None:
    """The row, locked until the end of the transaction."""
    return session.get(ScoreJob, score_job_id, with_for_update=True, populate_existing=True)


def unfinished(session: Session, fingerprint: str, job_id: int | None = None) -> ScoreJob | None:
    """The newest of this wish in which something is left to do; ``job_id``: of that inbox job, else of none."""
    owner = ScoreJob.job_id.is_(None) if job_id is None else ScoreJob.job_id == job_id
    query = select(ScoreJob).where(ScoreJob.fingerprint == fingerprint, owner, _left())
    return session.execute(query.order_by(ScoreJob.id.desc()).limit(1)).scalar()


def of_job(session: Session, job_id: int) -> Sequence[ScoreJob]:
    """Of an inbox job, in the order in which they came."""
    return session.execute(select(ScoreJob).where(ScoreJob.job_id == job_id).order_by(ScoreJob.id)).scalars().all()


def opened(session: Session) -> Sequence[ScoreJob]:
    """In which something is left to do, or was given up; oldest first. Not those whose owner took the consent back."""
    query = select(ScoreJob).outerjoin(Job).where(_left(), or_(ScoreJob.job_id.is_(None), Job.status == "ready"))
    return session.execute(query.order_by(ScoreJob.id)).scalars().all()


def finish(session: Session, score_job_id: int, written: Mapping[str, Any]) -> None:
    """Every chunk has ended, and what is known was ``written`` (a Written's dictionary)."""
    values = {"finished_at": func.now(), "error": None, "written": dict(written)}
    session.execute(update(ScoreJob).where(ScoreJob.id == score_job_id).values(**values))


def fail(session: Session, score_job_id: int, error: str) -> None:
    """Nothing more will come of it, for this reason, until it is asked for again."""
    session.execute(update(ScoreJob).where(ScoreJob.id == score_job_id).values(error=error, finished_at=None))


def reopen(session: Session, score_job_ids: Collection[int]) -> None:
    """They go on."""
    mine = update(ScoreJob).where(of_jobs(ScoreJob.id, score_job_ids))
    session.execute(mine.values(error=None, finished_at=None))


def hold(connection: Connection, score_job_id: int, chunk_ids: Collection[int] = ()) -> bool:
    """Takes the sheet for whoever has this connection, as long as it lives: the whole of it, or only these chunks (ids
    of rows), which others' other chunks do not disturb. False, with nothing taken, when another has it."""
    shared = "_shared" if chunk_ids else ""
    taken = text(f"select pg_try_advisory_lock{shared}(:kind, :id)")
    wanted = {"kind": SHEET_LOCK, "id": _narrow(score_job_id)}
    if not connection.execute(taken, wanted).scalar_one():
        return False
    query = text("select pg_try_advisory_lock(:kind, :id)")
    for chunk in chunk_ids:
        if not connection.execute(query, {"kind": CHUNK_LOCK, "id": _narrow(chunk)}).scalar_one():
            connection.execute(text("select pg_advisory_unlock_all()"))
            return False
    return True


def held(session: Session) -> set[int]:
    """Ids (below 2^31) of the score jobs that somebody works on at this moment."""
    query = text(
        "select objid::bigint from pg_locks where locktype = 'advisory' and classid = :kind and objsubid = 2"
        " and granted and database = (select oid from pg_database where datname = current_database())"
    )
    return set(session.execute(query, {"kind": SHEET_LOCK}).scalars())


def expire(session: Session, before: datetime) -> list[int]:
    """Deletes those that came with no inbox job and in which nothing was done since then, with all their rows; their
    ids."""
    last = select(func.max(func.greatest(ScoreChunk.requested_at, ScoreChunk.started_at, ScoreChunk.finished_at)))
    touched = last.where(ScoreChunk.score_job_id == ScoreJob.id).scalar_subquery()
    old = func.greatest(ScoreJob.created_at, ScoreJob.finished_at, touched) < before
    gone = delete(ScoreJob).where(ScoreJob.job_id.is_(None), old).returning(ScoreJob.id)
    return sorted(session.execute(gone).scalars())


def _left() -> ColumnElement[bool]:
    open_chunks: Select[Any] = select(ScoreChunk.id).where(
        ScoreChunk.score_job_id == ScoreJob.id, ScoreChunk.status != "finished"
    )
    return or_(ScoreJob.finished_at.is_(None), exists(open_chunks))


def _narrow(id_: int) -> int:
    """As an advisory lock of two numbers takes it: two billion sheets later one may wait for another's."""
    return id_ & 0x7FFFFFFF
