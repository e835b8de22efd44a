"""From a training set to a checked ONNX model with the figures that it is judged by.

Linear model or LightGBM: the simpler one unless the other wins by more than its standard error. Same rows, same seed:
same bytes. The rows come from snapshots.py; what becomes of the model is for registry.py and rollout.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models import folds as splitting
from pipelines.models import onnx_export
from pipelines.models.boosting import LightGBM
from pipelines.models.calibration import cross_fitted, error_by_chance, log_loss, reliability, temperature
from pipelines.models.estimators import CrossValidated, Fitted, Learner, Link, Problem, apply_link, one_thread
from pipelines.models.learning_curves import LearningCurve, learning_curve
from pipelines.models.linear import Logistic, Ridge
from pipelines.models.training_set import Task, TrainingSet, names_hash
from pipelines.models.validation import (
    classification_figures,
    constant_features,
    over_folds,
    refuse_unfit,
    regression_figures,
)

VERSION = "1"
ESTIMATORS = ("linear", "lightgbm")


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and all that is known of it. ``metrics`` and ``reference`` are JSON-like."""

    task: Task
    onnx: bytes  # float32 "features" [n, d] -> float32 "outputs" [n, k]
    estimator: str  # ridge | logistic | lightgbm
    metrics: dict[str, Any]
    reference: dict[str, Any]  # of drift.py
    learning_curve: LearningCurve
    importance: dict[str, float]  # every feature's share, largest first
    classes: tuple[str, ...] | None  # of the columns of a classifier
    out_of_fold: NDArray[np.float32]  # [n, k] each row's outputs, by a model that saw none of its recording
    fold: NDArray[np.int64]  # [n]


@dataclass(frozen=True, slots=True)
class _Lesson:
    data: TrainingSet
    task: Task
    split: splitting.Folds
    problem: Problem
    classes: tuple[str, ...] | None
    seed: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    learner: Learner
    found: CrossValidated
    link: Link
    temperature: float
    outputs: NDArray[np.float64]  # [n, k]
    loss: dict[str, Any]  # over folds; lower is better
    seconds: float
    calibration: dict[str, Any] | None


def train(
    data: TrainingSet,
    task: Task,
    *,
    seed: int = 0,
    folds: int = 5,
    estimators: Sequence[str] = ESTIMATORS,
    threads: int = 1,
    code_version: str = VERSION,
) -> Trained:
    """Cross-validates the estimators on folds of whole recordings, fits the chosen one on all rows, and holds its ONNX
    against it on every row (each of them is in one fold's validation set).

    ``threads`` are LightGBM's and change nothing in the result. ``code_version`` goes into the ONNX's metadata. Raises
    BadInput for rows that nothing can be learned from (validation.refuse_unfit; one recording) and for an ONNX that
    does not agree with its model to 1e-4.
    """
    refuse_unfit(data, task)
    if not estimators or set(estimators) - set(ESTIMATORS):
        raise ValueError(f"estimators are some of {ESTIMATORS}, not {tuple(estimators)}")
    started = time.process_time()
    with one_thread():
        split = splitting.split(data.recordings, data.labels, count=folds, seed=seed)
        lesson = _Lesson(data, task, split, *_problem(data, split), seed)
        tried: dict[str, Any] = {}
        candidates = []
        for learner in _learners(lesson, estimators, threads):
            refusal = learner.refuses(lesson.problem)
            if refusal:
                tried[learner.name] = {"not_tried": refusal}
                continue
            candidates.append(_try(learner, lesson.problem, lesson.classes is not None))
            tried[learner.name] = _told(candidates[-1])
        if not candidates:
            raise BadInput(f"training set of {task.name}", *_nothing_tried(tried))
        best, reason = _choose(candidates)
        trained = _finish(lesson, best, code_version)
    trained.metrics["choice"] = reason
    trained.metrics["candidates"] = tried
    trained.metrics["cpu_seconds"] = round(time.process_time() - started, 3)
    return trained


