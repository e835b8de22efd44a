"""How a score grows with the number of rows: whether more of them would help, or another kind of model.

The estimator and its setting are those that training.py chose; nothing is chosen here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.models.estimators import Learner, Problem, Setting, apply_link

_SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
_MANY = 5000  # rows, above which fewer folds show the curve as well
_QUICK = 20_000  # values of features, from which a costly learner learns at once
_LEAST = 10  # rows

Score = Callable[[Problem, NDArray[np.float64]], float]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Scores of models that learned from ``sizes`` rows, on these rows and on those of the held-out folds."""

    measure: str
    sizes: NDArray[np.int64]  # [m], mean over folds
    learned: NDArray[np.float64]  # [m]
    held: NDArray[np.float64]  # [m] mean over folds
    spread: NDArray[np.float64]  # [m] deviation over folds, 0 for one


def learning_curve(
    learner: Learner,
    problem: Problem,
    setting: Setting,
    recordings: NDArray[np.str_],
    *,
    measure: str,
    score: Score,
    seed: int = 0,
) -> LearningCurve:
    """An eighth, a quarter, half and all of the recordings outside a fold, each size holding the one before."""
    rank = _rank(recordings, seed)
    points: dict[float, list[tuple[float, float, float]]] = {}
    few, many = (2, 1) if learner.costly and problem.X.size > _QUICK else (problem.folds, 2)
    for f in range(few if len(problem.X) <= _MANY else many):
        held = problem.take(problem.fold == f)
        outside = np.flatnonzero(problem.fold != f)
        kept = np.unique(rank[outside])
        for share in _SHARES:
            rows = outside[rank[outside] <= kept[max(round(share * len(kept)), 1) - 1]]
            if len(rows) < _LEAST or not problem.Y[rows].any():
                continue
            learn = problem.take(rows)
            model = learner.fit(learn, setting)
            on_learn, on_held = (score(p, apply_link(model.raw(p.X), model.link)) for p in (learn, held))
            points.setdefault(share, []).append((len(rows), on_learn, on_held))
    table = [np.array(points[share]) for share in _SHARES if share in points]
    return LearningCurve(
        measure,
        np.array([round(t[:, 0].mean()) for t in table], np.int64),
        np.array([t[:, 1].mean() for t in table]),
        np.array([t[:, 2].mean() for t in table]),
        np.array([t[:, 2].std(ddof=1) if len(t) > 1 else 0.0 for t in table]),
    )


def _rank(recordings: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """[n] the place of a row's recording in a seeded order."""
    names, group = np.unique(recordings, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(names))[group], np.int64)
