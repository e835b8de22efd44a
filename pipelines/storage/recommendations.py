"""Questions of one request for a list: what a viewer decided, which sets serve, the catalogue as columns, what
is wanted.

Everything comes as whole arrays, since a row at a time would take longer than the rest of the answer. A viewer's vector
is embeddings.py's, what a list shows of a video videos.py's, lists that were kept recommended.py's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.errors import Unavailable
from pipelines.storage.embedding_rows import raw
from pipelines.storage.recommending_tables import DIMENSIONS
from pipelines.storage.videos import Card

Ids = NDArray[np.bytes_]  # "S16": uuid.bytes; take bytes of them by tobytes, since tolist drops zeros at the end
MONTH = timedelta(days=30)
HALF_LIFE = timedelta(days=90)
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: what differs stays different, and well spread
_HEADER = 19  # bytes before the first row of a binary COPY
_VECTOR = np.dtype(
    [("head", "V6"), ("id", "S16"), ("size", "V4"), ("dim", ">i2"), ("zero", ">i2"), ("values", ">f4", (DIMENSIONS,))]
)
_BLOCK = 2048  # rows of vectors at a time: 6 MB


@dataclass(frozen=True, slots=True)
class Decided:
    """What one viewer decided, newest first: every decision, also those that a later one replaced."""

    video_ids: Ids  # [n]
    times: NDArray[np.int64]  # [n] s
    ratings: NDArray[np.float32]  # [n] NaN where none was given
    wanted: NDArray[np.bool_]  # [n] liked or watched
    liked: NDArray[np.bool_]  # [n]

    def __len__(self) -> int:
        return len(self.video_ids)

    def history(self, limit: int) -> Decided:
        """The newest decision about each of the newest ``limit`` videos, oldest first, as decisions.history has it."""
        if _differ(self.video_ids):
            newest = np.arange(min(len(self), limit))[::-1]
        else:
            newest = np.sort(np.unique(self.video_ids, return_index=True)[1])[:limit][::-1]
        columns = (self.video_ids, self.times, self.ratings, self.wanted, self.liked)
        return Decided(*(column[newest] for column in columns))  # type: ignore[arg-type]


NOTHING = Decided(
    np.zeros(0, "S16"), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.bool_), np.zeros(0, np.bool_)
)


@dataclass(frozen=True, slots=True)
class Viewer:
    withdrawn: bool  # nothing of theirs was read then
    decided: Decided


@dataclass(frozen=True, slots=True)
class Crowd:
    """What m viewers decided, one after the other, each one's newest first; as in ``Decided``, but in less detail."""

    user_ids: list[UUID]  # [m]
    offsets: NDArray[np.int64]  # [m + 1] where each one's begin
    video_ids: Ids  # [n]
    wanted: NDArray[np.bool_]  # [n]
    told: NDArray[np.float64]  # [m] s since the epoch: when the last of it came here, whenever it was decided

    def __len__(self) -> int:
        return len(self.user_ids)

    def of(self, places: Sequence[int]) -> Crowd:
        """Those viewers alone."""
        sizes = np.diff(self.offsets)[list(places)]
        parts = [np.arange(self.offsets[place], self.offsets[place + 1]) for place in places]
        rows = np.concatenate([np.zeros(0, np.int64), *parts])
        users, told = [self.user_ids[place] for place in places], self.told[list(places)]
        return Crowd(users, np.append(0, np.cumsum(sizes)), self.video_ids[rows], self.wanted[rows], told)

    def decided(self, place: int) -> Decided:
        """Of one viewer, without times and ratings."""
        at = slice(self.offsets[place], self.offsets[place + 1])
        n, wanted = int(at.stop - at.start), self.wanted[at]
        return Decided(self.video_ids[at], np.zeros(n, np.int64), np.full(n, np.nan, np.float32), wanted, wanted)


@dataclass(frozen=True, slots=True)
class Serving:
    """The set that serves a version, and its state: another one when a sync changed rows within the set."""

    set_id: int
    n_videos: int
    patched: int
    indexed: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """The catalogue: videos of one genre list and availability are a group."""

    ids: Ids  # [n]
    groups: NDArray[np.intp]  # [n] rows of the next two
    genres: tuple[tuple[str, ...], ...]
    available: NDArray[np.bool_]  # [groups]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How often videos were liked or watched; those that nobody wanted are not among them."""

    ids: Ids  # [n]
    score: NDArray[np.float64]  # [n] the older a decision, the less it counts
    month: NDArray[np.int64]  # [n] within the last 30 days
    total: NDArray[np.int64]  # [n]


