"""Simpler harmonisers that the model must beat, learned from the training chorales alone: fixed intervals, the most
frequent voicing, a hidden Markov model, boosted trees, and the model's own network without all that follows it.

They are told the soprano and find its key as everybody must; how well they do is metrics.py's. None is ever served.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import tokens
from pipelines.composing.corpus import Chorale
from pipelines.composing.key import of_frames
from pipelines.composing.tokens import BEAT, REST

if TYPE_CHECKING:
    from pipelines.composing.harmonizer import Harmonizer

Completer = Callable[[NDArray[np.int64]], NDArray[np.int64]]  # int64[T] MIDI pitches, -1 rests -> int64[T, 4]

_WIDEST = 30  # semitones
_VOICINGS = 80  # under one degree, the most frequent ones
_PRIOR, _CHORDS, _LEADING = 50.0, 0.7, 0.3  # chords counted before any was heard; exponents of chords and of intervals
_AROUND = (-32, -24, -16, -12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # sixteenths, for a tree
_AWAY = -99  # beyond the piece's ends, to a tree
_LEAST = 30  # eighths at which a pitch must be sung to be a class of its own


def fixed_intervals(train: Sequence[Chorale]) -> Completer:
    """Each voice at the distance below the soprano that it most often has."""
    apart = [
        _commonest((piece.frames[:, 0] - piece.frames[:, voice])[(piece.frames >= 0).all(axis=1)] for piece in train)
        for voice in (1, 2, 3)
    ]

    def complete(soprano: NDArray[np.int64]) -> NDArray[np.int64]:
        made = soprano[:, None] - np.array([0, *apart])
        return np.where(soprano[:, None] >= 0, np.maximum(made, 0), REST)

    return complete


def most_frequent_voicing(train: Sequence[Chorale]) -> Completer:
    """At every sixteenth the three lower voices that are most often heard under this degree in this mode."""
    heard: defaultdict[tuple[bool, int], Counter[tuple[int, ...]]] = defaultdict(Counter)
    for piece in train:
        for chord in piece.relative.tolist():
            heard[piece.minor, chord[0]][tuple(chord[1:])] += 1

    def voiced(relative: NDArray[np.int64], minor: bool, shift: int) -> NDArray[np.int64]:
        best = {pitch: _heard(heard, minor, pitch).most_common(1)[0][0] for pitch in set(relative.tolist())}
        return np.array([best[pitch] for pitch in relative.tolist()], np.int64)

    return _in_key(voiced)


def hidden_markov(train: Sequence[Chorale]) -> Completer:
    """A first-order hidden Markov model, a state a beat: which voicing of alto, tenor and bass is hidden, the soprano's
    degree is seen; the likeliest sequence (Viterbi) is held through each beat.

    A voicing's share under this degree, times how much likelier its chord (pitch classes and bass) is after the chord
    before, times how often each voice takes such an interval. Exponents and smoothing were chosen on validation: the
    plain product has .311 of the sixteenths there, this one .341.
    """
    vocabulary = tokens.ChordVocabulary.of(piece.relative for piece in train)
    n = len(vocabulary)
    moves, shares = np.zeros((2, n, n)), np.full((2, n), 0.1)
    intervals = np.full((2, 3, 2 * _WIDEST + 1), 0.05)
    under: defaultdict[tuple[bool, int], Counter[tuple[int, ...]]] = defaultdict(Counter)
    for piece in train:
        beats = piece.relative[::BEAT]
        chords, mode = vocabulary.classes(beats), int(piece.minor)
        np.add.at(moves[mode], (chords[:-1], chords[1:]), 1)
        np.add.at(shares[mode], chords, 1)
        for voice, steps in enumerate(_steps(beats[:-1, None, 1:], beats[1:, None, 1:]).reshape(-1, 3).T):
            np.add.at(intervals[mode, voice], steps, 1)
        for chord in beats.tolist():
            under[piece.minor, chord[0]][tuple(chord[1:])] += 1
    shares /= shares.sum(axis=1, keepdims=True)
    likelier = np.log(
        (moves + _PRIOR * shares[:, None]) / (moves.sum(axis=2, keepdims=True) + _PRIOR) / shares[:, None]
    )
    taken = np.log(intervals / intervals.sum(axis=2, keepdims=True))

    def voiced(relative: NDArray[np.int64], minor: bool, shift: int) -> NDArray[np.int64]:
        beats, mode = relative[::BEAT], int(minor)
        found = [_heard(under, minor, pitch).most_common(_VOICINGS) for pitch in beats.tolist()]
        states = [np.array([voicing for voicing, _ in counted], np.int64) for counted in found]
        emitted = [np.log([count for _, count in c]) - np.log(sum(count for _, count in c)) for c in found]
        chords = [
            vocabulary.classes(np.column_stack([np.full(len(s), pitch), s]))
            for s, pitch in zip(states, beats.tolist(), strict=True)
        ]

        def moved(beat: int) -> NDArray[np.float64]:
            steps = _steps(states[beat - 1][:, None], states[beat][None])
            led = np.stack([taken[mode, voice][steps[..., voice]] for voice in range(3)]).sum(axis=0)
            total: NDArray[np.float64] = (
                _CHORDS * likelier[mode][chords[beat - 1][:, None], chords[beat]] + _LEADING * led
            )
            return total

        path = _viterbi(emitted, moved)
        made = np.array([state[at] for state, at in zip(states, path, strict=True)], np.int64)
        return np.repeat(made, BEAT, axis=0)[: len(relative)]

    return _in_key(voiced)


def boosted_trees(train: Sequence[Chorale], *, rounds: int = 80, seed: int = 0) -> Completer:
    """LightGBM: a classifier a voice over the pitch at each sixteenth, from the soprano around it, the place in the
    beat and the distance to the ends. The voices do not know of each other. Trees were sized on validation."""
    import lightgbm

    features = np.concatenate([_around(piece.relative[:, 0], piece.minor)[::2] for piece in train])
    ensembles: list[tuple[Any, NDArray[np.int64]]] = []
    for voice in (1, 2, 3):
        sung = np.concatenate([piece.relative[::2, voice] for piece in train])
        pitches, counts = np.unique(sung, return_counts=True)
        pitches = pitches[counts >= min(_LEAST, counts.max())]
        kept = np.isin(sung, pitches)
        settings = {
            "objective": "multiclass",
            "num_class": len(pitches),
            "learning_rate": 0.08,
            "num_leaves": 31,
            "min_sum_hessian_in_leaf": 1.0,
            "lambda_l2": 5.0,
            "feature_fraction": 0.7,
            "max_bin": 63,
            "num_threads": 1,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(features[kept], np.searchsorted(pitches, sung[kept]))
        ensembles.append((lightgbm.train(settings, data, rounds), pitches))

    def voiced(relative: NDArray[np.int64], minor: bool, shift: int) -> NDArray[np.int64]:
        told = _around(relative, minor)
        return np.stack([pitches[np.argmax(model.predict(told), axis=1)] for model, pitches in ensembles], axis=1)

    return _in_key(voiced)


def one_shot(harmonizer: Harmonizer) -> Completer:
    """The network of a harmoniser without its memory and without decoding: the likeliest pitch of each voice at each
    beat, given the soprano alone, then the likeliest inside the beats, given those."""
    from dataclasses import replace

    from pipelines.composing.memory import Memory

    alone = replace(harmonizer, memory=Memory.of(()))

    def voiced(relative: NDArray[np.int64], minor: bool, shift: int) -> NDArray[np.int64]:
        filled = np.pad(relative, (0, -len(relative) % BEAT), mode="edge")
        frames = np.full((len(filled), 4), tokens.UNKNOWN)
        frames[:, 0] = filled
        frames[::BEAT, 1:] = tokens.pitch_of(alone.skeleton(filled, minor, None, shift).voices.argmax(axis=-1))
        return tokens.pitch_of(alone.inside(frames, minor, shift).argmax(axis=-1))[: len(relative)]

    return _in_key(voiced)


def _in_key(voiced: Callable[[NDArray[np.int64], bool, int], NDArray[np.int64]]) -> Completer:
    """Of a harmoniser of tonic-relative sopranos: int64[T], whether it is minor, its shift; to three voices [T, 3]."""

    def complete(soprano: NDArray[np.int64]) -> NDArray[np.int64]:
        if not (soprano >= 0).any():
            return np.full((len(soprano), 4), REST, np.int64)
        key = of_frames(soprano).key
        shift = tokens.shift_of(soprano, key.tonic)
        lower = tokens.absolute(voiced(tokens.relative(soprano, shift), key.minor, shift), shift)
        return np.column_stack([soprano, np.where(lower < 0, REST, lower)])

    return complete


def _commonest(values: Iterable[NDArray[np.int64]]) -> int:
    found, counts = np.unique(np.concatenate(list(values)), return_counts=True)
    return int(found[counts.argmax()])


def _heard(
    under: Mapping[tuple[bool, int], Counter[tuple[int, ...]]], minor: bool, pitch: int
) -> Counter[tuple[int, ...]]:
    """What was heard under this degree; under the nearest one in this mode when it never occurred."""
    if (minor, pitch) in under:
        return under[minor, pitch]
    if pitch == REST:
        return Counter({(REST, REST, REST): 1})
    _, near = min((abs(known - pitch), known) for mode, known in under if mode == minor and known >= 0)
    return under[minor, near]


def _steps(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.int64]:
    """Intervals as places in a table of 2 x _WIDEST + 1; from or to a rest, none."""
    apart = np.where((before >= 0) & (after >= 0), after - before, 0)
    return np.clip(apart, -_WIDEST, _WIDEST) + _WIDEST


def _viterbi(emitted: Sequence[NDArray[np.float64]], moved: Callable[[int], NDArray[np.float64]]) -> list[int]:
    """The likeliest state of each beat: ``emitted`` log-probabilities [n of the beat] each, ``moved(beat)`` those of
    coming from the states of the beat before, [n before, n]."""
    score, came = emitted[0], []
    for beat in range(1, len(emitted)):
        reached = score[:, None] + moved(beat)
        came.append(reached.argmax(axis=0))
        score = reached.max(axis=0) + emitted[beat]
    path = [int(score.argmax())]
    for back in reversed(came):
        path.append(int(back[path[-1]]))
    return path[::-1]


def _around(relative: NDArray[np.int64], minor: bool) -> NDArray[np.int64]:
    """int64[T, features] of a soprano int64[T]."""
    frames = np.arange(len(relative))
    at = frames[:, None] + np.array(_AROUND)
    inside = (at >= 0) & (at < len(relative))
    pitches = np.where(inside, relative[np.clip(at, 0, len(relative) - 1)], _AWAY)
    since, until = np.minimum(frames, 32), np.minimum(len(relative) - 1 - frames, 32)
    return np.column_stack([pitches, frames % BEAT, since, until, np.full(len(relative), int(minor))])
