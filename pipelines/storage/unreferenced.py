"""Questions about objects that nothing refers to: since when, and which have been so long enough."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.claims import among
from pipelines.storage.upkeep_tables import UnreferencedObject

_AT_ONCE = 5000


def note(session: Session, found: Mapping[str, tuple[int, str]], now: datetime) -> None:
    """``found``: key -> size and reason of all that a look found. Who was found before keeps its moment; who is no more
    among them is referred to again, or gone."""
    known = set(session.execute(select(UnreferencedObject.key)).scalars())
    forget(session, known - found.keys())
    for piece in _pieces(sorted(found.keys() - known)):
        values = [{"key": key, "size": found[key][0], "reason": found[key][1], "seen_at": now} for key in piece]
        session.execute(insert(UnreferencedObject).on_conflict_do_nothing(), values)


def ripe(session: Session, before: datetime) -> list[str]:
    """Keys of those that have been so since before that moment, oldest first."""
    query = select(UnreferencedObject.key).where(UnreferencedObject.seen_at <= before)
    return list(session.execute(query.order_by(UnreferencedObject.seen_at, UnreferencedObject.key)).scalars())


def forget(session: Session, keys: Collection[str]) -> None:
    for piece in _pieces(sorted(keys)):
        session.execute(delete(UnreferencedObject).where(among(UnreferencedObject.key, piece)))


def waiting(session: Session) -> tuple[int, int, datetime | None]:
    """How many there are, their bytes, and since when the oldest is so."""
    row = func.count(), func.coalesce(func.sum(UnreferencedObject.size), 0), func.min(UnreferencedObject.seen_at)
    n, size, oldest = session.execute(select(*row)).one()
    return int(n), int(size), oldest


def _pieces(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]
