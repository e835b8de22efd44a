"""Makes live.json from the training chorales: the weights of live_key.py and the counts of foresight.py.

``python -m pipelines.composing.live_training`` takes some seconds; the penalty was chosen on valid.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import foresight, live_key
from pipelines.composing.corpus import Chorale, load
from pipelines.composing.live_key import N_FEATURES, LiveModel

BEAT = 4  # frames
BEGINNINGS = (2, 4, 6, 8, 12, 16, 24, 32, 48)  # beats
PENALTY = 0.001  # L2; .0003 to .01 were tried


def beginnings(pieces: Iterable[Chorale]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Of n beginnings of melodies: features float64[n, N_FEATURES, 12], keys int64[n] of 24, their beats int64[n]."""
    rows, keys, beats = [], [], []
    for piece in pieces:
        line = piece.frames[:, 0]
        starts = np.flatnonzero(np.concatenate([[True], line[1:] != line[:-1]]))
        ends = np.append(starts[1:], len(line))
        for n in BEGINNINGS:
            heard = (starts < n * BEAT) & (line[starts] >= 0)
            if n * BEAT > len(line) or not heard.any():
                continue
            lengths = np.minimum(ends[heard], n * BEAT) - starts[heard]
            rows.append(live_key.features(line[starts][heard], lengths / BEAT))
            keys.append(piece.key.tonic + 12 * piece.key.minor)
            beats.append(n)
    return np.array(rows), np.array(keys), np.array(beats)


def fit_key(pieces: Iterable[Chorale], penalty: float = PENALTY) -> tuple[NDArray[np.float64], float]:
    """Weights float64[2, N_FEATURES, 12] and the minor keys' bias: multinomial logistic regression over 24 keys, tied
    across transposition."""
    from scipy.optimize import minimize

    found, keys, _ = beginnings(pieces)
    seen = live_key.turned(found)  # [n, features, tonics, degrees]
    n, place = len(keys), np.arange(len(keys))

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat[:-1].reshape(2, N_FEATURES, 12)
        scores = np.einsum("nftd,mfd->nmt", seen, weights, optimize=True)
        scores[:, 1] += flat[-1]
        chances = np.exp(scores.reshape(n, 24) - scores.max(axis=(1, 2))[:, None])
        chances /= chances.sum(axis=1, keepdims=True)
        nats = -np.log(np.maximum(chances[place, keys], 1e-30)).mean()
        chances[place, keys] -= 1
        slope = chances.reshape(n, 2, 12) / n
        gradient = np.einsum("nmt,nftd->mfd", slope, seen, optimize=True)
        whole = np.append(gradient.ravel(), slope[:, 1].sum())
        return float(nats + penalty * (flat @ flat) / 2), whole + penalty * flat

    fitted = minimize(loss, np.zeros(2 * N_FEATURES * 12 + 1), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return np.round(fitted[:-1].reshape(2, N_FEATURES, 12), 3), round(float(fitted[-1]), 3)


def count_melodies(pieces: Iterable[Chorale]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often a beat's first note follows another: by mode and degree [2, 12, outcomes], and by the interval before
    that, too [2, 12, 7, outcomes]."""
    first = np.zeros((2, 12, foresight.N_OUTCOMES))
    second = np.zeros((2, 12, 2 * foresight._SMALL + 1, foresight.N_OUTCOMES))
    for piece in pieces:
        minor, line = int(piece.minor), piece.frames[::BEAT, 0]
        sounded: list[int] = []
        for pitch in line.tolist():
            if sounded:
                degree = (sounded[-1] - piece.key.tonic) % 12
                came = foresight.outcome(sounded[-1], pitch)
                first[minor, degree, came] += 1
                if len(sounded) > 1:
                    second[minor, degree, foresight.small(sounded[-1] - sounded[-2]), came] += 1
            if pitch != foresight.REST:
                sounded = [*sounded[-1:], pitch]
    return first, second


def train(pieces: Iterable[Chorale]) -> LiveModel:
    pieces = tuple(pieces)
    return LiveModel(*fit_key(pieces), *count_melodies(pieces))


def write(model: LiveModel, path: Path = live_key.SHIPPED) -> None:
    counts = {"first": model.first.astype(int).tolist(), "second": model.second.astype(int).tolist()}
    held = {"key": model.key.tolist(), "minor": model.minor, **counts}
    path.write_text(json.dumps(held, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(train(load().train))
