"""What the learners have in common: the problem that they are given and the two shapes of what they fit.

How a Linear is fitted is in linear.py, a Forest in boosting.py; which of them a model becomes, in training.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Link = Literal["identity", "one_vs_rest", "softmax"]
Setting = tuple[float, ...]  # what a learner chose by cross-validation: shrinkage, or rounds; one or one an output


@dataclass(frozen=True, slots=True)
class Problem:
    """Rows as arrays: ``Y`` holds targets, or 1 in the column of a row's class and 0 elsewhere."""

    X: NDArray[np.float32]  # [n, d]
    Y: NDArray[np.float64]  # [n, k]
    weights: NDArray[np.float64]  # [n], mean 1
    fold: NDArray[np.int64]  # [n]
    folds: int

    def take(self, rows: NDArray[Any]) -> Problem:
        return replace(self, X=self.X[rows], Y=self.Y[rows], weights=self.weights[rows], fold=self.fold[rows])


class Fitted(Protocol):
    """A model that has learned. Its raw values become outputs by ``apply_link``."""

    @property
    def link(self) -> Link: ...

    def raw(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """[n, k] targets, or scores of the classes before the link."""
        ...

    def importance(self) -> NDArray[np.float64]:
        """[d] shares of the features in the answer; they sum to 1, or to 0 where none matters."""
        ...

    def cooled(self, temperature: float) -> Fitted:
        """The same with its raw values divided by ``temperature`` (calibration.py)."""
        ...


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """Each row answered by a model that saw neither its recording nor, in choosing a setting, its fold."""

    raw: NDArray[np.float64]  # [n, k]
    settings: tuple[Setting, ...]  # [folds], as chosen inside each
    final: Setting  # for a fit of all rows


class Learner(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def costly(self) -> bool:
        """Whether a fit of thousands of rows takes seconds, so that a picture is content with fewer of them."""
        ...

    def refuses(self, problem: Problem) -> str:
        """Why this learner is not to be tried on the problem, or an empty string."""
        ...

    def cross_validate(self, problem: Problem) -> CrossValidated: ...

    def fit(self, problem: Problem, setting: Setting) -> Fitted: ...


@dataclass(frozen=True, slots=True)
class Linear:
    """((x - mean) / scale) @ coef + intercept."""

    mean: NDArray[np.float64]  # [d]
    scale: NDArray[np.float64]  # [d], 1 where a column is constant
    coef: NDArray[np.float64]  # [d, k]
    intercept: NDArray[np.float64]  # [k]
    link: Link

    def raw(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        return ((X - self.mean) / self.scale) @ self.coef + self.intercept

    def importance(self) -> NDArray[np.float64]:
        """Mean over outputs of each one's shares of absolute coefficients (of features at unit variance)."""
        return _shares(np.abs(self.coef))

    def cooled(self, temperature: float) -> Linear:
        return replace(self, coef=self.coef / temperature, intercept=self.intercept / temperature)


@dataclass(frozen=True, slots=True)
class Forest:
    """LightGBM boosters: one a target, or a single one with a score for each class."""

    boosters: Sequence[Any]
    link: Link
    temperature: float = 1.0

    def raw(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        columns = [booster.predict(X, raw_score=True, num_threads=1) for booster in self.boosters]
        return np.asarray(np.column_stack(columns), np.float64) / self.temperature

    def importance(self) -> NDArray[np.float64]:
        """Mean over boosters of each one's shares of gain."""
        return _shares(np.column_stack([booster.feature_importance("gain") for booster in self.boosters]))

    def cooled(self, temperature: float) -> Forest:
        return replace(self, temperature=self.temperature * temperature)


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in one order: otherwise the number of cores would show in a model's last digits. It is faster, too: on
    matrices of 165 x 165 threads wait for each other more than they compute."""
    import scipy.linalg  # noqa: F401  # its BLAS is not numpy's, and a limit holds for what is loaded by then
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        yield


def apply_link(raw: NDArray[np.float64], link: Link) -> NDArray[np.float64]:
    """Outputs [n, k]: the raw values themselves, or probabilities that sum to 1 in each row.

    ``one_vs_rest`` is the logistic function of each class's score, normalised over the classes; taken as the softmax
    of log sigmoid(raw), which is the same and stays defined where every class's score is very low.
    """
    if link == "identity":
        return raw
    level = -np.logaddexp(0, -raw) if link == "one_vs_rest" else raw
    grown: NDArray[np.float64] = np.exp(level - level.max(axis=1, keepdims=True))
    grown /= grown.sum(axis=1, keepdims=True)
    return grown


def _shares(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    totals = sizes.sum(axis=0)
    parts = sizes[:, totals > 0] / totals[totals > 0]
    return parts.mean(axis=1) if parts.shape[1] else np.zeros(len(sizes))
