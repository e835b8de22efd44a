"""Which notes of a chorale are hidden from the network while it learns to find them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.tokens import BEAT, UNKNOWN

_SHARES = (0.42, 0.1, 0.2, 0.1, 0.18)  # all voices, whole voices, notes at random, runs of beats, none


def hide(frames: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A copy of int64[T, 4] with -2 at what is hidden of alto, tenor and bass; the soprano is always known."""
    n = len(frames) // BEAT
    kind = rng.choice(len(_SHARES), p=_SHARES)
    hidden = np.ones((n, 3), bool)
    if kind == 1:
        voices = rng.permutation(3)[: rng.integers(1, 3)]
        hidden[:, voices] = False
    elif kind == 2:
        hidden = rng.random((n, 3)) < rng.random()
    elif kind == 3:
        hidden[:] = False
        for _ in range(rng.integers(1, 5)):
            start, length = rng.integers(0, n), rng.integers(1, 17)
            hidden[start : start + length] = True
    elif kind == 4:
        hidden[:] = False
    inside = rng.random((n, BEAT, 3)) < (1.0 if rng.random() < 0.6 else rng.random())
    inside[:, 0] = False
    result = frames.reshape(n, BEAT, 4).copy()
    result[..., 1:][hidden[:, None] | inside] = UNKNOWN
    return result.reshape(-1, 4)
