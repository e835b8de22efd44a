"""What going from one voicing to the next is worth: each voice's interval, as learned, and what rules cost.

The rules themselves are voice_leading.py's, their weights weights.py's; the chain that adds them up is crf.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import sonorities, tokens, voice_leading
from pipelines.composing.voice_leading import LOWER, UPPER
from pipelines.composing.weights import REACH, Weights


@dataclass(frozen=True, slots=True)
class Steps:
    """Between the voicings of neighbouring beats, [B - 1, K, K] each: ``interval`` float32 (log-odds of the three
    voices' intervals), and how many ``parallel`` (similar motion) and ``contrary`` consecutive fifths and octaves
    uint8 there are, seen at beats and from the soprano's last eighth of a beat; ``turned`` bool: the root stays and its
    third changes between minor and major."""

    interval: NDArray[np.float32]
    parallel: NDArray[np.uint8]
    contrary: NDArray[np.uint8]
    turned: NDArray[np.bool_]


def steps(chords: NDArray[np.int64], leaving: NDArray[np.int64], weights: Weights) -> Steps:
    """``chords`` int64[B, K, 4] (voicings.Voicings); ``leaving`` int64[B]: the soprano at each beat's second eighth."""
    n_steps, n_candidates = max(len(chords) - 1, 0), chords.shape[1]
    shape = (n_steps, n_candidates, n_candidates)
    interval = np.zeros(shape, np.float32)
    parallel, contrary = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    if not n_steps:
        return Steps(interval, parallel, contrary, np.zeros(shape, bool))
    table = np.asarray(weights.intervals, np.float32)
    directions = []
    for voice in range(3):
        pitches = chords[:, :, voice + 1].astype(np.int8)
        step = pitches[1:, None, :] - pitches[:-1, :, None]
        if pitches.min() < 0:
            step *= (pitches[1:, None, :] >= 0) & (pitches[:-1, :, None] >= 0)
        directions.append(np.sign(step))
        interval += table[voice].take(step + np.int8(REACH), mode="clip")
    perfect = voice_leading.perfect_intervals(chords)  # [B, K, 6]
    soprano = chords[:, 0, 0]
    passes = leaving != soprano
    if passes[:-1].any():
        passing = np.where(passes[:, None, None], chords, tokens.REST)
        passing[:, :, 0] = np.where(passes, leaving, tokens.REST)[:, None]
        passed = voice_leading.perfect_intervals(passing)
    for pair, (upper, lower) in enumerate(zip(UPPER, LOWER, strict=True)):
        low = directions[lower - 1]
        if upper:
            _count(perfect[:-1, :, pair], perfect[1:, :, pair], directions[upper - 1], low, parallel, contrary)
            continue
        upward = np.sign(soprano[1:] - soprano[:-1]).astype(np.int8)[:, None, None]
        _count(perfect[:-1, :, pair], perfect[1:, :, pair], upward, low, parallel, contrary)
        if passes[:-1].any():
            upward = np.sign(soprano[1:] - leaving[:-1]).astype(np.int8)[:, None, None]
            _count(passed[:-1, :, pair], perfect[1:, :, pair], upward, low, parallel, contrary)
    third = sonorities.thirds()[tokens.pitch_class_set(chords)]
    turned = (third[:-1, :, None] ^ 1) == third[1:, None, :]  # -1 becomes -2, which is none
    return Steps(interval, parallel, contrary, turned)


def _count(
    before: NDArray[np.int8],
    after: NDArray[np.int8],
    upper: NDArray[np.int8],
    lower: NDArray[np.int8],
    parallel: NDArray[np.uint8],
    contrary: NDArray[np.uint8],
) -> None:
    """Adds where a pair's perfect intervals [B - 1, K] stay of a class while both voices move, by their directions."""
    if not (before.any() and after.any()):
        return
    same = before[:, :, None] == np.where(after > 0, after, np.int8(-1))[:, None, :]
    together = upper * lower
    parallel += same & (together > 0)
    contrary += same & (together < 0)
