"""Which voicings are weighed: likely ones, within locks and given chords."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.composing import tokens, voice_leading
from pipelines.composing.voicings import IMPOSSIBLE, Bounds, voicings
from pipelines.composing.weights import CHOSEN

_VOCABULARY = tokens.ChordVocabulary.of([np.repeat([[72, 67, 64, 48], [71, 67, 62, 55]], 8, axis=0)])
_SOPRANO = np.array([72, 71])


def _opinions(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    voices = rng.normal(0, 2, (2, 3, tokens.N_PITCHES)).astype(np.float32)
    return voices, rng.normal(0, 1, (2, len(_VOCABULARY))).astype(np.float32)


def test_every_combination_is_found_when_there_is_room_and_the_best_are_kept() -> None:
    weights = replace(CHOSEN, pitches=8, candidates=512)
    everything = voicings(_SOPRANO, *_opinions(), _VOCABULARY, Bounds.none(2), 0, weights)
    some = voicings(_SOPRANO, *_opinions(), _VOCABULARY, Bounds.none(2), 0, replace(weights, candidates=10))

    assert everything.chords.shape == (2, 512, 4)
    assert (everything.chords[..., 0] == _SOPRANO[:, None]).all()
    for beat in range(2):
        assert len(np.unique(everything.chords[beat], axis=0)) == 512
        assert sorted(some.scores[beat]) == pytest.approx(sorted(everything.scores[beat])[-10:])


def test_ranges_and_crossing_cost() -> None:
    voices = np.zeros((2, 3, tokens.N_PITCHES), np.float32)
    chords = np.zeros((2, len(_VOCABULARY)), np.float32)

    found = voicings(_SOPRANO, voices, chords, _VOCABULARY, Bounds.none(2), 0, CHOSEN)

    assert not voice_leading.crossings(found.chords).any()
    assert not voice_leading.out_of_range(found.chords)[..., 1:].any()


def test_locks_and_given_chords_leave_only_what_they_allow() -> None:
    locked = np.full((2, 3), tokens.UNKNOWN)
    locked[0] = [65, tokens.UNKNOWN, tokens.REST]
    f_major = sum(1 << pitch_class for pitch_class in (5, 9, 0))
    bounds = Bounds(locked, np.array([0, f_major]), np.array([-1, 9]))

    found = voicings(_SOPRANO, *_opinions(), _VOCABULARY, bounds, 0, CHOSEN)
    possible = found.scores > found.scores.max(axis=1, keepdims=True) - IMPOSSIBLE

    first, second = found.chords[0][possible[0]], found.chords[1][possible[1]]
    assert (first[:, 1] == 65).all()
    assert (first[:, 3] == tokens.REST).all()
    assert len(np.unique(first[:, 2])) > 1
    assert np.isin(second[:, 1:] % 12, (5, 9, 0)).all()
    assert (second[:, 3] % 12 == 9).all()
