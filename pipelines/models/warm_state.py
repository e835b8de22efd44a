"""What a model that learns between the trainings remembers, and how that is kept: safetensors, numbers and no code.

How it learns is in partial_fit.py; when, in incremental.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models.estimators import Linear, Link

_FORMAT = 1
_ARRAYS = ("mean", "scale", "beta", "precision", "row_ids")


@dataclass(frozen=True, slots=True)
class Incremental:
    """A linear model, the rows that it has learned from, and how firmly they hold it where it is.

    To new rows the old ones are a quadratic: the Hessian of their loss and penalty at the coefficients that they led
    to. For a regression that is no approximation. Stochastic gradient descent, which keeps no such memory, made the
    model worse with every hundred rows (benchmarks/bench_training.py).
    """

    task: str
    feature_version: str
    names_hash: str
    classes: tuple[str, ...] | None
    held_share: float  # of the recordings, kept for judging
    mean: NDArray[np.float64]  # [d] of the first rows; the standardisation stays as it began
    scale: NDArray[np.float64]  # [d]
    beta: NDArray[np.float64]  # [1 + d, k] intercepts, then coefficients
    precision: NDArray[np.float64]  # [k, 1 + d, 1 + d]
    row_ids: NDArray[np.int64]  # learned from, sorted
    updates: int

    @property
    def linear(self) -> Linear:
        link: Link = "identity" if self.classes is None else "one_vs_rest"
        return Linear(self.mean, self.scale, self.beta[1:], self.beta[0], link)


def dumps(state: Incremental) -> bytes:
    """The state as safetensors; equal states give equal bytes."""
    from safetensors.numpy import save

    told = {
        "format": _FORMAT,
        "task": state.task,
        "feature_version": state.feature_version,
        "names_hash": state.names_hash,
        "classes": state.classes,
        "held_share": state.held_share,
        "updates": state.updates,
    }
    # One key: safetensors write several in any order.
    metadata = {"state": json.dumps(told, sort_keys=True, ensure_ascii=False)}
    return bytes(save({name: np.ascontiguousarray(getattr(state, name)) for name in _ARRAYS}, metadata))


def loads(data: bytes) -> Incremental:
    """Raises BadInput for bytes that are not a whole state of this format."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        length = int.from_bytes(data[:8], "little")
        told = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["state"])
        if told.pop("format") != _FORMAT:
            raise KeyError("format")
        classes = told.pop("classes")
        parts: dict[str, Any] = {**told, **{name: arrays[name] for name in _ARRAYS}}
        state = Incremental(classes=None if classes is None else tuple(classes), **parts)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadInput("state of a model", "is damaged or of another format", "start it anew from all rows") from error
    m, k = state.beta.shape
    if state.precision.shape != (k, m, m) or not len(state.mean) == len(state.scale) == m - 1:
        raise BadInput("state of a model", "its parts do not fit together", "start it anew from all rows")
    return state
