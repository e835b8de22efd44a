"""Training sets with a known rule, for tests and the benchmark of training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipelines.models.training_set import Task, TrainingSet

TARGETS = Task("master_reg", "regression", ("low", "high", "comp"), ("dB", "dB", "dB"), "mix", "Settings")
CLASSES = Task("preset_cls", "classification", (), (), "mix", "Preset")


def regression(
    n: int = 400, d: int = 12, *, recordings: int = 40, seed: int = 0, bend: float = 0.0, noise: float = 0.3, k: int = 3
) -> TrainingSet:
    """y is linear in what lies behind the features, plus ``bend`` times a sine of it, plus noise."""
    rng = np.random.default_rng(seed)
    hidden, X, recording = _rows(rng, n, d, recordings)
    y = hidden[:, :k] + bend * np.sin(2.5 * hidden[:, k : 2 * k]) + noise * rng.normal(size=(n, k))
    return _set(X, recording, rng, y=y.astype(np.float32))


def classification(
    n: int = 400, d: int = 12, *, classes: int = 3, recordings: int = 40, seed: int = 0, sharp: float = 3.0
) -> TrainingSet:
    """The class is the greatest of as many hidden values (times ``sharp``) after Gumbel noise: their softmax."""
    rng = np.random.default_rng(seed)
    hidden, X, recording = _rows(rng, n, d, recordings)
    drawn = (sharp * hidden[:, :classes] + rng.gumbel(size=(n, classes))).argmax(axis=1)
    return _set(X, recording, rng, labels=np.array(["bright", "clear", "dense", "even", "flat", "grand"])[drawn])


def identity(recordings: int = 40, each: int = 10, *, seed: int = 0) -> TrainingSet:
    """The label is drawn once a recording, and the features tell recordings apart and nothing else."""
    rng = np.random.default_rng(seed)
    recording = np.repeat(np.arange(recordings), each)
    X = rng.normal(size=(recordings, 30))[recording] + 0.05 * rng.normal(size=(recordings * each, 30))
    labels = np.array(["no", "yes"])[rng.permutation(np.arange(recordings) % 2)[recording]]
    return _set(X, recording, rng, labels=labels, weigh=False)


def ungrouped(data: TrainingSet) -> TrainingSet:
    """The same rows, each taken for a recording of its own."""
    return replace(data, recordings=np.array([f"row {i}" for i in range(len(data))]))


def _rows(
    rng: np.random.Generator, n: int, d: int, recordings: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    recording = np.sort(rng.integers(0, recordings, n))
    hidden = 0.6 * rng.normal(size=(recordings, d))[recording] + 0.8 * rng.normal(size=(n, d))
    mixing = np.eye(d) + 0.1 * rng.normal(size=(d, d))
    return hidden, 5 * hidden @ mixing - 60, recording  # about what levels in dB look like


def _set(
    X: NDArray[np.float64],
    recording: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    y: NDArray[np.float32] | None = None,
    labels: NDArray[np.str_] | None = None,
    weigh: bool = True,
) -> TrainingSet:
    n, d = X.shape
    return TrainingSet(
        "preset_cls" if y is None else "master_reg",
        X.astype(np.float32),
        y,
        labels,
        rng.choice([0.3, 1, 3], n).astype(np.float32) if weigh else np.ones(n, np.float32),
        np.array([f"song {i}" for i in recording]),
        np.array([f"{i % 7:016x}" for i in recording]),
        np.arange(1000, 1000 + n),
        "audio-1",
        tuple(f"mel {i}" for i in range(d)),
    )
