"""Questions about decisions: what a viewer decided about which video and when. The newest about a video rules.

Who may be read and learned from is viewers.py's, the import of many at once importing.py's. A viewer who withdrew has
decided nothing, from the moment of their request.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ARRAY, Select, Text, all_, cast, func, literal, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from pipelines import clock
from pipelines.errors import BadInput
from pipelines.governance.people import pseudonym
from pipelines.storage import viewers
from pipelines.storage.consents import trainable_jobs
from pipelines.storage.recommending_tables import DECISIONS, WANTED, Decision, Video, Viewer
from pipelines.storage.tables import Job

if TYPE_CHECKING:
    from pandas import DataFrame

SKEW = timedelta(minutes=5)  # how far another machine's clock may be ahead of ours
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)  # what came before is a missing time, or a number misread as seconds
_AT_ONCE = 20_000  # rows of a server-side cursor


@dataclass(frozen=True, slots=True)
class History:
    """What one viewer decided, one row a video, oldest first."""

    video_ids: NDArray[np.str_]  # [n] str(uuid)
    external_ids: NDArray[np.str_]  # [n] as the studio calls them
    times: NDArray[np.int64]  # [n] seconds since the epoch
    ratings: NDArray[np.float32]  # [n] NaN where none was given
    decisions: NDArray[np.str_]  # [n] like, watch, skip or dislike

    def __len__(self) -> int:
        return len(self.video_ids)

    @property
    def wanted(self) -> NDArray[np.bool_]:
        return np.isin(self.decisions, WANTED)


def record(
    session: Session,
    user_id: UUID,
    video_id: UUID,
    decision: str,
    rating: float | None = None,
    at: datetime | None = None,
    job_id: int | None = None,
    *,
    person: str | None = None,
    now: datetime | None = None,
) -> None:
    """Stores one decision; told twice, it is there once. Makes the viewer when they are new, under ``person`` (a
    pseudonym; left out, that of the id itself), without any consent.

    BadInput for a word that is no decision, a rating that is no number, a moment to come, an unknown video, and a
    viewer whose withdrawal is not carried out yet.
    """
    now = now or clock.now()
    at = at or now
    if decision not in DECISIONS:
        raise BadInput(repr(decision), "is no decision", f"choose from {', '.join(DECISIONS)}")
    if rating is not None and not (math.isfinite(rating) and abs(rating) < 1e30):
        raise BadInput(f"rating {rating}", "is no number", "give a finite number, or none")
    if at.tzinfo is None:
        raise BadInput(f"{at}", "names no time zone", "give the moment in UTC")
    if at > now + SKEW or at < EARLIEST:
        reason = "is still to come" if at > now else f"is before {EARLIEST.year}"
        raise BadInput(f"{at:%Y-%m-%d %H:%M} UTC", reason, "give the moment of the decision")
    if session.execute(select(Video.id).where(Video.id == video_id)).first() is None:
        raise BadInput(f"video {video_id}", "is not known", "import its catalogue first")
    viewer = viewers.ensure(session, user_id, person or pseudonym(str(user_id)))
    if viewer.withdrawn_at is not None:
        remedy = "nothing of theirs is kept until the withdrawal is carried out, within a day"
        raise BadInput(f"viewer {user_id}", "withdrew", remedy)
    values = {"user_id": user_id, "video_id": video_id, "decision": decision, "decided_at": at}
    statement = insert(Decision).values(**values, rating=rating, job_id=job_id)
    session.execute(
        statement.on_conflict_do_update(
            constraint="uq_user_video_decisions_event",
            set_={"rating": func.coalesce(statement.excluded.rating, Decision.rating)},
        )
    )


def history(session: Session, user_id: UUID | str, limit: int = 500) -> History:
    """The viewer's newest ``limit`` videos with the newest decision about each, oldest first; empty for somebody
    unknown or withdrawn."""
    rows = select(_newest().where(Decision.user_id == UUID(str(user_id))).subquery())
    newest = rows.order_by(rows.selected_columns.exact.desc(), rows.selected_columns.id.desc()).limit(limit)
    return _history(session.execute(newest).all()[::-1])


def histories(
    session: Session, user_ids: Collection[str | UUID] | None = None, limit: int = 500
) -> Iterator[tuple[str, History]]:
    """Every viewer's (or these viewers') history as ``history`` gives it, in the order of their ids, through a cursor
    on the server: the transaction must live as long as the iterator."""
    newest = _newest()
    if user_ids is not None:
        newest = newest.where(viewers.among(Decision.user_id, user_ids))
    inner = newest.subquery()
    rank = func.row_number().over(partition_by=inner.c.user_id, order_by=(inner.c.exact.desc(), inner.c.id.desc()))
    ranked = select(inner, rank.label("rank")).subquery()
    query = select(ranked).where(ranked.c.rank <= limit).order_by(ranked.c.user_id, ranked.c.exact, ranked.c.id)
    rows = session.execute(query, execution_options={"yield_per": _AT_ONCE})
    for user_id, events in groupby(rows, key=lambda row: row.user_id):
        yield user_id, _history(list(events))


def seen(session: Session, user_id: UUID | str) -> set[str]:
    """Ids of all videos about which this viewer decided anything; nothing once they withdrew."""
    query = select(cast(Decision.video_id, Text)).join(Viewer, Viewer.user_id == Decision.user_id)
    query = query.where(Decision.user_id == UUID(str(user_id)), Viewer.withdrawn_at.is_(None))
    return set(session.execute(query.distinct()).scalars())


def events(session: Session, *, trainable_only: bool = True) -> DataFrame:
    """The newest decision per viewer and video, by viewer, then time: columns ``user_id`` and ``item_id`` (str(uuid)),
    ``timestamp`` (int64 s), ``rating`` (float32, NaN where none), ``wanted`` (bool), ``decision``.

    Only what may be learned from (see viewers.learnable, and viewers.refusing), unless ``trainable_only`` is False: for
    figures that no model learns from. The newest rules even where only an older one may be learned from.
    """
    import pandas as pd

    inner = _newest(viewers.learnable().label("learnable")).subquery()
    query = select(inner.c.user_id, inner.c.video_id, inner.c.at, inner.c.rating, inner.c.decision)
    if trainable_only:
        query = query.where(inner.c.learnable)
    rows = session.execute(
        query.order_by(inner.c.user_id, inner.c.exact, inner.c.id), execution_options={"yield_per": _AT_ONCE}
    )
    users, items, words = _Codes(), _Codes(), _Codes()
    kinds = (np.int32, np.int32, np.int64, np.float32, np.int8)
    blocks = [tuple(np.zeros(0, kind) for kind in kinds)]
    for block in rows.partitions():  # a tuple a row, of a block only: of all they would take 300 bytes each
        given = list(zip(*block, strict=True))
        coded = (users.of(given[0]), items.of(given[1]), given[2], given[3], words.of(given[4]))
        blocks.append(tuple(np.array(column, kind) for column, kind in zip(coded, kinds, strict=True)))
    user, item, at, rating, decision = (np.concatenate(column) for column in zip(*blocks, strict=True))
    del blocks
    refusing = viewers.refusing(session, users.names) if trainable_only else set()
    if refusing:
        kept = np.array([name not in refusing for name in users.names], np.bool_)[user]
        user, item, at, rating, decision = (column[kept] for column in (user, item, at, rating, decision))
    wanted = np.array([word in WANTED for word in words.names], np.bool_)
    return pd.DataFrame(
        {
            "user_id": pd.Series(users.texts[user], dtype=object),
            "item_id": pd.Series(items.texts[item], dtype=object),
            "timestamp": at,
            "rating": rating,
            "wanted": wanted[decision],
            "decision": pd.Series(words.texts[decision], dtype=object),
        }
    )


def weights(session: Session, days: float, until: datetime | None = None) -> dict[str, tuple[int, float]]:
    """Of each video that anybody wanted who is learned from: how many viewers did, and that sum with each counted
    exp(-age / ``days``), the age being that of the decision when the newest of all was made. With ``until`` as it was
    then: without what was told later."""
    newest_of_each = _newest(viewers.learnable().label("learnable"))
    if until is not None:
        newest_of_each = newest_of_each.where(Decision.created_at <= until)
    told = newest_of_each.subquery()
    learned = select(told).where(told.c.learnable)
    if refusing := viewers.refusing(session):
        learned = learned.where(told.c.user_id != all_(literal(sorted(refusing), ARRAY(Text()))))
    inner = learned.cte("learned")
    newest = select(func.max(inner.c.at)).scalar_subquery()
    age = func.least((newest - inner.c.at) / (days * 86_400.0), 600.0)  # exp(-600) is 0 all the same, and no error
    query = select(inner.c.video_id, func.count(), func.sum(func.exp(-age)))
    rows = session.execute(query.where(inner.c.decision.in_(WANTED)).group_by(inner.c.video_id))
    return {video_id: (n, float(recent)) for video_id, n, recent in rows}


def count(session: Session, *, trainable_only: bool = False) -> int:
    """Decisions of viewers who have not withdrawn, the replaced ones too."""
    query = select(func.count()).select_from(Decision).join(Viewer, Viewer.user_id == Decision.user_id)
    allowed = viewers.learnable() if trainable_only else Viewer.withdrawn_at.is_(None)
    n: int = session.execute(query.where(allowed)).scalar_one()
    return n


def givers(session: Session) -> list[str]:
    """Pseudonyms, sorted, of the owners of jobs whose decisions are learned from on their word: a snapshot's ``users``,
    beside the viewers themselves, since it goes when an owner takes training back."""
    query = select(Job.owner).join(Decision, Decision.job_id == Job.id).where(Job.owner.is_not(None))
    owners = session.execute(query.where(Job.id.in_(trainable_jobs())).distinct()).scalars()
    return sorted({pseudonym(owner) for owner in owners if owner})


def of_job(session: Session, name: str) -> tuple[int, int]:
    """(decisions, viewers) that came with the jobs of this name."""
    columns = (func.count(), func.count(Decision.user_id.distinct()))
    query = select(*columns).select_from(Decision).join(Job, Job.id == Decision.job_id).where(Job.name == name)
    n, people = session.execute(query).one()
    return n, people


class _Codes:
    """Numbers for texts, in the order in which they came: each text is in memory once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, texts: Iterable[str]) -> list[int]:
        return [self._known.setdefault(text, len(self._known)) for text in texts]

    @property
    def names(self) -> list[str]:
        return list(self._known)

    @property
    def texts(self) -> NDArray[np.object_]:
        return np.array([*self._known], dtype=object)


