"""Questions about embeddings: a viewer's vector, the videos nearest to a vector, all vectors of a set; and forgetting.

Each names its set, so that PostgreSQL opens one partition and no answer mixes two. Which set serves a version is
embedding_sets.py's, how vectors get in embedding_loads.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from pipelines.errors import Unavailable
from pipelines.storage import embedding_rows
from pipelines.storage.embedding_rows import to_uuids
from pipelines.storage.embedding_sets import Kind
from pipelines.storage.recommending_tables import DIMENSIONS, EmbeddingSet

EF_SEARCH_LEAST = 200
EF_SEARCH_MOST = 1000  # pgvector's own limit
SPARE = 20  # more than asked for, ranked again by whole numbers
SCAN_MOST = 5_000  # entries of the index looked at before all videos are: a rare genre is found quicker so


@dataclass(frozen=True, slots=True)
class Near:
    video_id: UUID
    score: float  # dot product


def nearest(
    session: Session,
    set_id: int,
    vector: NDArray[np.float32],
    limit: int,
    *,
    exclude: Sequence[UUID] = (),
    genres: Sequence[str] = (),
    without_genres: Sequence[str] = (),
    available: bool = True,
    indexed: bool = True,
) -> list[Near]:
    """The videos of the greatest dot product with ``vector`` (float32[768]), best first: of any of ``genres``, of none
    of ``without_genres``, and (``available``) only those that can be watched.

    By the set's index where it has one, looking at all where that finds fewer than ``limit``. ``indexed`` False looks
    at all of them at once: there is no index, or exactly the nearest are wanted. Unavailable when the set was replaced
    and dropped.
    """
    asked = _Question(set_id, vector, limit, exclude, genres, without_genres, available)
    if indexed and len(found := _by_index(session, asked)) >= limit:
        return found
    return _by_looking_at_all(session, asked)


@dataclass(frozen=True, slots=True)
class _Question:
    set_id: int
    vector: NDArray[np.float32]
    limit: int
    exclude: Sequence[UUID]
    genres: Sequence[str]
    without: Sequence[str]
    available: bool

    @property
    def of_set(self) -> str:
        """On ``e``, a row of video_embeddings."""
        return f"e.set_id = {int(self.set_id)}" + (" and e.video_id <> all(:exclude)" if self.exclude else "")

    @property
    def fitting(self) -> str:
        """On ``v``, its row of videos."""
        parts = [
            "v.genres && :genres" if self.genres else "",
            "not v.genres && :without" if self.without else "",
            "v.available" if self.available else "",
        ]
        return " and ".join(part for part in parts if part) or "true"

    @property
    def given(self) -> dict[str, Any]:
        lists = {"exclude": self.exclude, "genres": self.genres, "without": self.without}
        given = {name: list(values) for name, values in lists.items() if values}
        return {"vector": written(self.vector), "limit": self.limit, "more": self.limit + SPARE, **given}


def _by_looking_at_all(session: Session, asked: _Question) -> list[Near]:
    # Fenced in by the offset, what is sorted is an id and a number, and not the vector with them.
    query = f"""
        select video_id, score from (
            select e.video_id, -(e.embedding <#> cast(:vector as vector)) as score
            from video_embeddings e join videos v on v.id = e.video_id
            where {asked.of_set} and {asked.fitting}
            offset 0
        ) as scored order by score desc, video_id limit :limit
    """  # noqa: S608 - words of this file
    _configure(session, {})
    found = [Near(*row) for row in session.execute(text(query), asked.given)]
    if len(found) < asked.limit:
        _refuse_dropped(session, asked.set_id)
    return found


def _by_index(session: Session, asked: _Question) -> list[Near]:
    # The scan itself goes on until enough videos fit; what was seen is mostly near, so it begins with room for it.
    room = 2 * (asked.limit + SPARE + len(asked.exclude))
    settings = {
        "hnsw.iterative_scan": "relaxed_order",
        "hnsw.max_scan_tuples": SCAN_MOST,
        "hnsw.ef_search": min(EF_SEARCH_MOST, max(EF_SEARCH_LEAST, room)),
        "enable_sort": "off",  # the planner thinks too well of sorting everything
    }
    _configure(session, settings)
    # A subquery for the video, not a join: nothing may come between the index's order and the limit.
    query = f"""
        with found as materialized (
            select e.video_id, -(e.embedding <#> cast(:vector as vector)) as score
            from video_embeddings e
            where {asked.of_set} and (select {asked.fitting} from videos v where v.id = e.video_id)
            order by e.embedding::halfvec({DIMENSIONS}) <#> cast(:vector as halfvec({DIMENSIONS}))
            limit :more
        )
        select video_id, score from found order by score desc, video_id limit :limit
    """  # noqa: S608 - words of this file
    return [Near(*row) for row in session.execute(text(query), asked.given)]


def _configure(session: Session, settings: dict[str, Any]) -> None:
    """For this transaction. A plan kept for any values would read the vector's text anew for every row."""
    wanted = {"plan_cache_mode": "force_custom_plan", "enable_sort": "on"} | settings
    named = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in wanted.items())
    session.execute(text(f"select {named}"))


def written(vector: NDArray[np.float32]) -> str:
    """As pgvector reads it."""
    return str(np.asarray(vector, np.float32).tolist())


def user_vector(session: Session, set_id: int, user_id: UUID) -> NDArray[np.float32] | None:
    """float32[768], None for a viewer who has none in this set."""
    return vectors_of(session, "user", set_id, [user_id]).get(user_id)


def vectors_of(session: Session, kind: Kind, set_id: int, ids: Sequence[UUID]) -> dict[UUID, NDArray[np.float32]]:
    """float32[768] by id, without those that have none in this set."""
    wanted = ", ".join(f"'{one}'" for one in ids)
    if not wanted:
        return {}
    query = f"""
        select {kind}_id, embedding from {kind}_embeddings where set_id = {int(set_id)} and {kind}_id in ({wanted})
    """  # noqa: S608 - UUIDs and words of this file
    found, vectors = embedding_rows.ids_and_vectors(session, query)
    return dict(zip(to_uuids(found), vectors, strict=True))


def fresh(session: Session, set_id: int, told: Mapping[UUID, float]) -> tuple[list[UUID], NDArray[np.float32]]:
    """(n ids, float32[n, 768]) of those viewers whose vector in this set was made at ``told`` (s since the epoch) or
    later."""
    if not told:
        return [], np.zeros((0, DIMENSIONS), np.float32)
    ids, moments = ",".join(map(str, told)), ",".join(map(repr, told.values()))
    query = f"""
        select user_id, embedding from user_embeddings
            join unnest('{{{ids}}}'::uuid[], '{{{moments}}}'::float8[]) as t (asked, told) on asked = user_id
        where set_id = {int(set_id)} and date_part('epoch', updated_at) >= told
    """  # noqa: S608 - UUIDs, numbers and words of this file
    found, vectors = embedding_rows.ids_and_vectors(session, query)
    return to_uuids(found), vectors


def whole(session: Session, kind: Kind, set_id: int) -> tuple[list[UUID], NDArray[np.float32]]:
    """(n ids, float32[n, 768]) of a set, in the order of the ids. Unavailable when the set was dropped."""
    query = f"""
        select {kind}_id, embedding from {kind}_embeddings where set_id = {int(set_id)} order by {kind}_id
    """  # noqa: S608 - words of this file
    ids, vectors = embedding_rows.ids_and_vectors(session, query)
    if not len(ids):
        _refuse_dropped(session, set_id)
    return to_uuids(ids), vectors


def lock_viewers(session: Session, *, shared: bool) -> None:
    """Held until the transaction ends: who forgets viewers and who is about to show a new set wait for each other, so
    that no set comes to light with a viewer who was forgotten while it was loaded."""
    shape = "_shared" if shared else ""
    session.execute(text(f"select pg_advisory_xact_lock{shape}(hashtextextended('viewers of embeddings', 7))"))


def forget(session: Session, user_ids: Sequence[UUID]) -> int:
    """Deletes viewers from every set at once; how many rows that were."""
    if not user_ids:
        return 0
    lock_viewers(session, shared=False)
    query = """
        with gone as (delete from user_embeddings where user_id = any(:ids) returning set_id),
            counted as (select set_id, count(*) as n from gone group by set_id)
        update embedding_sets set n_users = n_users - n from counted where id = set_id returning n
    """
    return sum(session.execute(text(query), {"ids": list(user_ids)}).scalars())


def _refuse_dropped(session: Session, set_id: int) -> None:
    if session.get(EmbeddingSet, set_id, populate_existing=True) is None:
        raise Unavailable(f"embedding set {set_id}", "was replaced", 0)