def viewer(session: Session, user_id: UUID) -> Viewer | None:
    """None for somebody unknown. Of somebody who withdrew nothing is read."""
    return viewers(session, [user_id]).get(user_id)


def viewers(session: Session, user_ids: Collection[UUID]) -> dict[UUID, Viewer]:
    """As ``viewer``, for many at once; without those that are unknown."""
    query = b"""
        select v.user_id, v.withdrawn_at is not null, h.* from viewers v left join lateral (
            select string_agg(uuid_send(video_id), ''), string_agg(float8send(at), ''),
                string_agg(float4send(coalesce(rating, 'NaN')), ''), string_agg(left(decision, 1), '')
            from (select video_id, date_part('epoch', decided_at) as at, rating, decision from user_video_decisions
                where user_id = v.user_id order by decided_at desc, id desc) d
        ) h on v.withdrawn_at is null where v.user_id = any(%s)
    """
    found = {}
    with raw(session) as connection, connection.cursor(binary=True) as cursor:
        for user_id, withdrawn, ids, times, ratings, words in cursor.execute(query, (list(user_ids),), prepare=True):
            decided = NOTHING if withdrawn or ids is None else _decided(ids, times, ratings, words)
            found[user_id] = Viewer(withdrawn, decided)
    return found


def crowd(session: Session, user_ids: Collection[UUID]) -> Crowd:
    """Of those viewers who have decided anything and have not withdrawn."""
    query = b"""
        select v.user_id, h.* from viewers v, lateral (
            select string_agg(uuid_send(video_id), ''), string_agg(left(decision, 1), ''),
                date_part('epoch', max(created_at)) as told
            from (select video_id, decision, created_at from user_video_decisions
                where user_id = v.user_id order by decided_at desc, id desc) d
        ) h where v.user_id = any(%s) and v.withdrawn_at is null and h.told is not null
    """
    with raw(session) as connection, connection.cursor(binary=True) as cursor:
        rows = cursor.execute(query, (list(user_ids),), prepare=True).fetchall()
    words = np.frombuffer("".join(row[2] for row in rows).encode(), "S1")
    return Crowd(
        [row[0] for row in rows],
        np.append(0, np.cumsum([len(row[2]) for row in rows])).astype(np.int64),
        np.frombuffer(b"".join(row[1] for row in rows), "S16"),
        (words == b"l") | (words == b"w"),
        np.array([row[3] for row in rows], np.float64),
    )


def cards(session: Session, ids: Sequence[str]) -> dict[str, Card]:
    """As videos.cards, in a third of its time."""
    query = b"""
        select id::text, external_id, title, genres, year, available from videos where id = any(%s::text[]::uuid[])
    """
    with raw(session) as connection, connection.cursor(binary=True) as cursor:
        rows = cursor.execute(query, (ids,), prepare=True).fetchall()
    return {row[0]: Card(row[0], row[1], row[2], tuple(row[3]), row[4], row[5]) for row in rows}


def serving(session: Session, model_ids: Collection[int]) -> dict[int, Serving]:
    """By version, of those that have embeddings."""
    query = b"""
        select p.model_id, s.id, s.n_videos, coalesce((s.detail ->> 'patched')::int, 0), s.video_index = 'hnsw'
        from embedding_pointers p join embedding_sets s on s.id = p.set_id where p.model_id = any(%s)
    """
    with raw(session) as connection, connection.cursor(binary=True) as cursor:
        return {row[0]: Serving(*row[1:]) for row in cursor.execute(query, (list(model_ids),))}


