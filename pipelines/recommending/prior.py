"""What everybody chooses just now: recent popularity as one number an item, as it stood at each of many moments.

A model that learns beside it needs no dimension to repeat it; how the two are weighed is the user tower's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY = 86_400.0  # s
REACH = 6.0  # ln(1 + 5 n share): an item with every eightieth of all choices comes to 1 in a catalogue of any size
SHARPNESS = 5.0
LIMIT = 0.95  # of the dimension that carries it, so that the others keep a third of the vector's length
STEP = 0.05  # in which it is judged and served


@dataclass(frozen=True, slots=True)
class Prior:
    """``table[b]`` is popularity at the start of bin b; the last row is popularity now."""

    edges: NDArray[np.int64]  # [bins - 1] s
    table: NDArray[np.float32]  # [bins + 1, n_items]

    @property
    def now(self) -> NDArray[np.float32]:
        """[n_items], after the last event."""
        newest: NDArray[np.float32] = self.table[-1]
        return newest

    def bins(self, times: NDArray[np.int64]) -> NDArray[np.int32]:
        """The row of the table that holds at each time: nothing of it happened later."""
        return np.searchsorted(self.edges, times, side="right").astype(np.int32)


def popularity(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """About 0..1 for decayed counts [..., n_items]: 0 for an item nobody chose, rising with its share's logarithm."""
    totals = np.maximum(weights.sum(axis=-1, keepdims=True), 1e-12)
    shares = weights / totals * weights.shape[-1]
    return np.asarray(np.log1p(SHARPNESS * shares) / REACH, np.float32)


def in_steps(popularity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Popularity as it is judged and served: one more decision shifts everybody's share a little, and must not move
    every vector."""
    return (np.round(popularity / STEP) * STEP).astype(np.float32)


def prior_of(items: NDArray[np.int32], times: NDArray[np.int64], n_items: int, *, bins: int, days: float) -> Prior:
    """Of events in any order. Bins hold about equally many events; an event of age a counts exp(-a / days)."""
    order = np.argsort(times, kind="stable")
    items, times = items[order], times[order]
    edges = np.unique(np.quantile(times, np.arange(1, bins) / bins, method="inverted_cdf")).astype(np.int64)
    moments = np.concatenate([times[:1], edges, times[-1:] + 1])
    counts = np.zeros((len(moments), n_items))
    running, since, done = np.zeros(n_items), int(moments[0]), 0
    for row, moment in enumerate(moments.tolist()):
        end = int(np.searchsorted(times, moment, side="left"))
        running = running * np.exp((since - moment) / (days * DAY))
        decayed = np.exp((times[done:end] - moment) / (days * DAY))
        running += np.bincount(items[done:end], decayed, minlength=n_items)
        counts[row], since, done = running, moment, end
    return Prior(edges, popularity(counts))
