"""A model that learns new rows between the weekly trainings, without reading the old ones again.

It is linear and begins as the batch model of training.py; what it remembers is in warm_state.py. When it learns and
whether it is served is decided in incremental.py.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models import folds as splitting
from pipelines.models import onnx_export
from pipelines.models.estimators import Problem, apply_link, one_thread
from pipelines.models.linear import Logistic, Ridge
from pipelines.models.training_set import Task, TrainingSet, names_hash
from pipelines.models.validation import macro_f1, r2, refuse_unfit
from pipelines.models.warm_state import Incremental, dumps, loads

__all__ = [
    "EVERY",
    "Incremental",
    "dumps",
    "evaluate",
    "fits",
    "forgotten",
    "held_out",
    "loads",
    "new_classes",
    "start",
    "to_onnx",
    "unlearned",
    "update",
]

VERSION = "1"
EVERY = 100  # new rows make an update worth while
_INTERCEPT = 1e-6  # of precision, so that it is never singular


def held_out(recordings: NDArray[np.str_], share: float) -> NDArray[np.bool_]:
    """[n] whether a row is kept for judging, by a hash of its recording's name: so a recording is on the same side for
    as long as the share is the same."""
    names, group = np.unique(recordings, return_inverse=True)
    return np.array([_place(name) < share for name in names], bool)[group]


def _place(recording: str) -> float:
    """0 <= place < 1, the same for ever."""
    return int.from_bytes(hashlib.sha256(f"held out:{recording}".encode()).digest()[:8], "big") / 2**64


def held_share(recordings: NDArray[np.str_]) -> float:
    """A fifth; of few recordings so much that one is held out and half are not."""
    places = np.sort([_place(name) for name in np.unique(recordings)])
    most = places[max(len(places) // 2, 1) - 1]
    return float(np.nextafter(np.clip(0.2, places[0], most), 2))


def start(data: TrainingSet, task: Task, *, seed: int = 0) -> Incremental:
    """The batch linear model of the rows that are not held out. Raises BadInput as ``training.train`` does."""
    refuse_unfit(data, task)
    share = held_share(data.recordings)
    learn = data.take(~held_out(data.recordings, share))
    refuse_unfit(learn, task)
    with one_thread():
        return _start(learn, task, share, seed)


def _start(learn: TrainingSet, task: Task, share: float, seed: int) -> Incremental:
    split = splitting.split(learn.recordings, learn.labels, seed=seed)
    classes = None if learn.labels is None else tuple(str(c) for c in np.unique(learn.labels))
    weights = learn.weights.astype(np.float64)
    problem = Problem(learn.X, _targets(learn, classes), weights / weights.mean(), split.index, split.count)
    learner: Ridge | Logistic = Ridge() if classes is None else Logistic()
    setting = learner.cross_validate(problem).final
    model = learner.fit(problem, setting)
    beta = np.vstack([model.intercept, model.coef])
    rows = _rows(learn.X, model.mean, model.scale)
    penalty = weights.sum() * np.array(setting) * np.ones(beta.shape[1])
    precision = np.stack([np.diag(np.append(_INTERCEPT, np.full(len(beta) - 1, p))) for p in penalty])
    return Incremental(
        task.name,
        learn.feature_version,
        names_hash(learn.names),
        classes,
        share,
        model.mean,
        model.scale,
        beta,
        precision + _hessian(rows, beta, weights, classes is not None),
        np.unique(learn.row_ids),
        0,
    )


def unlearned(state: Incremental, data: TrainingSet) -> NDArray[np.bool_]:
    """[n] rows that ``update`` would learn from: not held out, not learned yet, of a class that the model knows."""
    rows = ~held_out(data.recordings, state.held_share) & ~np.isin(data.row_ids, state.row_ids)
    return rows if data.labels is None else rows & np.isin(data.labels, np.array(state.classes))


def fits(state: Incremental, data: TrainingSet) -> bool:
    """Whether ``data`` has the features that the state was learned from, in their order."""
    return (data.feature_version, names_hash(data.names)) == (state.feature_version, state.names_hash)


def new_classes(state: Incremental, data: TrainingSet) -> list[str]:
    """Classes of rows that could be learned from if the model knew them: ``start`` anew with them."""
    if data.labels is None:
        return []
    return sorted(set(data.labels[~held_out(data.recordings, state.held_share)].tolist()) - set(state.classes or ()))


def forgotten(state: Incremental, data: TrainingSet) -> NDArray[np.int64]:
    """Ids that were learned from and are no longer among ``data``, which is the whole present set: their people have
    withdrawn, or the label was corrected and is another row now. What was learned from a row cannot be taken out
    again; ``start`` anew without it."""
    return np.setdiff1d(state.row_ids, data.row_ids)


def update(state: Incremental, data: TrainingSet) -> Incremental:
    """The state after the rows of ``data`` that are ``unlearned``; the same state where none is.

    Raises BadInput for features of another version or order, and for values that are not finite.
    """
    _same_features(state, data)
    new = data.take(unlearned(state, data))
    if not len(new):
        return state
    finite = np.isfinite(new.X).all() and np.isfinite(new.weights).all() and (new.y is None or np.isfinite(new.y).all())
    if not finite or (new.weights <= 0).any():
        raise BadInput(f"new rows of {state.task}", "hold values that are not numbers", "extract their features again")
    with one_thread():
        beta, precision = _after(state, new)
    learned = np.union1d(state.row_ids, new.row_ids)
    return replace(state, beta=beta, precision=precision, row_ids=learned, updates=state.updates + 1)


def evaluate(
    state: Incremental,
    data: TrainingSet,
    task: Task,
    *,
    live: bytes | None = None,
    seen: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Figures on the held-out rows of ``data``: of this model, and of a ``live`` one (ONNX) on the same rows.

    The weekly training learns from all rows. Give the ids that the live model has ``seen``: they are left out, for it
    would know their answers. {"n": 0} where nothing is left to judge by.
    """
    _same_features(state, data)
    rows = held_out(data.recordings, state.held_share)
    if seen is not None:
        rows &= ~np.isin(data.row_ids, seen)
    held = data.take(rows)
    figures: dict[str, Any] = {"n": len(held), "n_groups": len(np.unique(held.recordings)), "updates": state.updates}
    if not len(held):
        return figures
    model = state.linear
    figures["incremental"] = _figures(held, task, apply_link(model.raw(held.X), model.link), state.classes)
    if live is not None:
        classes = onnx_export.classes_of(onnx_export.metadata_of(live))
        figures["live"] = _figures(held, task, onnx_export.run(live, held.X).astype(np.float64), classes)
    return figures


