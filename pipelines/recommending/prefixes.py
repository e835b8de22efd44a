"""Prefixes of histories: what a viewer had done when an event came. Samples to learn from, and their events side by
side.

How events become one vector is pools.py's; what of a prefix is said in plain numbers, user_features.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.recommending.interactions import Interactions

AWAY = 6 * 3600  # s: who was away for so long has come back
_MOST = 30  # targets of one return
_FIRST = 3  # events


@dataclass(frozen=True, slots=True)
class Samples:
    """n prefixes and the event that followed each."""

    users: NDArray[np.int32]  # [n]
    lengths: NDArray[np.int32]  # [n] events of the prefix
    targets: NDArray[np.int32]  # [n] items
    times: NDArray[np.int64]  # [n] s, when the viewer was there to choose
    asked: NDArray[np.int64]  # [n] s, the moment that the model is told: when that was, but for who goes on at once

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
    kept = np.flatnonzero((places > 0) & interactions.wanted)
    before = interactions.times[kept - 1]
    lengths = places[kept].astype(np.int32)
    return Samples(users[kept], lengths, interactions.items[kept], interactions.times[kept], before)


def returning(interactions: Interactions, n: int, seed: int) -> Samples:
    """About ``n`` samples of viewers who came back after `AWAY`: the history until then, and any wanted event since.

    A viewer who goes on chooses what lies near; one who comes back, what is talked about by then. A model that is asked
    at either moment has to have met both. None where nobody came back.
    """
    users, times = interactions.users, interactions.times
    places = np.arange(len(users)) - interactions.offsets[users]
    back = np.flatnonzero((places[1:] > 0) & (np.diff(times) >= AWAY)) + 1
    if not len(back) or not n:
        none: NDArray[np.int64] = np.zeros(0, np.int64)
        few = none.astype(np.int32)
        return Samples(few, few, few, none, none)
    rng = np.random.default_rng([seed, 2])
    drawn = np.repeat(back, min(-(-n // len(back)), _MOST))
    ends = interactions.offsets[users[drawn] + 1]
    targets = drawn + (rng.random(len(drawn)) * (ends - drawn)).astype(np.int64)
    kept = interactions.wanted[targets]
    drawn, targets = drawn[kept], targets[kept]
    lengths = places[drawn].astype(np.int32)
    return Samples(users[drawn], lengths, interactions.items[targets], times[drawn], times[drawn])


def newcomers(interactions: Interactions) -> Samples:
    """Empty prefixes: what the first `_FIRST` wanted events of each viewer would have answered on arrival."""
    users = interactions.users
    places = np.arange(len(users)) - interactions.offsets[users]
    first = np.flatnonzero((places < _FIRST) & interactions.wanted)
    times = interactions.times[first]
    nothing = np.zeros(len(first), np.int32)
    return Samples(users[first], nothing, interactions.items[first], times, times)


def joined(*parts: Samples) -> Samples:
    """All of them, one after the other."""
    columns = ([getattr(part, name) for part in parts] for name in Samples.__slots__)
    return Samples(*(np.concatenate(column) for column in columns))


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
