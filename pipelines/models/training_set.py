"""What a model learns from: rows of features with their truth, weight, source recording and person.

Values only, and the task that they are for. The rows are put together by each system (mastering's:
pipelines/mastering/training_set.py), kept by snapshots.py and learned from by training.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """n rows in a fixed order: the same rows in the same order give the same model.

    Exactly one of ``y`` (regression) and ``labels`` (classification) is there. Raises ValueError when the lengths
    disagree, which is the caller's mistake; whether the values are fit to learn from is for ``training.train`` to say.
    """

    task: str  # a name of mastering.tasks.TASKS, or another system's
    X: NDArray[np.float32]  # [n, d]
    y: NDArray[np.float32] | None  # [n, k], in the order of the task's outputs
    labels: NDArray[np.str_] | None  # [n]
    weights: NDArray[np.float32]  # [n], by the label's quality
    recordings: NDArray[np.str_]  # [n] the source recording: rows of one never stand on both sides of a split
    users: NDArray[np.str_]  # [n] pseudonyms
    row_ids: NDArray[np.int64]  # [n] ids in `labels`
    feature_version: str
    names: tuple[str, ...]  # [d] of the features
    content_hashes: NDArray[np.str_] | None = None  # [n] of what the features were taken from

    def __post_init__(self) -> None:
        if self.X.ndim != 2 or self.X.shape[1] != len(self.names):
            raise ValueError(f"X is {self.X.shape} for {len(self.names)} names")
        if (self.y is None) == (self.labels is None):
            raise ValueError("a training set has either y or labels")
        if self.y is not None and self.y.ndim != 2:
            raise ValueError(f"y is {self.y.shape}, not [n, k]")
        columns = (self.y, self.labels, self.weights, self.recordings, self.users, self.row_ids, self.content_hashes)
        if any(column is not None and len(column) != len(self.X) for column in columns):
            raise ValueError("the columns of a training set have different lengths")

    def __len__(self) -> int:
        return len(self.X)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> TrainingSet:
        """The rows of an index or mask, in its order."""
        return TrainingSet(
            self.task,
            self.X[rows],
            None if self.y is None else self.y[rows],
            None if self.labels is None else self.labels[rows],
            self.weights[rows],
            self.recordings[rows],
            self.users[rows],
            self.row_ids[rows],
            self.feature_version,
            self.names,
            None if self.content_hashes is None else self.content_hashes[rows],
        )


def names_hash(names: Sequence[str]) -> str:
    """16 hex digits that tell whether two models mean the same features in the same order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Task:
    """What a model is to answer. Each system names its own; mastering's are in pipelines/mastering/tasks.py."""

    name: str
    kind: Literal["regression", "classification"]
    outputs: tuple[str, ...]  # the targets of a regression, in order; () for classes, which the labels tell
    units: tuple[str, ...]  # [k] of the targets; ()
    clip_kind: str  # whose features answer it: inst | vocal | mix
    title: str  # for people
