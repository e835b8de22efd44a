"""Held or sung anew, on a few bars of hand-written voices."""

from __future__ import annotations

import numpy as np

from pipelines.composing import ties


def _voices(*columns: list[int]) -> np.ndarray:
    return np.repeat(np.array(columns).T, 2, axis=0)  # an entry is an eighth


def test_a_repeated_pitch_is_struck_with_the_melody_on_the_beat_and_held_inside_it() -> None:
    frames = _voices([72, 74, 76, 76], [67, 67, 67, 67], [60, 60, 60, 62], [48, 48, 48, 48])
    struck = ties.onsets(frames, ties.heard_onsets(frames[:, 0]))

    assert np.flatnonzero(struck[:, 0]).tolist() == [0, 2, 4]
    assert np.flatnonzero(struck[:, 1]).tolist() == [0, 4]  # not at 2: the melody's passing note
    assert np.flatnonzero(struck[:, 2]).tolist() == [0, 4, 6]


def test_a_melody_that_repeats_its_note_says_so() -> None:
    frames = _voices([72] * 8, [67] * 8, [60] * 8, [48] * 8)
    melody = np.zeros(16, bool)
    melody[[0, 8, 10]] = True
    struck = ties.onsets(frames, melody)

    assert np.flatnonzero(struck[:, 0]).tolist() == [0, 8, 10]
    assert np.flatnonzero(struck[:, 1]).tolist() == [0, 8]


def test_a_chord_that_changes_at_the_bar_line_is_struck_under_a_long_note() -> None:
    frames = _voices([72] * 8, [67] * 8, [60] * 4 + [62] * 4, [48] * 8)
    level = np.array([3, 1, 3, 1], np.int8)

    struck = ties.onsets(frames, ties.heard_onsets(frames[:, 0]), level)

    assert np.flatnonzero(struck[:, 0]).tolist() == [0]
    assert [np.flatnonzero(struck[:, voice]).tolist() for voice in (1, 2, 3)] == [[0, 8]] * 3


def test_rests_are_never_struck_and_end_notes() -> None:
    frames = _voices([72, -1, 72, -1], [67, -1, 67, -1], [60, -1, 60, -1], [48, -1, 48, -1])

    struck = ties.onsets(frames, ties.heard_onsets(frames[:, 0]))

    assert np.flatnonzero(struck[:, 1]).tolist() == [0, 4]
    assert ties.onsets(np.empty((0, 4), np.int64), np.empty(0, bool)).shape == (0, 4)