def vectors(session: Session, set_id: int) -> Iterator[tuple[Ids, NDArray[np.float32]]]:
    """(ids, float32[m, 768]) of a set's videos, block by block. Unavailable when the set was dropped."""
    rest = b""
    skipped = n = 0
    rows_of_set = f"select video_id, embedding from video_embeddings where set_id = {int(set_id)}"  # noqa: S608
    query = f"copy ({rows_of_set}) to stdout (format binary)"
    with raw(session) as connection, connection.cursor() as cursor, cursor.copy(query.encode()) as copy:
        parts: list[bytes | bytearray | memoryview] = []
        size = 0
        for part in copy:
            parts.append(part)
            size += len(part)
            if size < _BLOCK * _VECTOR.itemsize:
                continue
            rest, skipped, rows = _rows(b"".join([rest, *parts]), skipped)
            parts, size, n = [], len(rest), n + len(rows)
            yield rows["id"].copy(), rows["values"].astype(np.float32)
        rest, skipped, rows = _rows(b"".join([rest, *parts]), skipped)
    if len(rows):
        yield rows["id"].copy(), rows["values"].astype(np.float32)
    if not n + len(rows):
        raise Unavailable(f"embedding set {set_id}", "was replaced", 0)


def state_of_catalogue(session: Session) -> tuple[int, datetime | None]:
    """(how many videos, when one changed last)."""
    row = _one(session, b"select count(*), max(updated_at) from videos")
    return row[0], row[1]


def catalogue(session: Session) -> Columns:
    query = b"select genres, available, string_agg(uuid_send(id), '') from videos group by genres, available"
    with raw(session) as connection, connection.cursor(binary=True) as cursor:
        rows = cursor.execute(query).fetchall()
    ids = [np.frombuffer(row[2], "S16") for row in rows]
    return Columns(
        np.concatenate([np.zeros(0, "S16"), *ids]),
        np.repeat(np.arange(len(rows)), [len(some) for some in ids]),
        tuple(tuple(row[0]) for row in rows),
        np.array([row[1] for row in rows], np.bool_),
    )


def wanted(session: Session, now: datetime) -> Wanted:
    """By everybody who has not withdrawn: counting is no learning. A decision counts 2^(-age / 90 days), its age taken
    from the newest of all, so that the order of old decisions is not lost."""
    query = b"""
        select string_agg(uuid_send(video_id), ''), string_agg(float8send(score), ''), string_agg(int8send(month), ''),
            string_agg(int8send(total), '')
        from (
            select video_id, count(*) as total,
                sum(exp(-ln(2) * least(extract(epoch from newest - decided_at)::float8 / %s, 1000))) as score,
                count(*) filter (where decided_at > %s) as month
            from user_video_decisions d join viewers v using (user_id),
                (select max(decided_at) as newest from user_video_decisions where decided_at <= %s) n
            where decision in ('like', 'watch') and withdrawn_at is null and decided_at <= %s group by video_id
        ) w
    """
    soon = now + timedelta(minutes=5)
    ids, *columns = _one(session, query, HALF_LIFE.total_seconds(), now - MONTH, soon, soon)
    score, month, total = (np.frombuffer(c or b"", k) for c, k in zip(columns, (">f8", ">i8", ">i8"), strict=True))
    plain = score.astype(np.float64), month.astype(np.int64), total.astype(np.int64)
    return Wanted(np.frombuffer(ids or b"", "S16"), *plain)


def _one(session: Session, query: bytes, *given: Any) -> Sequence[Any]:
    with raw(session) as connection, connection.cursor(binary=True) as cursor:
        row = cursor.execute(query, given).fetchone()
    assert row is not None  # of an aggregate
    return row


def _differ(ids: Ids) -> bool:
    """No id is there twice, as numbers made of them tell in a tenth of the time; ids that give the same may differ."""
    halves = np.frombuffer(ids.tobytes(), "<u8").reshape(-1, 2)
    numbers = np.sort(halves[:, 0] * _ODD ^ halves[:, 1])
    return bool((numbers[1:] != numbers[:-1]).all())


def _rows(data: bytes, skipped: int) -> tuple[bytes, int, NDArray[np.void]]:
    """(what is left, bytes skipped at the beginning of all, whole rows). Two bytes end the stream."""
    start = 0 if skipped else _HEADER
    n = max(0, len(data) - start) // _VECTOR.itemsize
    rows = np.frombuffer(data, _VECTOR, n, start)
    return data[start + n * _VECTOR.itemsize :], _HEADER, rows


def _decided(ids: bytes, times: bytes, ratings: bytes, words: str) -> Decided:
    first = np.frombuffer(words.encode(), "S1")
    liked = first == b"l"
    at = np.floor(np.frombuffer(times, ">f8")).astype(np.int64)
    rated = np.frombuffer(ratings, ">f4").astype(np.float32)
    return Decided(np.frombuffer(ids, "S16"), at, rated, liked | (first == b"w"), liked)
