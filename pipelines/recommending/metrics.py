"""The figures of a ranking, as functions of arrays: lists, hits, coverage, novelty and how sure a mean is.

Which viewers and scorers they are taken over is evaluation.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]  # [n, n_items]; -inf: never shown
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over viewers: its standard error, and the 95 % interval by bootstrap over viewers."""

    mean: float
    se: float
    low: float
    high: float
    n: int

    @property
    def clear(self) -> int:
        """1: surely above 0, -1: surely below, 0: within the noise."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def top(scores: Scores, k: int, users: NDArray[np.int32], seed: int = 0) -> NDArray[np.int32]:
    """int32[n, k]: each row's k best items, best first, -1 where fewer than k may be shown.

    Equal scores are put in an order drawn from (seed, user): a scorer that says the same of every item then hits no
    more than chance, whatever the order of the catalogue.
    """
    n, n_items = scores.shape
    k_here = min(k, n_items)
    out = np.full((n, k), -1, np.int32)
    if not k_here:
        return out
    best = np.argpartition(scores, n_items - k_here, axis=1)[:, n_items - k_here :]
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    out[:, :k_here] = np.take_along_axis(best, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    out[:, :k_here][np.isneginf(values)] = -1
    last = values[:, -1]
    inside = (values[:, 1:] == values[:, :-1]) & np.isfinite(values[:, 1:])
    at_edge = np.count_nonzero(scores == last[:, None], axis=1)
    beyond = np.isfinite(last) & (at_edge > np.count_nonzero(values == last[:, None], axis=1))
    for row in np.flatnonzero(inside.any(axis=1) | beyond):
        among = np.flatnonzero(scores[row] >= last[row]) if np.isfinite(last[row]) else out[row][out[row] >= 0]
        chance = np.random.default_rng((seed, int(users[row]))).random(len(among))
        ordered = among[np.lexsort((chance, -scores[row, among]))][:k_here]
        out[row, : len(ordered)] = ordered
    return out


def hits(lists: NDArray[np.int32], target_offsets: NDArray[np.int64], targets: NDArray[np.int32]) -> NDArray[np.bool_]:
    """bool[n, k]: whether a place of a list holds one of that row's targets."""
    rows = np.repeat(np.arange(len(lists)), np.diff(target_offsets))
    width = int(max(lists.max(initial=-1), targets.max(initial=-1))) + 1
    wanted = rows.astype(np.int64) * width + targets
    asked = np.arange(len(lists), dtype=np.int64)[:, None] * width + lists
    found: NDArray[np.bool_] = np.isin(asked, wanted) & (lists >= 0)
    return found


def recall(hit: NDArray[np.bool_], n_targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[n]: the share of a viewer's targets that the list holds. Who chose more than k things cannot reach 1."""
    return np.asarray(hit.sum(axis=1) / np.maximum(n_targets, 1))


def ndcg(hit: NDArray[np.bool_], n_targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[n]: discounted gain 1/log2(place + 1), over that of the best list (Järvelin and Kekäläinen 2002)."""
    gains = 1 / np.log2(np.arange(2, hit.shape[1] + 2))
    best = np.cumsum(gains)[np.clip(n_targets, 1, hit.shape[1]) - 1]
    return np.asarray(hit @ gains / best)


def average_precision(scores: NDArray[np.float32], positive: NDArray[np.bool_], seed: int) -> float:
    """Area under precision and recall of one viewer's sampled items (mean precision at the positives); ties by lot."""
    order = np.lexsort((np.random.default_rng(seed).random(len(scores)), -scores))
    found = positive[order]
    if not found.any():
        return float("nan")
    return float((np.cumsum(found)[found] / (np.flatnonzero(found) + 1)).mean())


def self_information(viewers: NDArray[np.int64], n_users: int) -> NDArray[np.float64]:
    """Bits[n_items]: -log2 of the share of viewers who have chosen an item (one added to both, for items with none)."""
    return np.asarray(-np.log2((viewers + 1) / (n_users + 1)))


def estimates(values: NDArray[np.float64], *, seed: int = 0, resamples: int = RESAMPLES) -> list[Estimate]:
    """An Estimate for each column of float64[m, c], all from the same resampled viewers. NaN all over when m is 0.

    Percentile bootstrap over viewers (Efron 1979); with one viewer the interval is that viewer's value.
    """
    m, c = values.shape
    if not m:
        return [Estimate(float("nan"), float("nan"), float("nan"), float("nan"), 0)] * c
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, c))
    for i in range(resamples):
        means[i] = np.bincount(rng.integers(m, size=m), minlength=m) @ values / m
    spread = values.std(axis=0, ddof=1) / np.sqrt(m) if m > 1 else np.full(c, np.nan)
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    mean = values.mean(axis=0)
    return [Estimate(float(mean[j]), float(spread[j]), float(low[j]), float(high[j]), m) for j in range(c)]
