"""What people's scores of some rows say of the others: ridge regression on features of the texts, cut into scores.

Strength, cuts and confidence are found on held-out folds. What the features are is left to local.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOLDS = 5
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # of the penalty
_NEIGHBOURS = 0.1  # share of the held-out rows that a confidence is taken from
_FEWEST = 12  # of them, at least


@dataclass(frozen=True, slots=True)
class Learned:
    """One category. A prediction below ``cuts[0]`` is ``values[0]``, from ``cuts[k]`` on ``values[k + 1]``."""

    weights: Floats  # [n_features]
    bias: float
    cuts: Floats  # [len(values) - 1], rising
    values: Ints  # the scores that people gave, rising
    held_out: Floats  # [n] predictions of rows that were not learned from, rising
    right: Floats  # [n] share of those about it whose score was the person's
    accuracy: float  # of the held-out rows

    def predict(self, features: Floats) -> tuple[Ints, Floats]:
        """Scores [n] and how likely each is the very one a person would give [n], of features [n, n_features]."""
        guess = features @ self.weights + self.bias
        scores = self.values[np.searchsorted(self.cuts, guess, side="right")]
        return scores, np.interp(guess, self.held_out, self.right)


def learn(features: Floats, scores: Sequence[Ints], texts: Sequence[str]) -> list[Learned]:
    """One ``Learned`` for each of ``scores`` [n], all of the same rows' ``features`` [n, n_features].

    Rows with equal ``texts`` are held out together, so that nothing is judged by what it was learned from.
    """
    fold = _folds(texts)
    labels = np.stack([np.asarray(column, np.float64) for column in scores], axis=1)
    held_out = np.zeros((len(STRENGTHS), *labels.shape))
    for k in range(FOLDS):
        out = fold == k
        if out.any() and not out.all():
            for a, (weights, bias) in enumerate(_fit(features[~out], labels[~out], STRENGTHS)):
                held_out[a, out] = features[out] @ weights + bias
    best = ((held_out - labels) ** 2).mean(axis=1).argmin(axis=0)
    fitted = _fit(features, labels, STRENGTHS)
    found = []
    for c in range(labels.shape[1]):
        weights, bias = fitted[best[c]]
        found.append(_cut(weights[:, c], float(bias[c]), held_out[best[c], :, c], scores[c]))
    return found


def _folds(texts: Sequence[str]) -> Ints:
    """[n] from 0 to FOLDS - 1, shuffled by the texts' hashes: the same rows fall the same way in every run."""
    digests = [hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in texts]
    rank = {digest: i for i, digest in enumerate(sorted(set(digests)))}
    return np.array([rank[digest] % FOLDS for digest in digests])


def _fit(X: Floats, y: Floats, strengths: Sequence[float]) -> list[tuple[Floats, Floats]]:
    """(weights [n_features, n_targets], bias [n_targets]) for each strength, of one decomposition for all.

    The closed form, because scikit-learn would decompose anew for each strength and cost its import besides.
    """
    centre, level = X.mean(axis=0), y.mean(axis=0)
    Xc, yc = X - centre, y - level
    if len(X) < X.shape[1]:  # the kernel form: n x n is the smaller
        values, V = np.linalg.eigh(Xc @ Xc.T)
        left, right = Xc.T @ V, V.T @ yc
    else:
        values, V = np.linalg.eigh(Xc.T @ Xc)
        left, right = V, V.T @ (Xc.T @ yc)
    values = np.maximum(values, 0)[:, None]
    all_weights = [left @ (right / (values + strength)) for strength in strengths]
    return [(weights, level - centre @ weights) for weights in all_weights]


def _cut(weights: Floats, bias: float, held_out: Floats, scores: Ints) -> Learned:
    """Cut where each score is given as often as people gave it.

    Cuts moved to the greatest agreement on the held-out rows agreed less on dev, with 20 labelled rows and with 500.
    """
    values = np.unique(scores)
    cuts = np.quantile(held_out, [float((scores < value).mean()) for value in values[1:]])
    hit = values[np.searchsorted(cuts, held_out, side="right")] == scores
    order = np.argsort(held_out, kind="stable")
    share = float(hit.mean())
    return Learned(weights, bias, cuts, values, held_out[order], _smoothed(hit[order], share), share)


def _smoothed(hit: NDArray[np.bool_], share: float) -> Floats:
    """[n] share of hits among the nearest rows in order, with two imagined ones of the overall share."""
    n = len(hit)
    width = min(n, max(_FEWEST, round(_NEIGHBOURS * n)))
    total = np.concatenate([[0.0], np.cumsum(hit)])
    first = np.clip(np.arange(n) - width // 2, 0, n - width)
    return np.asarray((total[first + width] - total[first] + 2 * share) / (width + 2), np.float64)
