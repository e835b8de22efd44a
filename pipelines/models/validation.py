"""What a training set must be to be learned from, and the figures that a model is judged by.

Figures are weighted as the rows were in training (a guess by rule counts less than a person's word); every one comes
per fold, with mean and deviation, and over all rows at once (``all``). JSON-like; null where a figure has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models.calibration import log_loss, reliability
from pipelines.models.training_set import Task, TrainingSet

MIN_ROWS = 20

Measure = Callable[[NDArray[Any]], float | None]


def refuse_unfit(data: TrainingSet, task: Task) -> None:
    """Raises BadInput, with the reason in a sentence, for rows that no model can be learned from.

    Constant columns are no such reason: they get no weight, and the metrics name them.
    """
    what = f"training set of {task.name}"
    n = len(data)
    if n < MIN_ROWS:
        raise BadInput(what, f"has {n} row{'s' * (n != 1)}", f"gather at least {MIN_ROWS} labelled rows")
    if data.X.shape[1] == 0:
        raise BadInput(what, "has no features", "extract features first")
    bad = ~np.isfinite(data.X)
    if bad.any():
        columns = [data.names[i] for i in np.flatnonzero(bad.any(axis=0))[:3]]
        reason = f"{int(bad.any(axis=1).sum())} of {n} rows have features that are not numbers ({', '.join(columns)})"
        raise BadInput(what, reason, "extract the features of these rows again")
    if not np.isfinite(data.weights).all() or (data.weights <= 0).any():
        raise BadInput(what, "its weights are not all finite and above 0", "weigh the labels anew")
    if task.kind == "regression":
        _refuse_targets(what, data, task)
    else:
        _refuse_classes(what, data)


def _refuse_targets(what: str, data: TrainingSet, task: Task) -> None:
    if data.y is None:
        raise BadInput(what, "has classes where numbers are learned", "give y")
    if data.y.shape[1] != len(task.outputs):
        reason = f"has {data.y.shape[1]} targets a row, the task {len(task.outputs)} ({', '.join(task.outputs)})"
        raise BadInput(what, reason, "label the rows anew")
    bad = ~np.isfinite(data.y).all(axis=1)
    if bad.any():
        rows = ", ".join(map(str, data.row_ids[bad][:3]))
        raise BadInput(what, f"{int(bad.sum())} labels are not numbers (ids {rows})", "correct or delete these labels")
    if not np.ptp(data.y, axis=0).any():
        raise BadInput(what, "every row has the same answer", "add rows that are answered otherwise")


def _refuse_classes(what: str, data: TrainingSet) -> None:
    if data.labels is None:
        raise BadInput(what, "has numbers where classes are learned", "give labels")
    classes = np.unique(data.labels)
    if len(classes) < 2:
        raise BadInput(what, f"has only the class '{classes[0]}'", "add rows of at least one other class")


def constant_features(data: TrainingSet) -> list[str]:
    return [data.names[i] for i in np.flatnonzero(np.ptp(data.X, axis=0) == 0)]


def regression_figures(
    task: Task,
    Y: NDArray[np.float64],
    predicted: NDArray[np.float64],
    weights: NDArray[np.float64],
    fold: NDArray[np.int64],
) -> dict[str, Any]:
    """Per target: MAE in its unit, R2, and both for the mean and the median of the other folds' rows."""
    means, medians = np.empty_like(Y), np.empty_like(Y)
    for f in np.unique(fold):
        held = fold == f
        means[held] = np.average(Y[~held], axis=0, weights=weights[~held])
        medians[held] = _weighted_median(Y[~held], weights[~held])
    figures = {}
    for t, (name, unit) in enumerate(zip(task.outputs, task.units, strict=True)):

        def both(answer: NDArray[np.float64], t: int = t) -> dict[str, Any]:
            return {
                "mae": over_folds(lambda rows: _mae(Y[rows, t], answer[rows, t], weights[rows]), fold),
                "r2": over_folds(lambda rows: r2(Y[rows, t], answer[rows, t], weights[rows]), fold),
            }

        figures[name] = {"unit": unit, **both(predicted), "baseline": {"mean": both(means), "median": both(medians)}}
    return figures