def _learners(lesson: _Lesson, estimators: Sequence[str], threads: int) -> list[Learner]:
    """The simpler one first."""
    classification = lesson.classes is not None
    learners: dict[str, Learner] = {
        "linear": Logistic() if classification else Ridge(),
        "lightgbm": LightGBM(classification, lesson.seed, threads),
    }
    return [learners[name] for name in ESTIMATORS if name in estimators]


def _problem(data: TrainingSet, split: splitting.Folds) -> tuple[Problem, tuple[str, ...] | None]:
    weights = data.weights.astype(np.float64)
    classes = None
    if data.labels is not None:
        names, truth = np.unique(data.labels, return_inverse=True)
        classes = tuple(str(name) for name in names)
        Y = np.eye(len(classes))[truth]
    else:
        Y = np.asarray(data.y, np.float64)
    X = np.ascontiguousarray(data.X, np.float32)
    return Problem(X, Y, weights / weights.mean(), split.index, split.count), classes


def _try(learner: Learner, problem: Problem, classification: bool) -> _Candidate:
    started = time.process_time()
    found = learner.cross_validate(problem)
    p = problem
    if not classification:
        loss = over_folds(lambda rows: _relative_error(p, found.raw, rows), p.fold)
        return _Candidate(learner, found, "identity", 1.0, found.raw, loss, time.process_time() - started, None)
    link: Link = "softmax" if learner.name == "lightgbm" else "one_vs_rest"
    truth = p.Y.argmax(axis=1)
    outputs = apply_link(found.raw, link)
    before, chance = reliability(outputs, truth).error, error_by_chance(outputs)
    told: dict[str, Any] = {"ece": before, "ece_by_chance": chance, "temperature": 1.0, "applied": False}
    t = 1.0
    if before > chance:
        cooled = cross_fitted(found.raw, truth, p.weights, p.fold, link)
        told["ece_calibrated"] = reliability(cooled, truth).error
        if log_loss(cooled, truth, p.weights) < log_loss(outputs, truth, p.weights):
            t, outputs = temperature(found.raw, truth, p.weights, link), cooled
            told |= {"temperature": t, "applied": True}
    loss = over_folds(lambda rows: log_loss(outputs[rows], truth[rows], p.weights[rows]), p.fold)
    return _Candidate(learner, found, link, t, outputs, loss, time.process_time() - started, told)


def _relative_error(problem: Problem, predicted: NDArray[np.float64], rows: NDArray[Any]) -> float:
    """Mean over targets of squared error by the target's variance in all rows; a constant target does not count."""
    spread = np.average((problem.Y - np.average(problem.Y, 0, problem.weights)) ** 2, 0, problem.weights)
    error = np.average((problem.Y[rows] - predicted[rows]) ** 2, 0, problem.weights[rows])
    moving = spread > 1e-12
    return float(np.mean(error[moving] / spread[moving]))


def _told(candidate: _Candidate) -> dict[str, Any]:
    return {
        "loss": candidate.loss,
        "settings": [list(setting) for setting in candidate.found.settings],
        "final_setting": list(candidate.found.final),
        "cpu_seconds": round(candidate.seconds, 3),
    }


def _nothing_tried(tried: dict[str, Any]) -> tuple[str, str]:
    reasons = "; ".join(f"{name} was {told['not_tried']}" for name, told in tried.items())
    return reasons, "add rows, or let the linear model try"


def _choose(candidates: list[_Candidate]) -> tuple[_Candidate, str]:
    """The first, which is the simpler, unless the second's loss is lower by more than the standard error of the
    difference over folds (paired, so that a hard fold does not count against either)."""
    simple, *others = candidates
    if not others:
        return simple, f"{simple.learner.name} was the only one tried"
    bold = others[0]
    gain = np.subtract(simple.loss["folds"], bold.loss["folds"])
    mean, error = float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain)))
    figures = f"{bold.loss['mean']:.4f} against {simple.loss['mean']:.4f}, standard error of the difference {error:.4f}"
    if mean > error:
        return bold, f"{bold.learner.name} has the lower loss ({figures})"
    return simple, f"{bold.learner.name} does not win by more than one standard error ({figures})"


