"""From what the network and the memory think to four voices: voicings, their chain, expected accuracy, ornaments.

All pitches are relative (tokens.py). Registers, keys, rests and locks are chorale.py's to bring into this form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import motion, tokens, voice_leading
from pipelines.composing.crf import Chain
from pipelines.composing.ornaments import ornament
from pipelines.composing.tokens import BEAT
from pipelines.composing.voicings import IMPOSSIBLE, Around, Bounds, Voicings, voicings
from pipelines.composing.weights import Weights

_TRIES = 6  # draws for a candidate that differs
_DIFFERENT = 0.25  # of the beats that can: another chord or another bass than in each earlier candidate


@dataclass(frozen=True, slots=True)
class Task:
    """``soprano`` int64[T] (T = 4 B), -1 where it rests; ``voices`` and ``chords``: harmonizer.Opinion's; ``locked``
    int64[T, 3]: -2 where the voice is free; ``bounds``: the same and the given chords at beats; ``shift``: relative
    to absolute; ``around``: the melody's; ``inside``: frames int64[T, 4] with only beats known -> log-probabilities
    float[T, 3, P]."""

    soprano: NDArray[np.int64]
    voices: NDArray[np.float32]
    chords: NDArray[np.float32]
    vocabulary: tokens.ChordVocabulary
    locked: NDArray[np.int64]
    bounds: Bounds
    shift: int
    around: Around
    inside: Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Setting:
    """``frames`` int64[T, 4]; ``log_likelihood``: of the beats' chords under the chain, nats a note."""

    frames: NDArray[np.int64]
    log_likelihood: float


def decode(task: Task, weights: Weights, candidates: int, seed: int, temperature: float) -> list[Setting]:
    """The setting with the most expected right notes, then others drawn from the chain by ``seed``, which differ."""
    found = voicings(
        task.soprano[::BEAT],
        task.voices,
        task.chords,
        task.vocabulary,
        task.bounds,
        task.shift,
        weights,
        task.around,
    )
    leaving = task.soprano.reshape(-1, BEAT)[:, BEAT // 2]
    between = motion.steps(found.chords, leaving, weights)
    costs = weights.parallel * between.parallel + weights.contrary * between.contrary + weights.turned * between.turned
    chain = Chain(found.scores, between.interval - costs)
    shares, log_z = chain.marginals()
    paths = [expected_best(found, between, shares, weights)]
    rng = np.random.default_rng(seed)
    while len(paths) < candidates:
        paths.append(_another(chain, found, paths, rng, temperature))
    return [_setting(task, found, path, chain, log_z, weights) for path in paths]


def expected_best(
    found: Voicings, between: motion.Steps, shares: NDArray[np.float64], weights: Weights
) -> NDArray[np.int64]:
    """The path int64[B] that has the most expected right notes and chords, rules being kept: minimum Bayes risk.

    A voicing is worth the probability of each of its notes, summed over all voicings that have it (``shares``, the
    chain's marginals), and ``gain_chord`` times that of its pitch-class set.
    """
    n_beats = len(shares)
    worth = np.zeros(shares.shape)
    row = np.arange(n_beats)[:, None] * (tokens.HIGHEST + 2)
    for voice in (voice_leading.ALTO, voice_leading.TENOR, voice_leading.BASS):
        cell = row + found.chords[:, :, voice] + 1
        total = np.bincount(cell.ravel(), shares.ravel(), minlength=n_beats * (tokens.HIGHEST + 2))
        worth += total[cell]
    sets = tokens.pitch_class_set(found.chords)
    worth += weights.gain_chord * ((sets[:, :, None] == sets[:, None, :]) * shares[:, None, :]).sum(axis=2)
    worth -= weights.gain_crossing * voice_leading.crossings(found.chords).sum(axis=2)
    worth -= weights.gain_fault * found.faults
    worth = np.where(found.scores > found.scores.max(axis=1, keepdims=True) - IMPOSSIBLE, worth, -np.inf)
    rules = weights.gain_parallel * between.parallel + weights.gain_contrary * between.contrary
    rules = rules + weights.gain_fault * weights.turned * between.turned.astype(np.float64)
    return Chain(worth, weights.gain_motion * between.interval - rules).best()[0]


def _another(
    chain: Chain, found: Voicings, paths: list[NDArray[np.int64]], rng: np.random.Generator, temperature: float
) -> NDArray[np.int64]:
    """A path drawn by its probability; the first of a few draws, each warmer, that differs audibly from every earlier
    path, else the one that differs most."""
    sets = tokens.pitch_class_set(found.chords)
    beats = np.arange(len(sets))
    best, furthest = paths[0], -1.0
    for attempt in range(_TRIES):
        path = chain.tempered(temperature * (1 + 0.25 * attempt)).drawn(rng)
        apart = min(
            float(
                (
                    (sets[beats, path] != sets[beats, earlier])
                    | (found.chords[beats, path, 3] != found.chords[beats, earlier, 3])
                ).mean()
            )
            for earlier in paths
        )
        if apart > furthest:
            best, furthest = path, apart
        if apart >= _DIFFERENT:
            break
    return best


def _setting(
    task: Task, found: Voicings, path: NDArray[np.int64], chain: Chain, log_z: float, weights: Weights
) -> Setting:
    skeleton = found.chords[np.arange(len(path)), path]
    known = np.full((len(task.soprano), 4), tokens.UNKNOWN)
    known[:, 1:] = task.locked
    known[::BEAT] = skeleton
    known[:, 0] = task.soprano
    frames = ornament(skeleton, task.soprano, task.inside(known), task.locked, weights, task.shift, task.around)
    notes = 3 * max(len(path), 1)
    return Setting(frames, (chain.score(path) - log_z) / notes)
