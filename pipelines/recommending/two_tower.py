"""The model that is served: two ONNX towers and what turns histories and videos into their inputs, without TensorFlow.

Scores are dot products of its unit vectors. How it is trained is training.py's; where it is kept, learning.py's.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.models import sessions
from pipelines.recommending import bundles, moments, pools, prefixes
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.item_features import ItemEncoder
from pipelines.recommending.recipe import Recipe
from pipelines.recommending.searching import Ids, Known
from pipelines.recommending.viewers import Viewers

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class TwoTower:
    """Thread-safe. ``table`` [n_items, width] are the items' rows that histories are pooled from, ``popularity``
    [n_items] how popular each was at the end of training."""

    user_onnx: bytes
    item_onnx: bytes
    item_ids: tuple[str, ...]
    items: ItemEncoder
    viewers: Viewers
    table: NDArray[np.float32]
    popularity: NDArray[np.float32]
    recipe: Recipe
    notes: tuple[str, ...] = ()
    _known: Known = field(init=False, repr=False, compare=False)
    _warm: dict[str, sessions.Warm] = field(init=False, repr=False, compare=False)
    _lock: threading.Lock = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", Known.of(self.item_ids))
        object.__setattr__(self, "_warm", {})
        object.__setattr__(self, "_lock", threading.Lock())

    @property
    def dims(self) -> int:
        return self.recipe.dims

    @property
    def input_names(self) -> tuple[str, ...]:
        """Of the user tower's columns."""
        width = self.table.shape[1]
        pooled = (f"pool {pool}:{column}" for pool in range(self.viewers.n_pools) for column in range(width))
        return (*pooled, *self.viewers.names)

    @property
    def monitored(self) -> tuple[int, ...]:
        """The columns whose drift means something to a person: what viewers like and how they decide. Times and lengths
        of histories only ever grow, and pooled vectors say nothing by themselves."""
        plain = self.viewers.n_pools * self.table.shape[1] + len(moments.NAMES)
        slices = self.viewers.encoder.slices
        return tuple(plain + column for name in ("genres",) for column in range(*slices[name].indices(1 << 20)))

    def user_inputs(
        self,
        interactions: Interactions,
        users: NDArray[np.int32] | None = None,
        lengths: NDArray[np.int32] | None = None,
        *,
        asked: int | NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """[n, len(input_names)] of the prefixes ``(users, lengths)``, or of everybody's whole history; a viewer without
        events is a new one. ``asked``: the moment of asking, or one for each [n], s since the epoch; by default right
        after each one's last event, as who goes on at once. Who comes back later is answered with more of what
        everybody chooses. The interactions may count their items differently from the training's."""
        if users is None or lengths is None:
            everybody, whole = prefixes.whole(interactions)
            users = everybody if users is None else users
            lengths = whole[users] if lengths is None else lengths
        if not len(users):
            return np.zeros((0, len(self.input_names)), np.float32)
        moments = None if asked is None else np.broadcast_to(np.asarray(asked, np.int64), len(users))
        rows = self._known.rows(interactions.item_ids).astype(np.int32)
        pooled = self.viewers.pools_of(self.table, interactions, rows[interactions.items], users, lengths)
        return np.concatenate([pooled, self.viewers.features_of(interactions, users, lengths, moments)], axis=1)

    def user_input_of(
        self,
        item_ids: Sequence[str] | Ids,
        times: NDArray[np.int64],
        ratings: NDArray[np.float32],
        wanted: NDArray[np.bool_],
        asked: int | None = None,
    ) -> NDArray[np.float32]:
        """[len(input_names)] of one viewer's events, oldest first; ``asked`` as above.

        Items that training did not meet take no part in the pools; ``unknown`` counts them."""
        window = self.viewers.window
        rows = self._known.rows(item_ids[-window:])
        kept = rows >= 0
        unwanted = ~wanted[-window:][kept] if self.viewers.unwanted else None
        pooled = pools.pooled(self.table[rows[kept]], self.viewers.taus, unwanted)
        return np.concatenate([pooled, self.viewers.features_of_events(item_ids, times, ratings, wanted, asked)])

    def unknown(self, item_ids: Sequence[str] | Ids) -> int:
        """How many of these the model has no row for."""
        return int((~self.knows(item_ids)).sum())

    def knows(self, item_ids: Sequence[str] | Ids) -> NDArray[np.bool_]:
        """[n]: which of these the model has a row for."""
        return self._known.rows(item_ids) >= 0

    def user_vectors(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """[n, dims], unit norm."""
        return self._run("user tower", self.user_onnx, inputs)

    def item_inputs(
        self,
        items: pd.DataFrame,
        counts: NDArray[np.int64] | None = None,
        popularity: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """[m, 2 + item features] of videos known or new: a row of training or 0, recent popularity, features.

        ``counts`` [m] of wanted decisions, by default none; ``popularity`` [m] as prior.py takes it over the whole
        catalogue, by default as training left it, 0 for a new video. A video that nobody has chosen yet is described as
        one that is chosen more often than three in four: to the towers "never chosen" means "is not chosen", and they
        would show no new video to anybody (on ML-100K, 80 films made new: their mean rank rose from 971 to 504 of
        1,682, the figures of the others stayed).
        """
        names = [str(name) for name in items["item_id"]]
        rows = self._known.rows(names)
        recent = np.append(self.popularity, np.float32(0))[rows] if popularity is None else popularity
        chosen = np.zeros(len(names), np.int64) if counts is None else counts
        features = self.items.transform(items, np.where(chosen == 0, self._usual, chosen)).matrix
        return np.concatenate(
            [(rows + 1).astype(np.float32)[:, None], np.asarray(recent, np.float32)[:, None], features], axis=1
        )

    @property
    def _usual(self) -> int:
        """The count that three in four videos of training do not exceed."""
        ranks = self.items.ranks
        return max(1, round(float(np.expm1(ranks[len(ranks) * 3 // 4])))) if len(ranks) else 1

    def item_vectors(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """[m, dims], unit norm."""
        return self._run("item tower", self.item_onnx, inputs)

    def to_bytes(self) -> bytes:
        """The whole model in one file, the same bytes for the same model."""
        return bundles.pack(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> TwoTower:
        """Raises BadInput when the bytes are damaged or no such model."""
        return bundles.unpack(data)

    def _run(self, name: str, onnx: bytes, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._lock:
            warm = self._warm.get(name)
            if warm is None:
                warm = self._warm[name] = sessions.warm(onnx, name, output_dim=self.dims)
        if not len(inputs):
            return np.zeros((0, self.dims), np.float32)
        return warm.run(np.ascontiguousarray(inputs, np.float32))
