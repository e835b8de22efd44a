"""Folds that never divide a recording, balanced in rows and in classes.

Two excerpts of one song are nearly one row: a model that saw the first is asked nothing new by the second. Which
rows belong together is said by the training set; what is fitted on the folds is for training.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput


@dataclass(frozen=True, slots=True)
class Folds:
    """Row i is held out in fold ``index[i]``, 0 <= index < count; no fold is empty."""

    index: NDArray[np.int64]  # [n]
    count: int
    recordings: int
    note: str  # why there are fewer than asked for, or ""


def split(
    recordings: NDArray[np.str_], labels: NDArray[np.str_] | None = None, *, count: int = 5, seed: int = 0
) -> Folds:
    """``count`` folds of whole recordings, or as many as there are recordings where these are fewer.

    The largest recordings are dealt first, each to the fold that has least of its classes so far (of rows, where there
    are no labels); the seed orders recordings of one size. Equal input gives equal folds, and renaming the recordings
    or the order of rows matters only to such ties. Raises BadInput for a single recording.
    """
    if count < 2:
        raise ValueError(f"{count} folds hold nothing out")
    names, group = np.unique(recordings, return_inverse=True)
    if len(names) < 2:
        raise BadInput(
            "the training set",
            f"all its {len(recordings)} rows come from one recording, so nothing is left to test on",
            "add rows of at least one other recording",
        )
    classes = np.zeros(len(group), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    rows = np.zeros((len(names), classes.max() + 1))
    np.add.at(rows, (group, classes), 1)
    used = min(count, len(names))
    fold = _deal(rows, used, seed)
    note = "" if used == count else f"{used} folds instead of {count}: there are only {used} recordings"
    return Folds(fold[group], used, len(names), note)


def _deal(rows: NDArray[np.float64], count: int, seed: int) -> NDArray[np.int64]:
    """Fold of each group from its rows per class [n_groups, n_classes].

    Least sum over classes of squared shares is a balanced deal; adding group g to fold f raises it by
    2 held[f] . g + g . g, so the fold of least held[f] . g is best. An empty fold is always among these.
    """
    order = np.random.default_rng(seed).permutation(len(rows))
    order = order[np.argsort(-rows[order].sum(axis=1), kind="stable")]
    shares = rows / rows.sum(axis=0)
    held = np.zeros((count, rows.shape[1]))
    sizes = np.zeros(count)
    fold = np.empty(len(rows), np.int64)
    for g in order:
        cost = held @ shares[g]
        least = np.flatnonzero(cost <= cost.min() + 1e-12)
        best = least[sizes[least].argmin()]
        fold[g] = best
        held[best] += shares[g]
        sizes[best] += rows[g].sum()
    return fold
