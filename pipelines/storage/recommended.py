"""Questions about the lists that the last batch made: everybody's, replaced as a whole, and whether they hold.

How a list is made is recommending/serving.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, cast, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from pipelines.storage import embeddings
from pipelines.storage.recommending_tables import Decision, Recommendation, Video, Viewer

_AT_ONCE = 5_000  # rows of an insert


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a list."""

    user_id: UUID
    rank: int  # from 1
    video_id: UUID
    score: float
    reason: str
    model_version: str  # or the path that made it, where no version did


def replace(session: Session, places: Iterable[Place], now: datetime) -> int:
    """These lists in place of all others, for readers from one moment to the next. How many places there are; those of
    viewers who withdrew or went meanwhile, and of videos that are gone, are left out."""
    embeddings.lock_viewers(session, shared=True)  # a withdrawal is before this or after it, and deletes then
    session.execute(delete(Recommendation))
    n = 0
    for block in _blocks(places):
        living = set(
            session.execute(
                select(Viewer.user_id).where(
                    Viewer.user_id.in_({place.user_id for place in block}), Viewer.withdrawn_at.is_(None)
                )
            ).scalars()
        )
        known = set(session.execute(select(Video.id).where(Video.id.in_({p.video_id for p in block}))).scalars())
        rows = [
            {
                "user_id": place.user_id,
                "rank": place.rank,
                "video_id": place.video_id,
                "score": place.score,
                "reason": place.reason,
                "model_version": place.model_version,
                "made_at": now,
            }
            for place in block
            if place.user_id in living and place.video_id in known
        ]
        if rows:
            session.execute(insert(Recommendation), rows)
        n += len(rows)
    return n


def of_viewer(session: Session, user_id: UUID) -> Sequence[Recommendation]:
    """The viewer's list, the first first."""
    query = select(Recommendation).where(Recommendation.user_id == user_id).order_by(Recommendation.rank)
    return session.execute(query).scalars().all()


def counts(session: Session) -> tuple[int, int, int]:
    """(viewers with a list, places, videos that are in some list)."""
    columns = (Recommendation.user_id.distinct(), Recommendation.rank, Recommendation.video_id.distinct())
    row = session.execute(select(*(func.count(column) for column in columns))).one()
    return row[0], row[1], row[2]


def seen_again(session: Session) -> int:
    """Places whose video the viewer had decided on when the list was made."""
    known = (
        select(func.count())
        .select_from(Recommendation)
        .join(Decision, (Decision.user_id == Recommendation.user_id) & (Decision.video_id == Recommendation.video_id))
    )
    n: int = session.execute(known.where(Decision.created_at < Recommendation.made_at)).scalar_one()
    return n


def named_twice(session: Session) -> int:
    """Videos that stand more than once in a list."""
    pairs = select(literal(1)).select_from(Recommendation).group_by(Recommendation.user_id, Recommendation.video_id)
    n: int = session.execute(select(func.count()).select_from(pairs.having(func.count() > 1).subquery())).scalar_one()
    return n


def short(session: Session, length: int) -> list[str]:
    """Ids of viewers who had decided something when the lists were made, and have fewer than ``length`` places (or
    none) though there are available videos that they have not decided on."""
    there = select(func.count()).where(Video.available).scalar_subquery()
    decided = (
        select(func.count(Decision.video_id.distinct()))
        .join(Video, Video.id == Decision.video_id)
        .where(Decision.user_id == Viewer.user_id, Video.available)
        .correlate(Viewer)
        .scalar_subquery()
    )
    listed = select(func.count()).where(Recommendation.user_id == Viewer.user_id).correlate(Viewer).scalar_subquery()
    lists_began = select(func.min(Recommendation.made_at)).scalar_subquery()
    known = select(Decision.id).where(Decision.user_id == Viewer.user_id, Decision.created_at < lists_began).exists()
    query = select(cast(Viewer.user_id, Text)).where(Viewer.withdrawn_at.is_(None), known)
    return list(session.execute(query.where(listed < func.least(length, there - decided))).scalars())


def _blocks(places: Iterable[Place]) -> Iterator[list[Place]]:
    block: list[Place] = []
    for place in places:
        block.append(place)
        if len(block) == _AT_ONCE:
            yield block
            block = []
    if block:
        yield block