def _finish(lesson: _Lesson, best: _Candidate, code_version: str) -> Trained:
    from pipelines.models.drift import reference

    data, task, problem, classes = lesson.data, lesson.task, lesson.problem, lesson.classes
    model = best.learner.fit(problem, best.found.final).cooled(best.temperature)
    onnx = onnx_export.to_onnx(model, len(data.names), _metadata(lesson, best.learner.name, code_version))
    metrics = {
        "task": task.name,
        "kind": task.kind,
        "estimator": best.learner.name,
        "n": len(data),
        "n_groups": lesson.split.recordings,
        "n_features": len(data.names),
        "constant_features": constant_features(data),
        "feature_version": data.feature_version,
        "seed": lesson.seed,
        "folds": {"count": lesson.split.count, "grouped_by": "recording", "note": lesson.split.note},
        "parity": _checked(lesson, onnx, model),
        **_figures(lesson, best),
    }
    measure, score = ("R2, mean over targets", _fit_score) if classes is None else ("balanced accuracy", _balanced)
    curve = learning_curve(
        best.learner, problem, best.found.final, data.recordings, measure=measure, score=score, seed=lesson.seed
    )
    shares = model.importance()
    outputs = best.outputs.astype(np.float32)
    return Trained(
        task,
        onnx,
        best.learner.name,
        metrics,
        reference(data.X, outputs, data.names),
        curve,
        {data.names[i]: float(shares[i]) for i in np.argsort(-shares, kind="stable")},
        classes,
        outputs,
        lesson.split.index,
    )


def _figures(lesson: _Lesson, best: _Candidate) -> dict[str, Any]:
    p = lesson.problem
    if lesson.classes is None:
        return {"targets": regression_figures(lesson.task, p.Y, best.outputs, p.weights, p.fold)}
    truth = p.Y.argmax(axis=1)
    figures = classification_figures(lesson.classes, truth, best.outputs, p.weights, p.fold)
    return figures | {"calibration": best.calibration}


def _metadata(lesson: _Lesson, estimator: str, code_version: str) -> dict[str, str]:
    metadata = {
        "task": lesson.task.name,
        "estimator": estimator,
        "feature_version": lesson.data.feature_version,
        "names_hash": names_hash(lesson.data.names),
        "code_version": code_version,
    }
    if lesson.classes is None:
        return metadata | {"targets": json.dumps(lesson.task.outputs)}
    return metadata | {"classes": json.dumps(lesson.classes, ensure_ascii=False)}


def _checked(lesson: _Lesson, onnx: bytes, model: Fitted) -> float:
    """The disparity of ONNX and model over all rows. Raises BadInput where it is above the limit."""
    data = lesson.data
    apart = onnx_export.parity(onnx, model, data.X)
    if apart > onnx_export.LIMIT:
        widest = int(np.abs(data.X).max(axis=0).argmax())
        raise BadInput(
            f"model of {lesson.task.name}",
            f"its ONNX differs from the model by {apart:.2g}, and {onnx_export.LIMIT:g} is allowed",
            f"look at the features' ranges first; '{data.names[widest]}' reaches {np.abs(data.X[:, widest]).max():.3g}",
        )
    return apart


def _fit_score(problem: Problem, outputs: NDArray[np.float64]) -> float:
    spread = problem.Y - np.average(problem.Y, 0, problem.weights)
    error = np.average((problem.Y - outputs) ** 2, 0, problem.weights)
    variance = np.average(spread**2, 0, problem.weights)
    moving = variance > 1e-12
    return float(np.mean(1 - error[moving] / variance[moving])) if moving.any() else 0.0


def _balanced(problem: Problem, outputs: NDArray[np.float64]) -> float:
    """Mean recall over the classes that the rows hold."""
    truth = problem.Y.argmax(axis=1)
    right = outputs.argmax(axis=1) == truth
    held = np.bincount(truth, problem.weights)
    return float(np.mean((np.bincount(truth, problem.weights * right) / np.maximum(held, 1e-300))[held > 0]))
