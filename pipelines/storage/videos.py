"""Questions about videos: the catalogue with its genres, performers and tags, as frames for models and rows for lists.

Many at once come in by importing.py; who decided what about them is decisions.py's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from sqlalchemy import ColumnElement, Select, Text, cast, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from pipelines.governance.people import pseudonym
from pipelines.recommending.people import video_id
from pipelines.storage.consents import trainable_jobs
from pipelines.storage.recommending_tables import Performer, Tag, Video, VideoPerformer, VideoTag
from pipelines.storage.tables import Job
from pipelines.storage.viewers import among

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    *("item_id", "external_id", "title", "genres", "year", "category", "duration_s"),
    *("performers", "tags", "description", "available"),
)


@dataclass(frozen=True, slots=True)
class Card:
    """What a list shows of a video."""

    video_id: str
    external_id: str
    title: str | None
    genres: tuple[str, ...]
    year: int | None
    available: bool


def frame(session: Session, ids: Collection[str | UUID] | None = None, *, learnable: bool = False) -> DataFrame:
    """All videos (or these), one row each, in the order of their ids: ``item_id`` (str(uuid)), ``external_id``,
    ``title`` (str or None), ``genres`` (list), ``year`` (float, NaN where unknown), ``category``, ``duration_s``
    (float), ``performers`` (list), ``tags`` (list, the most given first), ``description``, ``available`` (bool).

    With ``learnable`` nothing is told of a video but its ids and whether it is available when the owner of the job that
    describes it does not allow training; its tags neither, since whose they are is not known one by one."""
    import pandas as pd

    tags = select(VideoTag.video_id, func.array_agg(aggregate_order_by(Tag.name, VideoTag.n.desc(), Tag.name)))
    tagged = tags.join(Tag, Tag.id == VideoTag.tag_id).group_by(VideoTag.video_id).subquery("tagged")
    people = select(VideoPerformer.video_id, func.array_agg(aggregate_order_by(Performer.name, Performer.name)))
    people = people.join(Performer, Performer.id == VideoPerformer.performer_id).group_by(VideoPerformer.video_id)
    played = people.subquery("played")
    query = select(
        cast(Video.id, Text),
        Video.external_id,
        Video.title,
        Video.genres,
        Video.year,
        Video.category,
        Video.duration_s,
        played.c[1],
        tagged.c[1],
        Video.description,
        Video.available,
        _trusted(),
    )
    query = query.outerjoin(played, played.c[0] == Video.id).outerjoin(tagged, tagged.c[0] == Video.id)
    if ids is not None:
        query = query.where(among(Video.id, ids))
    rows: list[Any] = list(session.execute(query.order_by(Video.id)))
    if learnable:
        rows = [row if row[-1] else (*row[:2], *[None] * (len(COLUMNS) - 3), row[-2]) for row in rows]
    columns: dict[str, Any] = {name: _objects([row[i] for row in rows]) for i, name in enumerate(COLUMNS)}
    for name in ("year", "duration_s"):
        columns[name] = np.array([np.nan if v is None else v for v in columns[name]], dtype=np.float64)
    for name in ("genres", "performers", "tags"):
        columns[name] = _objects([list(value or ()) for value in columns[name]])
    columns["available"] = columns["available"].astype(bool)
    # As objects: pandas would else make its own strings of them, with NaN in place of None.
    return pd.DataFrame({n: pd.Series(v, dtype=v.dtype) for n, v in columns.items()}, columns=list(COLUMNS))


def find(session: Session, what: str) -> Card | None:
    """The video that the studio calls so, or of this id."""
    query = _card().where(or_(Video.external_id == what.strip(), Video.id == video_id(what)))
    return next(iter(_cards(session, query.order_by(Video.external_id != what.strip()).limit(1))), None)


def ids(session: Session, *, available: bool | None = None, until: datetime | None = None) -> list[str]:
    """Of all videos, in order; with ``until`` without those that changed later."""
    query = select(cast(Video.id, Text)).order_by(Video.id)
    if available is not None:
        query = query.where(Video.available.is_(available))
    if until is not None:
        query = query.where(Video.updated_at <= until)
    return list(session.execute(query).scalars())


def count(session: Session) -> int:
    n: int = session.execute(select(func.count()).select_from(Video)).scalar_one()
    return n


def givers(session: Session) -> list[str]:
    """Pseudonyms, sorted, of the owners of jobs whose words about videos are learned from (see ``frame``): a snapshot's
    ``users``, too, as decisions.givers."""
    words = [select(table.video_id).where(table.video_id == Video.id).exists() for table in (VideoTag, VideoPerformer)]
    facts = (Video.title, Video.description, Video.category, Video.year, Video.duration_s)
    said = or_(Video.genres != [], *(fact.is_not(None) for fact in facts), *words)
    query = select(Job.owner).where(Job.id.in_(select(Video.job_id).where(said)), Job.id.in_(trainable_jobs()))
    return sorted({pseudonym(owner) for owner in session.execute(query.distinct()).scalars() if owner})


def _trusted() -> ColumnElement[bool]:
    return or_(Video.job_id.is_(None), Video.job_id.in_(trainable_jobs()))


def _card() -> Select[str, str, str | None, list[str], int | None, bool]:
    return select(cast(Video.id, Text), Video.external_id, Video.title, Video.genres, Video.year, Video.available)


def _cards(session: Session, query: Select[*tuple[Any, ...]]) -> list[Card]:
    return [Card(i, e, t, tuple(g), y, a) for i, e, t, g, y, a in session.execute(query)]


def _objects(values: list[Any]) -> Any:
    """An object array of n values, lists among them, which numpy would else make two-dimensional."""
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made
