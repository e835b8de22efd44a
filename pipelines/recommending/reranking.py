"""The order of a list beyond the score: some chance, so that the model meets what it would not have shown, and less of
the same.

Candidates and their scores come from searching.py; what a list says of itself is reasons.py's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def explored(scores: NDArray[np.float32], exploration: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Scores [n] whose falling order is a draw without replacement, each place's chances proportional to
    exp(score / t), with t = ``exploration`` times the scores' standard deviation: a Plackett-Luce model, drawn by
    adding Gumbel noise (W. Kool et al., Stochastic Beams and Where to Find Them, ICML 2019). 0 changes nothing."""
    if exploration <= 0 or len(scores) < 2:
        return scores
    spread = float(scores.std()) or 1.0
    return scores + np.float32(exploration * spread) * rng.gumbel(size=len(scores)).astype(np.float32)


def diversified(
    scores: NDArray[np.float32], vectors: NDArray[np.float32], limit: int, diversity: float
) -> NDArray[np.intp]:
    """``limit`` of n candidates, the first first, by maximal marginal relevance: each next one has the greatest
    (1 - diversity) score - diversity (likeness to the likest one chosen before) (J. Carbonell, J. Goldstein, The use
    of MMR, SIGIR 1998). ``vectors`` [n, d] have length 1.

    Scores and likenesses are brought to 0..1 over the candidates, since the dot products of good candidates differ
    little: so 0.5 means the same in every catalogue. 0 is the order of the scores.
    """
    limit = min(limit, len(scores))
    order = np.argsort(-scores, kind="stable")
    if diversity <= 0 or limit < 2:
        return order[:limit]
    alike = _unit(vectors @ vectors.T)
    relevance = (1 - diversity) * _unit(scores)
    chosen = np.empty(limit, np.intp)
    chosen[0] = order[0]
    likest = alike[order[0]].copy()
    free = np.ones(len(scores), np.bool_)
    free[order[0]] = False
    for place in range(1, limit):
        worth = np.where(free, relevance - diversity * likest, -np.inf)
        best = int(np.argmax(worth))
        chosen[place] = best
        free[best] = False
        np.maximum(likest, alike[best], out=likest)
    return chosen


def _unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brought to 0..1; zeros where all are the same."""
    least, most = float(values.min()), float(values.max())
    return np.zeros_like(values) if most <= least else (values - np.float32(least)) / np.float32(most - least)