def _newest(*more: Any) -> Select[Any]:
    """One row a viewer and video: the newest decision of viewers who have not withdrawn."""
    columns = (
        Decision.id,
        cast(Decision.user_id, Text).label("user_id"),
        cast(Decision.video_id, Text).label("video_id"),
        Video.external_id,
        Decision.decided_at.label("exact"),  # what came first within a second, too
        cast(func.floor(func.extract("epoch", Decision.decided_at)), Decision.id.type).label("at"),
        Decision.rating,
        Decision.decision,
    )
    query = select(*columns, *more).select_from(Decision).join(Viewer, Viewer.user_id == Decision.user_id)
    query = query.join(Video, Video.id == Decision.video_id).where(Viewer.withdrawn_at.is_(None))
    order = (Decision.user_id, Decision.video_id, Decision.decided_at.desc(), Decision.id.desc())
    return query.ext(distinct_on(Decision.user_id, Decision.video_id)).order_by(*order)


def _history(rows: Sequence[Any]) -> History:
    ratings = [math.nan if row.rating is None else row.rating for row in rows]
    return History(
        np.array([row.video_id for row in rows], dtype=np.str_),
        np.array([row.external_id for row in rows], dtype=np.str_),
        np.array([row.at for row in rows], dtype=np.int64),
        np.array(ratings, dtype=np.float32),
        np.array([row.decision for row in rows], dtype=np.str_),
    )
