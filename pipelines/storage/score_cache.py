"""The cache of answers as rows: what is fresh, what goes. New answers come with their rows: score_rows.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection, Select, delete, func, select, text
from sqlalchemy.orm import Session

from pipelines.scoring.scored import Answer
from pipelines.storage.scoring_tables import ScoreCacheEntry


def fresh(connection: Connection, keys: Sequence[bytes], age: timedelta) -> dict[bytes, Answer]:
    """Of these keys, those with an answer not older than ``age``."""
    # The driver's own statement: SQLAlchemy's way through a list of 500 keys costs as much as the database's.
    found = connection.exec_driver_sql(
        "select key, scores, confidence, reason from score_cache"
        " where key = any(%(keys)s::bytea[]) and created_at > now() - %(age)s",
        {"keys": list(keys), "age": age},
    )
    return {bytes(key): Answer(tuple(scores), confidence, reason) for key, scores, confidence, reason in found}


def used(session: Session, hits: Mapping[bytes, int]) -> None:
    """These were given again, so many times each."""
    # Locked in the order of keys, as they are written: nobody waits in a circle.
    session.connection().exec_driver_sql(
        "with hit as (select * from unnest(%(keys)s::bytea[], %(counts)s::int8[]) as t (key, n)),"
        " mine as (select c.key, hit.n from score_cache c join hit using (key) order by c.key for update of c)"
        " update score_cache c set hits = c.hits + mine.n, used_at = now() from mine where c.key = mine.key",
        {"keys": list(hits), "counts": list(hits.values())},
    )


def drop_stale(session: Session, age: timedelta) -> int:
    """Deletes what is older than ``age``; how many."""
    old = select(ScoreCacheEntry.key).where(ScoreCacheEntry.created_at <= func.now() - age)
    return _drop(session, old.order_by(ScoreCacheEntry.key).with_for_update(skip_locked=True))


def drop_beyond(session: Session, most: int) -> int:
    """Deletes what was not used for longest, until ``most`` are left; how many."""
    if session.execute(select(func.count()).select_from(ScoreCacheEntry)).scalar_one() <= most:
        return 0
    kept = select(ScoreCacheEntry.key).order_by(ScoreCacheEntry.used_at.desc(), ScoreCacheEntry.key).offset(most)
    doomed = select(ScoreCacheEntry.key).where(ScoreCacheEntry.key.in_(kept))
    return _drop(session, doomed.order_by(ScoreCacheEntry.key).with_for_update(skip_locked=True))


def count(session: Session) -> tuple[int, int]:
    """Entries, and how often one of them was given again."""
    query = select(func.count(), func.coalesce(func.sum(ScoreCacheEntry.hits), 0)).select_from(ScoreCacheEntry)
    entries, hits = session.execute(query).one()
    return entries, int(hits)


def _drop(session: Session, doomed: Select[bytes]) -> int:
    gone = delete(ScoreCacheEntry).where(ScoreCacheEntry.key.in_(doomed.scalar_subquery()))
    return len(session.execute(gone.returning(text("1"))).all())
