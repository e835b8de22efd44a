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

from pipelines.storage.claims import among, of_jobs
from pipelines.storage.composing_tables import Arrangement
from pipelines.storage.consents import trainable_jobs
from pipelines.storage.tables import Upload, VaultItem


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
    its number; what is another, and was not chosen, goes."""
    lock = text(
        "select pg_advisory_xact_lock(hashtextextended(:wish, 5))"
    )  # two who record one wish: one after the other
    session.execute(lock, {"wish": f"{melody.owner}\n{melody.content_hash}\n{melody.wish}"})
    mine = (
        Arrangement.owner == melody.owner,
        Arrangement.content_hash == melody.content_hash,
        Arrangement.wish == melody.wish,
    )
    before = {row.object_key: row for row in session.execute(select(Arrangement).where(*mine)).scalars()}
    wanted = {new.object_key for new in candidates}
    gone = {key for key, row in before.items() if key not in wanted and row.chosen_at is None}
    for key in gone:
        session.delete(before.pop(key))
    session.flush()
    taken = {row.candidate for row in before.values()}
    ids = []
    for new in candidates:
        row = before.get(new.object_key)
        if row is None:
            number = new.candidate
            while number in taken:
                number += 1
            row = Arrangement(
                job_id=melody.job_id,
                upload_id=melody.upload_id,
                owner=melody.owner,
                name=melody.name,
                content_hash=melody.content_hash,
                wish=melody.wish,
                style=melody.style,
                candidate=number,
                seed=new.seed,
                measures=dict(new.measures),
                rating=new.rating,
                made_by=new.made_by,
                object_key=new.object_key,
            )
            session.add(row)
            session.flush()
            taken.add(number)
            before[new.object_key] = row
        elif row.job_id is None and melody.job_id is not None:  # made at the command line first: it stays with the job
            row.job_id, row.upload_id = melody.job_id, melody.upload_id
        ids.append(row.id)
    return ids, {key for key in gone if key is not None}


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
    for other in session.execute(select(Arrangement).where(*_same_wish(row))).scalars():
        if other.id == row.id:
            other.chosen_at = other.chosen_at or now
        else:
            other.chosen_at = None
    session.flush()


def of_wish(session: Session, row: Arrangement) -> Sequence[Arrangement]:
    """All candidates beside this one, itself included, the best first."""
    query = select(Arrangement).where(*_same_wish(row)).order_by(Arrangement.candidate)
    return session.execute(query).scalars().all()


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
        same.owner == Arrangement.owner,
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


def _same_wish(row: Arrangement) -> tuple[ColumnElement[bool], ...]:
    return (
        Arrangement.owner == row.owner,
        Arrangement.content_hash == row.content_hash,
        Arrangement.wish == row.wish,
    )
