"""The vocabularies of pitches and chords."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.composing import tokens


@given(st.lists(st.integers(-1, 140), min_size=1, max_size=40), st.integers(-30, 30))
def test_pitches_keep_their_class_whatever_their_octave(pitches: list[int], shift: int) -> None:
    near = tokens.relative(np.array(pitches), shift)
    near = near[near != tokens.UNKNOWN]
    back = tokens.pitch_of(tokens.index_of(near))
    sung = near >= 0
    assert ((back[sung] - near[sung]) % 12 == 0).all()
    assert ((back[sung] >= tokens.LOWEST) & (back[sung] <= tokens.HIGHEST)).all()
    inside = (near >= tokens.LOWEST) & (near <= tokens.HIGHEST)
    np.testing.assert_array_equal(back[inside], near[inside])
    np.testing.assert_array_equal(back[near == tokens.REST], tokens.REST)


def test_the_octave_is_chosen_by_the_melodys_own_height() -> None:
    melody = np.array([60, 62, 64, 65, 67])
    shifts = {tokens.shift_of(melody + 12 * by, 0) - 12 * by for by in range(5)}
    assert shifts == {0}
    assert tokens.shift_of(np.full(4, -1), 2) == 2


def test_chords_are_told_apart_by_their_pitch_classes_and_bass() -> None:
    piece = np.array(
        [[72, 67, 64, 48]] * 12 + [[72, 69, 65, 53]] * 16 + [[72, 69, 65, 57]] * 12 + [[71, 67, 62, 55]] * 4
    )
    vocabulary = tokens.ChordVocabulary.of([piece])
    assert len(vocabulary) == 4
    np.testing.assert_array_equal(vocabulary.classes(piece[::4]), [2] * 3 + [1] * 4 + [3] * 3 + [0])
    assert vocabulary.classes(np.array([65, 69, 60, 41])) == 1


@pytest.mark.parametrize("voices", [[-1, -1, -1, -1], [60, -1, 64, -1]], ids=["silence", "no bass"])
def test_rests_are_no_pitch_class(voices: list[int]) -> None:
    vocabulary = tokens.ChordVocabulary.of([np.array([voices])], least=1)
    assert vocabulary.classes(np.array(voices)) == 1
    assert vocabulary.classes(np.array([60, 64, 67, 48])) == 0
