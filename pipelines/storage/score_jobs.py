"""Questions about sheets to be scored, and who works on one. What became of a sheet is what became of its chunks:
scoring/chunks.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from pipelines.errors import BadInput
from pipelines.storage.claims import among, claimed, of_jobs
from pipelines.storage.scoring_tables import ScoreCacheEntry, ScoreChunk, ScoreJob, ScoreRow
from pipelines.storage.tables import BatchRow, Job

SHEET_LOCK, CHUNK_LOCK = 528_311_501, 528_311_502  # classes of advisory locks, each with a row's id
WISH_LOCK = 528_311_503  # the same, with a fingerprint's

ASKED = "asked"  # in ``written`` of a sheet that could not be written: how often a person asked for it again


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
    """Id of the row. Whether there is one already, ``newest`` and ``of_job`` say."""
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


def newest(session: Session, fingerprint: str) -> ScoreJob | None:
    """The one of this wish at the command line, finished or not, in which most rows are done; of equals the last."""
    done = select(func.coalesce(func.sum(ScoreChunk.rows_done), 0)).where(ScoreChunk.score_job_id == ScoreJob.id)
    query = select(ScoreJob).where(ScoreJob.fingerprint == fingerprint, ScoreJob.job_id.is_(None))
    return session.execute(query.order_by(done.scalar_subquery().desc(), ScoreJob.id.desc()).limit(1)).scalar()


def of_job(session: Session, job_id: int) -> Sequence[ScoreJob]:
    """Of an inbox job, in the order in which they came."""
    return session.execute(select(ScoreJob).where(ScoreJob.job_id == job_id).order_by(ScoreJob.id)).scalars().all()


def listed(
    session: Session, owners: Collection[str] | None, *, before: int | None = None, limit: int, job: str | None = None
) -> list[int]:
    """Ids, the newest first, of these owners' inbox jobs (None: all there are); ``before``: below this id; ``job``: of
    inbox jobs of this name."""
    query = select(ScoreJob.id)
    if owners is not None or job is not None:
        query = query.join(Job, Job.id == ScoreJob.job_id)
    if owners is not None:
        query = query.where(among(Job.owner, owners))
    if job is not None:
        query = query.where(Job.name == job)
    if before is not None:
        query = query.where(ScoreJob.id < before)
    return list(session.execute(query.order_by(ScoreJob.id.desc()).limit(limit)).scalars())


def owner_of(session: Session, row: ScoreJob) -> str | None:
    """Of the inbox job that it came with; None at the command line."""
    return None if row.job_id is None else session.execute(select(Job.owner).where(Job.id == row.job_id)).scalar_one()


def opened(session: Session) -> Sequence[ScoreJob]:
    """In which something is left to do, or was given up; oldest first. Not those whose owner took the consent back."""
    query = select(ScoreJob).outerjoin(Job).where(_left(), or_(ScoreJob.job_id.is_(None), Job.status == "ready"))
    return session.execute(query.order_by(ScoreJob.id)).scalars().all()


def ended(session: Session) -> list[int]:
    """Ids of those of living inbox jobs that an error ended."""
    query = select(ScoreJob.id).join(Job).where(ScoreJob.error.is_not(None), Job.status == "ready")
    return sorted(session.execute(query).scalars())


def inbox_name(session: Session, row: ScoreJob) -> str | None:
    """Of the inbox job that it came with."""
    return None if row.job_id is None else session.execute(select(Job.name).where(Job.id == row.job_id)).scalar_one()


def unwritten(session: Session) -> list[tuple[str, int, int]]:
    """Sheets of batches in which every chunk has ended and which were not written since: batch, sheet, and how often
    its chunks, and by a person its writing, were asked for; in order."""
    going_on = exists().where(ScoreChunk.score_job_id == ScoreJob.id, ~ScoreChunk.status.in_(("finished", "given_up")))
    tries = select(func.coalesce(func.sum(ScoreChunk.attempts), 0)).where(ScoreChunk.score_job_id == ScoreJob.id)
    asked = tries.scalar_subquery() + func.coalesce(ScoreJob.written[ASKED].as_integer(), 0)
    query = select(BatchRow.key, ScoreJob.id, asked).join(Job, Job.id == ScoreJob.job_id)
    query = query.join(BatchRow, BatchRow.id == Job.batch_id).where(Job.status == "ready", ScoreJob.error.is_(None))
    query = query.where(ScoreJob.finished_at.is_(None), ~going_on)
    return [(batch, sheet, asked) for batch, sheet, asked in session.execute(query.order_by(BatchRow.key, ScoreJob.id))]


def ask_to_write(session: Session, score_job_ids: Collection[int]) -> None:
    """Once more, by a person: counted until they are written."""
    for row in session.execute(select(ScoreJob).where(of_jobs(ScoreJob.id, score_job_ids)).with_for_update()).scalars():
        row.written = {**row.written, ASKED: int(row.written.get(ASKED, 0)) + 1}


def identities(session: Session, score_job_ids: Collection[int], kind: str) -> list[str]:
    """Which sheets of this kind these are."""
    query = select(ScoreJob.identity).where(of_jobs(ScoreJob.id, score_job_ids), ScoreJob.kind == kind)
    return sorted(set(session.execute(query).scalars()))


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
    wanted = {"kind": SHEET_LOCK, "id": narrow(score_job_id)}
    if not connection.execute(taken, wanted).scalar_one():
        return False
    query = text("select pg_try_advisory_lock(:kind, :id)")
    for chunk in chunk_ids:
        if not connection.execute(query, {"kind": CHUNK_LOCK, "id": narrow(chunk)}).scalar_one():
            release(connection)
            return False
    return True


def release(connection: Connection) -> None:
    """Lets go of all that this connection took, at once: a server notices a closed connection a moment later."""
    connection.execute(text("select pg_advisory_unlock_all()"))


def hold_wish(connection: Connection, fingerprint: str) -> bool:
    """Takes a wish for whoever has this connection, as long as it lives; False when another has it."""
    query = text("select pg_try_advisory_lock(:kind, hashtext(:wish))")
    return bool(connection.execute(query, {"kind": WISH_LOCK, "wish": fingerprint}).scalar_one())


def wrote(session: Session, score_job_id: int, written: Mapping[str, Any]) -> None:
    """What is done so far was ``written`` (a Written's dictionary)."""
    session.execute(update(ScoreJob).where(ScoreJob.id == score_job_id).values(written=dict(written)))


def held(session: Session) -> set[int]:
    """Ids (below 2^31) of the score jobs that somebody works on at this moment."""
    return _locked(session, SHEET_LOCK)


def held_chunks(session: Session, chunk_ids: Collection[int]) -> set[int]:
    """Of these chunks (ids of rows) those that somebody holds at this moment, alone or with the whole sheet."""
    if not chunk_ids:
        return set()
    query = select(ScoreChunk.id, ScoreChunk.score_job_id).where(of_jobs(ScoreChunk.id, chunk_ids))
    alone, whole = _locked(session, CHUNK_LOCK), _locked(session, SHEET_LOCK, "ExclusiveLock")
    rows = session.execute(query)
    return {chunk for chunk, sheet in rows if narrow(chunk) in alone or narrow(sheet) in whole}


def _locked(session: Session, kind: int, mode: str = "") -> set[int]:
    query = text(
        "select objid::bigint from pg_locks where locktype = 'advisory' and classid = :kind and objsubid = 2"
        " and granted and database = (select oid from pg_database where datname = current_database())"
        " and mode like :mode"
    )
    return set(session.execute(query, {"kind": kind, "mode": mode or "%"}).scalars())


def of_persons(session: Session, jobs: Collection[int], hashes: Collection[str]) -> list[int]:
    """Ids of those that came with these inbox jobs, and of the same sheets scored at the command line, unless somebody
    else's job holds the same. ``hashes``: of contents of these jobs."""
    mine = set(session.execute(select(ScoreJob.id).where(of_jobs(ScoreJob.job_id, jobs))).scalars())
    known = set(session.execute(select(ScoreJob.identity).where(of_jobs(ScoreJob.job_id, jobs))).scalars()) | {*hashes}
    others = select(ScoreJob.identity).where(among(ScoreJob.identity, known), ~of_jobs(ScoreJob.job_id, jobs))
    shared = set(session.execute(others).scalars()) | claimed(session, known, jobs)
    alone = select(ScoreJob.id).where(ScoreJob.job_id.is_(None), among(ScoreJob.identity, known - shared))
    return sorted(mine | set(session.execute(alone).scalars()))


def doomed(sheets: Collection[int]) -> list[tuple[Any, ColumnElement[bool]]]:
    """Tables with what goes from them with these sheets; each condition reads tables after its own. Answers that were
    given to another's sheet, too, stay: they tell nothing that is not in that."""
    theirs = select(ScoreRow.key).where(of_jobs(ScoreRow.score_job_id, sheets))
    same = aliased(ScoreRow)
    others = exists().where(same.key == ScoreCacheEntry.key, ~of_jobs(same.score_job_id, sheets))
    return [
        (ScoreCacheEntry, and_(ScoreCacheEntry.key.in_(theirs), ~others)),
        (ScoreRow, of_jobs(ScoreRow.score_job_id, sheets)),
        (ScoreChunk, of_jobs(ScoreChunk.score_job_id, sheets)),
        (ScoreJob, of_jobs(ScoreJob.id, sheets)),
    ]


def lock(session: Session, sheets: Collection[int]) -> None:
    """Nothing more is recorded of these until the end of the transaction. Then their answers in the cache, in the order
    in which they are written."""
    session.execute(select(ScoreJob.id).where(of_jobs(ScoreJob.id, sheets)).order_by(ScoreJob.id).with_for_update())
    theirs = select(ScoreRow.key).where(of_jobs(ScoreRow.score_job_id, sheets))
    entries = select(ScoreCacheEntry.key).where(ScoreCacheEntry.key.in_(theirs))
    session.execute(entries.order_by(ScoreCacheEntry.key).with_for_update())


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


def narrow(id_: int) -> int:
    """As an advisory lock of two numbers takes it: two billion sheets later one may wait for another's."""
    return id_ & 0x7FFFFFFF
