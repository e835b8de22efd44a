"""Prefixes of histories: what a viewer had done when an event came. Samples to learn from, and their events side by
side.

How events become one vector is pools.py's; what of a prefix is said in plain numbers, user_features.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions


@dataclass(frozen=True, slots=True)
class Samples:
    """n prefixes and the event that followed each."""

    users: NDArray[np.int32]  # [n]
    lengths: NDArray[np.int32]  # [n] events of the prefix, 1 or more
    targets: NDArray[np.int32]  # [n] items
    times: NDArray[np.int64]  # [n] s, of the targets

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True, slots=True)
class Histories:
    """The newest events of n prefixes, one after the other, each prefix's oldest first."""

    n: int
    rows: NDArray[np.int32]  # [m] which prefix
    events: NDArray[np.int64]  # [m] rows of the interactions
    items: NDArray[np.int32]  # [m]
    ages: NDArray[np.int32]  # [m] events that came later in the prefix


def samples_of(interactions: Interactions) -> Samples:
    """Every wanted event that had one before it, with the prefix before it."""
    users = interactions.users
    places = np.arange(len(users)) - interactions.offsets[users]
    kept = (places > 0) & interactions.wanted
    return Samples(users[kept], places[kept].astype(np.int32), interactions.items[kept], interactions.times[kept])


def whole(interactions: Interactions) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(users, lengths) of everybody's whole history; length 0 for a viewer without events."""
    lengths = np.bincount(interactions.users, minlength=interactions.n_users)
    return np.arange(interactions.n_users, dtype=np.int32), lengths.astype(np.int32)


def histories(
    interactions: Interactions,
    users: NDArray[np.int32],
    lengths: NDArray[np.int32],
    window: int,
    offsets: NDArray[np.int64] | None = None,
) -> Histories:
    """The newest ``window`` events of each prefix. ``offsets``: those of the interactions, if at hand (they cost)."""
    offsets = interactions.offsets if offsets is None else offsets
    taken = np.minimum(lengths, window).astype(np.int64)
    rows = np.repeat(np.arange(len(users), dtype=np.int32), taken)
    ends = np.cumsum(taken)
    ages = np.repeat(ends, taken) - 1 - np.arange(len(rows))
    events = np.repeat(offsets[users] + lengths, taken) - 1 - ages
    return Histories(len(users), rows, events, interactions.items[events], ages.astype(np.int32))