def to_onnx(state: Incremental, *, code_version: str = VERSION) -> bytes:
    """As ``training.train`` makes it; the metadata calls the estimator "incremental"."""
    metadata = {
        "task": state.task,
        "estimator": "incremental",
        "feature_version": state.feature_version,
        "names_hash": state.names_hash,
        "code_version": code_version,
    }
    if state.classes is not None:
        metadata["classes"] = json.dumps(state.classes, ensure_ascii=False)
    return onnx_export.to_onnx(state.linear, len(state.mean), metadata)


def _after(state: Incremental, new: TrainingSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients and precision once the new rows have been learned."""
    rows, weights = _rows(new.X, state.mean, state.scale), new.weights.astype(np.float64)
    Y = _targets(new, state.classes)
    if state.classes is None:
        precision = state.precision + _hessian(rows, state.beta, weights, False)
        held = np.einsum("tml,lt->mt", state.precision, state.beta) + rows.T @ (weights[:, None] * Y)
        beta = np.stack([np.linalg.solve(precision[t], held[:, t]) for t in range(Y.shape[1])], axis=1)
    else:
        beta = np.stack([_descend(state, t, rows, Y[:, t], weights) for t in range(Y.shape[1])], axis=1)
        precision = state.precision + _hessian(rows, beta, weights, True)
    return beta, precision


def _rows(X: NDArray[np.float32], mean: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.hstack([np.ones((len(X), 1)), (X - mean) / scale])


def _hessian(
    rows: NDArray[np.float64], beta: NDArray[np.float64], weights: NDArray[np.float64], classes: bool
) -> NDArray[np.float64]:
    """[k, m, m] second derivative of half the squared error, or of the log loss at ``beta``, summed over the rows."""
    if not classes:
        return np.repeat(((rows * weights[:, None]).T @ rows)[None], beta.shape[1], axis=0)
    from scipy.special import expit

    p = expit(rows @ beta)
    return np.stack([(rows * (weights * q * (1 - q))[:, None]).T @ rows for q in p.T])


def _descend(
    state: Incremental, t: int, rows: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[m] coefficients of class t of the least log loss over the new rows plus the old ones' quadratic."""
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import minimize
    from scipy.special import expit

    root = cholesky(state.precision[t], lower=True)
    start = state.beta[:, t]
    sign = 1 - 2 * y

    def value(u: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = sign * (rows @ (start + solve_triangular(root.T, u)))
        gradient = rows.T @ (weights * sign * expit(z))
        loss = float(weights @ np.logaddexp(0, z)) + 0.5 * float(u @ u)
        return loss, solve_triangular(root, gradient, lower=True) + u

    found = minimize(value, np.zeros(len(start)), jac=True, method="L-BFGS-B", options={"gtol": 1e-6, "ftol": 1e-12})
    return np.asarray(start + solve_triangular(root.T, found.x))


def _targets(data: TrainingSet, classes: tuple[str, ...] | None) -> NDArray[np.float64]:
    if data.labels is None or classes is None:
        return np.asarray(data.y, np.float64)
    return np.asarray(data.labels[:, None] == np.array(classes), np.float64)


def _same_features(state: Incremental, data: TrainingSet) -> None:
    if not fits(state, data):
        reason = f"learned from features {state.feature_version}, and these are {data.feature_version}"
        if data.feature_version == state.feature_version:
            reason = f"learned from other features, or in another order, of version {data.feature_version}"
        raise BadInput(f"state of {state.task}", reason, "start it anew from all rows")


def _figures(
    held: TrainingSet, task: Task, outputs: NDArray[np.float64], classes: tuple[str, ...] | None
) -> dict[str, Any]:
    """MAE and R2 a target, or accuracy, macro-F1 and log loss; weighted as in training. A class that a model does not
    know has probability 0 (at most 35 nats)."""
    weights = held.weights.astype(np.float64)
    if held.y is not None:
        mae = np.average(np.abs(held.y - outputs), axis=0, weights=weights)
        Y = held.y.astype(np.float64)
        scores = [r2(Y[:, t], outputs[:, t], weights) for t in range(Y.shape[1])]
        return {
            "mae": dict(zip(task.outputs, mae.tolist(), strict=True)),
            "r2": dict(zip(task.outputs, scores, strict=True)),
        }
    known = np.array(classes)
    truth = np.asarray(held.labels)[:, None] == known
    own = np.maximum((outputs * truth).sum(axis=1), 1e-15)
    named = known[outputs.argmax(axis=1)]
    every, place = np.unique(np.concatenate([np.asarray(held.labels), named]), return_inverse=True)
    return {
        "accuracy": float(np.average(named == held.labels, weights=weights)),
        "f1_macro": macro_f1(place[: len(held)], place[len(held) :], weights, len(every)),
        "log_loss": float(np.average(-np.log(own), weights=weights)),
    }
