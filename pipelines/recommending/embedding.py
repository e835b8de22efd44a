"""Vectors of viewers and videos by a version's towers, in batches that find their own size.

Where histories and videos are read is storage/{decisions,videos}.py's, where vectors go syncing.py's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions
from pipelines.storage.embedding_loads import refuse_unfit

if TYPE_CHECKING:
    from pandas import DataFrame

T = TypeVar("T")
Input = TypeVar("Input", contravariant=True)


class History(Protocol):
    """What one viewer decided, oldest first, as storage/decisions.py gives it. All [n]."""

    @property
    def video_ids(self) -> NDArray[Any]: ...
    @property
    def times(self) -> NDArray[np.int64]: ...
    @property
    def ratings(self) -> NDArray[np.float32]: ...
    @property
    def wanted(self) -> NDArray[np.bool_]: ...


class UserTower(Protocol):
    def user_inputs(self, histories: Interactions, /) -> NDArray[np.float32]:
        """float32[n_users, d], of each user's whole history."""
        ...

    def user_vectors(self, inputs: NDArray[np.float32], /) -> NDArray[np.float32]:
        """float32[n, 768]"""
        ...


class ItemTower(Protocol):
    def item_inputs(self, items: DataFrame, /) -> NDArray[np.float32]:
        """float32[n, k], a row an item."""
        ...

    def item_vectors(self, inputs: NDArray[np.float32], /) -> NDArray[np.float32]:
        """float32[n, 768]"""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    ids: list[UUID]  # n
    vectors: NDArray[np.float32]  # [n, 768], of length 1


@dataclass(frozen=True, slots=True)
class Pace:
    """How batches grow: twofold while that makes them quicker, never past a time or a memory."""

    first: int = 64  # rows
    most: int = 8192
    seconds: float = 2.0  # that one batch may take
    memory: int = 256 << 20  # bytes that one batch may hold, vectors and what they are made from
    gain: float = 1.1  # rows/s by which a batch of twice the size must be quicker


def generate(
    rows: Iterable[tuple[UUID, T]],
    embed: Callable[[Sequence[T]], NDArray[np.float32]],
    *,
    version: str,
    row_bytes: int = 16_384,
    pace: Pace | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Batch]:
    """``embed`` over a stream of rows, ``row_bytes`` each in memory. BadInput that names the version for vectors that
    are not float32[n, 768], finite and of length 1."""
    pace = pace or Pace()
    most = max(1, min(pace.most, pace.memory // row_bytes))
    size, best, growing = min(pace.first, most), 0.0, True
    stream = iter(rows)
    while block := list(islice(stream, size)):
        start = clock()
        vectors = np.asarray(embed([row for _, row in block]), np.float32)
        taken = max(clock() - start, 1e-9)
        refuse_unfit(vectors, len(block), version)
        yield Batch([key for key, _ in block], vectors)
        rate = len(block) / taken
        if taken > pace.seconds:
            size, growing = max(1, int(rate * pace.seconds)), False
        elif growing and len(block) == size:
            growing = rate >= best * pace.gain
            # A batch that brought nothing goes back to the half that did as well.
            size = min(size * 2, most, max(1, int(rate * pace.seconds))) if growing else max(1, size // 2)
            best = max(best, rate)


def of_users(
    tower: UserTower, histories: Iterable[tuple[str | UUID, History]], *, version: str, pace: Pace | None = None
) -> Iterator[Batch]:
    """The vectors of viewers with a history each, in their order; those without any event get one, too."""

    def embed(block: Sequence[History]) -> NDArray[np.float32]:
        return tower.user_vectors(tower.user_inputs(together(block)))

    keyed = ((UUID(str(user_id)), history) for user_id, history in histories)
    return generate(keyed, embed, version=version, row_bytes=65_536, pace=pace)


def of_videos(tower: ItemTower, items: DataFrame, *, version: str, pace: Pace | None = None) -> Iterator[Batch]:
    """The vectors of the videos of a frame (``item_id``: str(uuid)), in its order."""

    def embed(block: Sequence[int]) -> NDArray[np.float32]:
        rows = items.iloc[block[0] : block[-1] + 1].reset_index(drop=True)
        return tower.item_vectors(tower.item_inputs(rows))

    keyed = ((UUID(str(item_id)), row) for row, item_id in enumerate(items["item_id"]))
    return generate(keyed, embed, version=version, pace=pace)


def together(
    histories: Sequence[History], named: Callable[[NDArray[Any]], Sequence[str] | NDArray[np.str_]] = np.asarray
) -> Interactions:
    """One Interactions of many histories; user k is the k-th. ``named``: the ids as the towers know them."""
    counts = [len(history.times) for history in histories]
    ids, items = np.unique(np.concatenate([history.video_ids for history in histories]), return_inverse=True)
    return Interactions(
        users=np.repeat(np.arange(len(histories), dtype=np.int32), counts),
        items=items.astype(np.int32),
        times=np.concatenate([history.times for history in histories]).astype(np.int64),
        ratings=np.concatenate([history.ratings for history in histories]).astype(np.float32),
        wanted=np.concatenate([history.wanted for history in histories]).astype(np.bool_),
        user_ids=np.array([f"{k:09d}" for k in range(len(histories))], dtype=np.str_),
        item_ids=np.array(named(ids), np.str_),
    )