def classification_figures(
    classes: tuple[str, ...],
    truth: NDArray[np.int64],
    p: NDArray[np.float64],
    weights: NDArray[np.float64],
    fold: NDArray[np.int64],
) -> dict[str, Any]:
    """Accuracy, macro-F1, log loss, Brier score and ECE, and the first four for always naming the other folds' most
    frequent class (its probabilities: the classes' shares there); precision, recall and F1 of each class."""
    k = len(classes)
    prior = np.empty_like(p)
    for f in np.unique(fold):
        shares = np.bincount(truth[fold != f], weights[fold != f], k)
        prior[fold == f] = (shares + 1e-3) / (shares + 1e-3).sum()

    def scores(q: NDArray[np.float64]) -> dict[str, Any]:
        named = q.argmax(axis=1)
        measures: dict[str, Measure] = {
            "accuracy": lambda rows: float(np.average(named[rows] == truth[rows], weights=weights[rows])),
            "f1_macro": lambda rows: macro_f1(truth[rows], named[rows], weights[rows], k),
            "log_loss": lambda rows: log_loss(q[rows], truth[rows], weights[rows]),
            "brier": lambda rows: _brier(truth[rows], q[rows], weights[rows]),
        }
        return {name: over_folds(measure, fold) for name, measure in measures.items()}

    precision, recall, f1 = _per_class(truth, p.argmax(axis=1), weights, k)
    return {
        **scores(p),
        "ece": over_folds(lambda rows: reliability(p[rows], truth[rows]).error, fold),
        "baseline": {"majority": scores(prior)},
        "classes": {
            name: {"n": int((truth == c).sum()), "precision": precision[c], "recall": recall[c], "f1": f1[c]}
            for c, name in enumerate(classes)
        },
    }


def over_folds(measure: Measure, fold: NDArray[np.int64]) -> dict[str, Any]:
    """``measure`` of the rows of each fold; mean and deviation (n - 1) over those where it has a meaning; of all."""
    values = [measure(np.flatnonzero(fold == f)) for f in np.unique(fold)]
    known = [v for v in values if v is not None]
    return {
        "folds": values,
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "all": measure(np.arange(len(fold))),
    }


def _mae(truth: NDArray[np.float64], answer: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    return float(np.average(np.abs(truth - answer), weights=weights))


def r2(truth: NDArray[np.float64], answer: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    spread = float(np.average((truth - np.average(truth, weights=weights)) ** 2, weights=weights))
    error = float(np.average((truth - answer) ** 2, weights=weights))
    return 1 - error / spread if spread > 1e-12 else None


def _brier(truth: NDArray[np.int64], p: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Sum of squares over the classes (Brier 1950): 0 to 2."""
    squares = (p**2).sum(axis=1) - 2 * p[np.arange(len(p)), truth] + 1
    return float(np.average(squares, weights=weights))


def macro_f1(truth: NDArray[np.int64], named: NDArray[np.int64], weights: NDArray[np.float64], k: int) -> float | None:
    """Mean F1 of the classes that these rows hold."""
    f1 = _per_class(truth, named, weights, k)[2]
    known = [v for v in f1 if v is not None]
    return float(np.mean(known)) if known else None


def _per_class(
    truth: NDArray[np.int64], named: NDArray[np.int64], weights: NDArray[np.float64], k: int
) -> tuple[list[float | None], list[float | None], list[float | None]]:
    """Precision, recall and F1 [k] each; None for a class without rows."""
    held = np.bincount(truth, weights, k)
    called = np.bincount(named, weights, k)
    both = np.bincount(truth[truth == named], weights[truth == named], k)
    there = held > 0
    precision = [float(both[c] / called[c]) if called[c] else 0.0 for c in range(k)]
    return (
        [precision[c] if there[c] else None for c in range(k)],
        [float(both[c] / held[c]) if there[c] else None for c in range(k)],
        [float(2 * both[c] / (held[c] + called[c])) if there[c] else None for c in range(k)],
    )


def _weighted_median(Y: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    medians = np.empty(Y.shape[1])
    for t in range(Y.shape[1]):
        order = np.argsort(Y[:, t], kind="stable")
        passed = np.cumsum(weights[order])
        medians[t] = Y[order[np.searchsorted(passed, passed[-1] / 2)], t]
    return medians
