"""Whether a classifier's probabilities mean what they say, and one temperature that makes them.

Scores are answered by a model that did not see their rows; nothing here fits anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.models.estimators import Link, apply_link

BINS = 10
_DRAWS = 200


@dataclass(frozen=True, slots=True)
class Reliability:
    """The winning class's probability in bins of equally many rows, beside how often it was right."""

    stated: NDArray[np.float64]  # [b] mean probability
    right: NDArray[np.float64]  # [b] share of rows that were right
    share: NDArray[np.float64]  # [b] of all rows
    error: float  # expected calibration error: mean |stated - right|, by share (Naeini et al. 2015)


def log_loss(p: NDArray[np.float64], truth: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """Mean -log of the true class's probability, in nats; p [n, k], truth [n] column numbers."""
    own = np.maximum(p[np.arange(len(p)), truth], 1e-15)
    return float(np.average(-np.log(own), weights=weights))


def reliability(p: NDArray[np.float64], truth: NDArray[np.int64]) -> Reliability:
    """Of probabilities [n, k] and true columns [n]. Every row counts once: weights say how far a label is trusted, not
    how often its like is met."""
    stated, order, edges, counts = _bins(p)
    right = (p.argmax(axis=1) == truth)[order].astype(np.float64)
    mean_stated, mean_right = np.add.reduceat(stated, edges) / counts, np.add.reduceat(right, edges) / counts
    share = counts / len(p)
    return Reliability(mean_stated, mean_right, share, float(np.abs(mean_right - mean_stated) @ share))


def error_by_chance(p: NDArray[np.float64], *, seed: int = 0) -> float:
    """The calibration error that a perfect model of such probabilities exceeds in one of twenty samples of this size:
    its rows are right as often as it says, yet not so in every bin."""
    stated, _, edges, _ = _bins(p)
    rng = np.random.default_rng(seed)
    errors = []
    for _ in range(_DRAWS):
        right = (rng.random(len(stated), np.float32) < stated).astype(np.float64)
        errors.append(np.abs(np.add.reduceat(right - stated, edges)).sum() / len(stated))
    return float(np.quantile(errors, 0.95))


def _bins(
    p: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
    """Winning probabilities in rising order, that order, where each bin of it begins, and how many rows it holds."""
    stated = p.max(axis=1)
    order = np.argsort(stated, kind="stable")
    edges = np.unique(np.linspace(0, len(p), BINS + 1).round().astype(np.int64))[:-1]
    return stated[order], order, edges, np.diff(np.append(edges, len(p)))


def temperature(raw: NDArray[np.float64], truth: NDArray[np.int64], weights: NDArray[np.float64], link: Link) -> float:
    """T > 0 for which apply_link(raw / T) has the least log loss (Guo et al. 2017, section 4.2), within 1/5 to 5."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: log_loss(apply_link(raw / np.exp(log_t), link), truth, weights),
        bounds=(-np.log(5), np.log(5)),
        method="bounded",
        options={"xatol": 0.01},
    )
    return float(np.exp(found.x))


def cross_fitted(
    raw: NDArray[np.float64],
    truth: NDArray[np.int64],
    weights: NDArray[np.float64],
    fold: NDArray[np.int64],
    link: Link,
) -> NDArray[np.float64]:
    """Probabilities [n, k], each fold's at the temperature of the others: what calibrating is worth, honestly."""
    p = np.empty_like(raw)
    for f in np.unique(fold):
        held = fold == f
        t = temperature(raw[~held], truth[~held], weights[~held], link)
        p[held] = apply_link(raw[held] / t, link)
    return p
