"""The half beat: what the voices would like, and what they may."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.composing import tokens, voice_leading
from pipelines.composing.ornaments import ornament
from pipelines.composing.weights import CHOSEN

_SKELETON = np.array([[72, 67, 64, 48], [71, 67, 62, 55], [72, 67, 64, 60]])
_FREE = np.full((12, 3), tokens.UNKNOWN)


def _inside(*wanted: tuple[int, int, int]) -> np.ndarray:
    """Voices that want to stay, but for (beat, voice, pitch) on the half beat."""
    odds = np.full((12, 3, tokens.N_PITCHES), 1e-4, np.float32)
    for beat in range(3):
        for voice in range(3):
            odds[4 * beat : 4 * beat + 4, voice, tokens.index_of(_SKELETON[beat, voice + 1])] = 0.3
    for beat, voice, pitch in wanted:
        odds[4 * beat + 2 : 4 * beat + 4, voice, tokens.index_of(np.array(pitch))] = 0.65
    return np.log(odds)


def _soprano() -> np.ndarray:
    return np.repeat(_SKELETON[:, 0], 4)


def test_a_passing_note_that_is_likely_is_sung_and_the_beats_stay() -> None:
    frames = ornament(_SKELETON, _soprano(), _inside((1, 2, 57)), _FREE, CHOSEN)

    assert frames[4:8, 3].tolist() == [55, 55, 57, 57]
    assert (frames[::4] == _SKELETON).all()
    assert (frames[:, 0] == _soprano()).all()


def test_two_voices_that_would_go_in_octaves_do_not() -> None:
    both = [(0, 1, 62), (0, 2, 50)]  # tenor and bass to D, then both to where they are: a fifth and an octave apart
    skeleton = np.array([[72, 67, 60, 48], [71, 67, 64, 52], [72, 67, 60, 48]])
    inside = _inside(*both)
    inside[0:4, 1, tokens.index_of(np.array(60))] = np.log(0.3)

    frames = ornament(skeleton, np.repeat(skeleton[:, 0], 4), inside, _FREE, CHOSEN)

    assert voice_leading.parallels(frames, 2)[0].sum() == 0


def test_a_locked_half_beat_stays() -> None:
    locked = _FREE.copy()
    locked[6:8, 2] = 53
    locked[9, 0] = 70

    frames = ornament(_SKELETON, _soprano(), _inside((1, 2, 57)), locked, CHOSEN)

    assert frames[6:8, 3].tolist() == [53, 53]
    assert frames[9, 1] == 70


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
@example(17336)  # three voices wish for it at once
def test_no_parallels_arise_that_standing_still_would_not_have(seed: int) -> None:
    rng = np.random.default_rng(seed)
    white = np.array([pitch for pitch in range(45, 75) if pitch % 12 in (0, 2, 4, 5, 7, 9, 11)])
    skeleton = np.sort(rng.choice(white, (6, 4)), axis=1)[:, ::-1].copy()  # nothing in it asks to be left
    soprano = np.repeat(skeleton[:, 0], 4)
    inside = np.log(rng.dirichlet(np.full(tokens.N_PITCHES, 0.05), (24, 3)) + 1e-6).astype(np.float32)

    frames = ornament(skeleton, soprano, inside, np.full((24, 3), tokens.UNKNOWN), CHOSEN)

    still = np.repeat(skeleton, 4, axis=0)
    assert voice_leading.parallels(frames, 2).sum() <= voice_leading.parallels(still, 2).sum()
    assert ornament(skeleton[:0], soprano[:0], inside[:0], _FREE[:0], CHOSEN).shape == (0, 4)
