"""Questions about arrangements: which candidates were made for a melody, and which of them a person took.

The notes lie in the object store; what is learned from choices is composing/taste.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, text
from sqlalchemy.orm import Session, aliased

from pipelines.governance.people import pseudonym
from pipelines.storage.claims import among, of_jobs
from pipelines.storage.composing_tables import Arrangement
from pipelines.storage.consents import trainable_jobs
from pipelines.storage.tables import Job, Upload, VaultItem

FORMER = 0  # number of what was chosen once and is no longer among the candidates


@dataclass(frozen=True, slots=True)
class NewArrangement:
    """One candidate, as ``record`` writes it down; ``candidate``: 1 is the best."""

    candidate: int
    seed: int
    measures: Mapping[str, float]
    rating: float
    made_by: str
    object_key: str


@dataclass(frozen=True, slots=True)
class Melody:
    """What the candidates are of, and for whom. ``job_id``, ``upload_id``: null at the command line."""

    owner: str
    name: str
    content_hash: str
    style: str
    wish: str
    job_id: int | None = None
    upload_id: int | None = None


def record(session: Session, melody: Melody, candidates: Sequence[NewArrangement]) -> tuple[list[int], set[str]]:
    """Ids of the candidates' rows in the order given, made where there is none, and keys of the objects that rows
    replaced by this no longer name. What was recorded of this wish before and is the same object stays one row, with
    the number and the rating that it has now; what is another goes or, when it was chosen, stays as FORMER.

    A job's rows are its own, whatever was made of the same melody for another; so are those of the command line."""
    # Two who record one wish: one after the other.
    lock = text("select pg_advisory_xact_lock(hashtextextended(:wish, 5))")
    session.execute(lock, {"wish": f"{pseudonym(melody.owner)}\n{melody.content_hash}\n{melody.wish}"})
    rows = session.execute(select(Arrangement).where(*_same_wish(session, melody))).scalars().all()
    before = {row.object_key: row for row in rows}
    wanted = {new.object_key: new for new in reversed(candidates)}
    gone = {key for key, row in before.items() if key not in wanted and row.chosen_at is None}
    for key in gone:
        session.delete(before.pop(key))
    session.flush()
    _number(session, {row: wanted[key].candidate if key in wanted else FORMER for key, row in before.items()})
    ids = []
    for new in candidates:
        row = before.get(new.object_key)
        if row is None:
            row = before[new.object_key] = Arrangement(
                job_id=melody.job_id,
                upload_id=melody.upload_id,
                owner=rows[0].owner if rows else melody.owner,  # one spelling a wish
                name=melody.name,
                content_hash=melody.content_hash,
                wish=melody.wish,
                style=melody.style,
                candidate=new.candidate,
                object_key=new.object_key,
            )
            session.add(row)
        row.seed, row.measures, row.rating, row.made_by = new.seed, dict(new.measures), new.rating, new.made_by
        session.flush()
        ids.append(row.id)
    return ids, {key for key in gone if key is not None}


def _number(session: Session, numbers: Mapping[Arrangement, int]) -> None:
    """Gives rows of one wish their candidates' numbers, none of which two may have even for a moment."""
    moved = {row: number for row, number in numbers.items() if row.candidate != number}
    for row in moved:
        row.candidate = -row.id
    session.flush()
    for row, number in moved.items():
        row.candidate = number
    session.flush()


def get(session: Session, arrangement_id: int, owners: Collection[str]) -> Arrangement | None:
    """The arrangement, locked, if it is one of these owners'."""
    query = select(Arrangement).where(Arrangement.id == arrangement_id, among(Arrangement.owner, owners))
    return session.execute(query.with_for_update()).scalar_one_or_none()


def of_object(session: Session, content_hash: str, owners: Collection[str]) -> Arrangement | None:
    """The newest arrangement of these owners whose file has these bytes, locked."""
    key = f"media/{content_hash[:2]}/{content_hash}.mid"
    query = select(Arrangement).where(Arrangement.object_key == key, among(Arrangement.owner, owners))
    return session.execute(query.order_by(Arrangement.id.desc()).limit(1).with_for_update()).scalar_one_or_none()


def choose(session: Session, row: Arrangement, now: datetime) -> None:
    """This candidate of its wish and no other is the one that was taken. Again: the moment stays."""
    for other in of_wish(session, row):
        if other.id == row.id:
            other.chosen_at = other.chosen_at or now
        else:
            other.chosen_at = None
    session.flush()


def of_wish(session: Session, row: Arrangement) -> Sequence[Arrangement]:
    """All candidates beside this one, itself included, the best first and FORMER ones last."""
    former = Arrangement.candidate == FORMER
    query = select(Arrangement).where(*_same_wish(session, row)).order_by(former, Arrangement.candidate)
    return session.execute(query).scalars().all()


def find(session: Session, arrangement_id: int) -> tuple[str | None, Arrangement] | None:
    """The arrangement with the name of its job, whoever owns it."""
    query = select(Job.name, Arrangement).outerjoin(Job, Job.id == Arrangement.job_id)
    row = session.execute(query.where(Arrangement.id == arrangement_id)).first()
    return None if row is None else (row[0], row[1])


