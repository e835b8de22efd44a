"""A history as the input of the user tower: pools of its items' rows, moments, and what user_features.py tells.

The same for a prefix in training, a batch and one viewer now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending import moments, pools, prefixes
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.searching import Ids
from pipelines.recommending.user_features import UserEncoder

_DATED = "last_event"  # the column of the encoder that holds a date, which who comes back is not told (moments.py)


@dataclass(frozen=True, slots=True)
class Viewers:
    """``unwanted``: whether training met events that were not wanted, which then have a pool of their own."""

    encoder: UserEncoder
    moments: moments.Moments
    taus: tuple[float, ...]
    window: int
    unwanted: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Of the plain features, those behind the pools."""
        return (*moments.NAMES, *self.encoder.names)

    @property
    def n_pools(self) -> int:
        return len(self.taus) + self.unwanted

    def features_of(
        self,
        interactions: Interactions,
        users: NDArray[np.int32],
        lengths: NDArray[np.int32],
        asked: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """[n, len(names)] of prefixes; ``asked`` as in moments.py."""
        if not len(users):
            return np.zeros((0, len(self.names)), np.float32)
        plain = self.moments.of_prefixes(interactions, users, lengths, asked)
        told = self.encoder.of_prefixes(interactions, users, lengths)
        told[:, self.encoder.names.index(_DATED)] *= 1 - plain[:, moments.NAMES.index("away")]
        return np.concatenate([plain, told], axis=1)

    def features_of_events(
        self,
        item_ids: Sequence[str] | Ids,
        times: NDArray[np.int64],
        ratings: NDArray[np.float32],
        wanted: NDArray[np.bool_],
        asked: int | None = None,
    ) -> NDArray[np.float32]:
        """[len(names)] of one history, oldest first."""
        plain = self.moments.of_events(times, asked)
        told = self.encoder.of_events(item_ids, times, ratings, wanted)
        told[self.encoder.names.index(_DATED)] *= 1 - plain[moments.NAMES.index("away")]
        return np.concatenate([plain, told])

    def pools_of(
        self,
        table: NDArray[np.float32],
        interactions: Interactions,
        rows: NDArray[np.int32],
        users: NDArray[np.int32],
        lengths: NDArray[np.int32],
    ) -> NDArray[np.float32]:
        """[n, pools * width]. ``rows`` [n_events] is each event's row of the table, -1 where it has none."""
        past = prefixes.histories(interactions, users, lengths, self.window)
        kept = rows[past.events] >= 0
        at, events, ages = past.rows[kept], past.events[kept], past.ages[kept]
        if not kept.all():  # the ages of a prefix without the events nobody knows
            ends = np.cumsum(np.bincount(at, minlength=past.n))
            ages = (ends[at] - 1 - np.arange(len(at))).astype(np.int32)
        unwanted = ~interactions.wanted[events] if self.unwanted else None
        weights = pools.matrix(past.n, at, rows[events], ages, self.taus, len(table), unwanted)
        return pools.side_by_side(np.asarray(weights @ table, np.float32), past.n)
