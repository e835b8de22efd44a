"""What going from one voicing to the next is worth: each voice's interval, as learned, and what rules cost.

The rules themselves are voice_leading.py's, their weights weights.py's; the chain that adds them up is crf.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import voice_leading
from pipelines.composing.voice_leading import LOWER, PERFECT, UPPER
from pipelines.composing.weights import REACH, Weights

_INNER_PAIRS = tuple(pair for pair in range(6) if UPPER[pair] > 0)


@dataclass(frozen=True, slots=True)
class Steps:
    """Between the voicings of neighbouring beats, [B - 1, K, K] each: ``interval`` float64 (log-odds of the three
    voices' intervals), and how many ``parallel`` (similar motion) and ``contrary`` consecutive fifths and octaves
    uint8 there are, seen at beats and from the soprano's last eighth of a beat."""

    interval: NDArray[np.float64]
    parallel: NDArray[np.uint8]
    contrary: NDArray[np.uint8]


def steps(chords: NDArray[np.int64], leaving: NDArray[np.int64], weights: Weights) -> Steps:
    """``chords`` int64[B, K, 4] (voicings.Voicings); ``leaving`` int64[B]: the soprano at each beat's second eighth."""
    n_steps, n_candidates = max(len(chords) - 1, 0), chords.shape[1]
    shape = (n_steps, n_candidates, n_candidates)
    interval = np.zeros(shape)
    parallel, contrary = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    if not n_steps:
        return Steps(interval, parallel, contrary)
    small = chords.astype(np.int16)
    before, after = small[:-1, :, None, 1:], small[1:, None, :, 1:]
    sings = (before >= 0) & (after >= 0)
    step = np.where(sings, after - before, 0)  # [B - 1, K, K, 3]
    reached = np.clip(step, -REACH, REACH) + REACH
    table = np.asarray(weights.intervals)
    for voice in range(3):
        interval += table[voice][reached[..., voice]]
    direction = np.sign(step).astype(np.int8)
    perfect = voice_leading.perfect_intervals(chords)  # [B, K, 6]
    for pair in _INNER_PAIRS:
        same = (perfect[:-1, :, None, pair] == perfect[1:, None, :, pair]) & (perfect[:-1, :, None, pair] > 0)
        _count(same, direction[..., UPPER[pair] - 1], direction[..., LOWER[pair] - 1], parallel, contrary)
    _with_soprano(chords, chords[:, 0, 0], perfect[:-1], perfect, direction, parallel, contrary)
    moves = leaving != chords[:, 0, 0]
    if moves[:-1].any():
        sung = (leaving[:, None, None] >= 0) & (chords[:, :, 1:] >= 0)
        passed = np.where(sung, PERFECT[(leaving[:, None, None] - chords[:, :, 1:]) % 12], 0) * moves[:, None, None]
        _with_soprano(chords, leaving, passed[:-1], perfect, direction, parallel, contrary)
    return Steps(interval, parallel, contrary)


def _with_soprano(
    chords: NDArray[np.int64],
    soprano: NDArray[np.int64],
    left: NDArray[np.int8],
    perfect: NDArray[np.int8],
    direction: NDArray[np.int8],
    parallel: NDArray[np.uint8],
    contrary: NDArray[np.uint8],
) -> None:
    """Counts consecutives with the soprano, which goes from ``soprano`` [B] to the next beat's first pitch and leaves
    the perfect intervals ``left`` [B - 1, K, 3 or more]; the first three pairs are the soprano's."""
    upward = np.sign(chords[1:, 0, 0] - soprano[:-1]).astype(np.int8)
    for pair in range(3):
        same = (left[:, :, None, pair] == perfect[1:, None, :, pair]) & (left[:, :, None, pair] > 0)
        if same.any():
            _count(same, upward[:, None, None], direction[..., pair], parallel, contrary)


def _count(
    same: NDArray[np.bool_],
    upper: NDArray[np.int8],
    lower: NDArray[np.int8],
    parallel: NDArray[np.uint8],
    contrary: NDArray[np.uint8],
) -> None:
    together = upper * lower
    parallel += same & (together > 0)
    contrary += same & (together < 0)