def listed(
    session: Session, owners: Collection[str] | None, *, before: int | None = None, limit: int, job: str | None = None
) -> list[tuple[str | None, Arrangement]]:
    """The newest first, each with the name of its job; of these owners (None: of everybody). ``before``: below this id;
    ``job``: of this name."""
    query = select(Job.name, Arrangement).outerjoin(Job, Job.id == Arrangement.job_id)
    if owners is not None:
        query = query.where(among(Arrangement.owner, owners))
    if job is not None:
        query = query.where(Job.name == job)
    if before is not None:
        query = query.where(Arrangement.id < before)
    return [(name, row) for name, row in session.execute(query.order_by(Arrangement.id.desc()).limit(limit))]


def spellings(session: Session, person: str) -> list[str]:
    """All ways in which this pseudonym's name stands over arrangements."""
    names = session.execute(select(Arrangement.owner).distinct()).scalars()
    return sorted(name for name in names if name.strip() and pseudonym(name) == person)


def of_job(session: Session, job_id: int) -> Sequence[Arrangement]:
    """By melody, wish and rank."""
    query = select(Arrangement).where(Arrangement.job_id == job_id)
    return session.execute(query.order_by(Arrangement.name, Arrangement.wish, Arrangement.candidate)).scalars().all()


def decided(
    session: Session, owners: Collection[str], style: str, since: datetime | None, limit: int
) -> list[list[Arrangement]]:
    """Wishes of these owners of which a candidate was chosen, with all their candidates, the newest choice first: those
    that may be learned from. ``since``: nothing that was recorded before (training was taken back then)."""
    allowed = or_(Arrangement.job_id.is_(None), Arrangement.job_id.in_(trainable_jobs()))
    query = select(Arrangement).where(among(Arrangement.owner, owners), Arrangement.style == style, allowed)
    query = query.where(Arrangement.chosen_at.is_not(None)).order_by(
        Arrangement.chosen_at.desc(), Arrangement.id.desc()
    )
    if since is not None:
        query = query.where(Arrangement.created_at > since)
    return [list(of_wish(session, row)) for row in session.execute(query.limit(limit)).scalars().all()]


def owned(table: Any, owners: Collection[str], until: datetime) -> ColumnElement[bool]:
    """Rows of a table of composing that stand under these names and were there at ``until``."""
    return and_(among(table.owner, owners), table.created_at <= until)


def of_person(session: Session, owners: Collection[str], jobs: Collection[int], until: datetime) -> list[Arrangement]:
    """All of these jobs, and of these names at the command line."""
    mine = or_(of_jobs(Arrangement.job_id, jobs), owned(Arrangement, owners, until))
    return list(session.execute(select(Arrangement).where(mine).order_by(Arrangement.id)).scalars())


def expire(session: Session, before: datetime) -> tuple[list[int], set[str]]:
    """Deletes the candidates, recorded before that moment, of wishes of the command line of which none was chosen:
    their ids, and the keys of their objects. Of the others all rows stay: a choice is known by what it was among."""
    same = aliased(Arrangement)
    chosen = exists().where(
        same.owner == Arrangement.owner,  # of one wish all rows have one spelling
        same.job_id.is_(None),
        same.content_hash == Arrangement.content_hash,
        same.wish == Arrangement.wish,
        same.chosen_at.is_not(None),
    )
    old = and_(Arrangement.job_id.is_(None), Arrangement.created_at < before, ~chosen)
    gone = session.execute(delete(Arrangement).where(old).returning(Arrangement.id, Arrangement.object_key)).all()
    return sorted(row[0] for row in gone), {row[1] for row in gone if row[1]}


def unneeded(session: Session, keys: Collection[str]) -> set[str]:
    """Those of these objects that no arrangement, no upload and no item of the vault names."""
    columns = ((Arrangement.object_key, None), (Upload.object_key, None), (VaultItem.object_key, VaultItem.deleted_at))
    named: set[str] = set()
    for column, deleted in columns:
        query = select(column).where(among(column, keys))
        named |= {
            key
            for key in session.execute(query if deleted is None else query.where(deleted.is_(None))).scalars()
            if key
        }
    return {*keys} - named


def count(session: Session, owners: Collection[str]) -> int:
    query = select(func.count()).select_from(Arrangement).where(among(Arrangement.owner, owners))
    return session.execute(query).scalar_one()


def _same_wish(session: Session, of: Melody | Arrangement) -> tuple[ColumnElement[bool], ...]:
    """Rows of this wish and job, in whichever spelling the owner's name stands there."""
    same = (
        Arrangement.content_hash == of.content_hash,
        Arrangement.wish == of.wish,
        Arrangement.job_id.is_not_distinct_from(of.job_id),
    )
    names = session.execute(select(Arrangement.owner).where(*same).distinct()).scalars().all()
    person = pseudonym(of.owner)
    return *same, among(Arrangement.owner, [name for name in names if pseudonym(name) == person])
