"""How a chorale is shown to the network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.composing import encoding, tokens
from pipelines.composing.tokens import REST, UNKNOWN


@given(
    st.integers(1, 12).flatmap(lambda beats: st.lists(st.integers(-2, 100), min_size=16 * beats, max_size=16 * beats)),
    st.booleans(),
    st.one_of(st.none(), st.integers(-40, 80)),
)
def test_every_row_is_in_the_table_whatever_is_known(pitches: list[int], minor: bool, shift: int | None) -> None:
    frames = np.array(pitches).reshape(-1, 4)
    rows = encoding.encode(frames, minor, shift)
    assert rows.shape == (len(frames) // 4, encoding.N_FEATURES)
    assert rows.min() >= 0
    assert rows.max() < encoding.N_ROWS
    # each feature has rows of its own
    assert all(len(np.unique(row)) == encoding.N_FEATURES for row in rows)


def test_what_is_hidden_leaves_no_trace() -> None:
    one, other = np.full((16, 4), 60), np.full((16, 4), 60)
    one[:, 1:], other[:, 1:] = 55, 48
    one[4:8, 1:] = other[4:8, 1:] = UNKNOWN
    a, b = (encoding.encode(frames, False, 3) for frames in (one, other))
    np.testing.assert_array_equal(a[1], b[1])
    assert (a[2] != b[2]).any()


@pytest.mark.parametrize(
    ("beats", "expected"),
    [
        ([[60] * 4], [1]),
        ([[60] * 4, [60] * 4, [60] * 4], [3, 2, 1]),
        ([[60] * 4, [60, 60, 62, 62]], [1, 0]),
        ([[60, 60, 62, 62], [62] * 4], [0, 1]),
    ],
    ids=["a beat", "three beats", "then eighths", "eighths first"],
)
def test_lengths_of_notes_in_whole_beats(beats: list[list[int]], expected: list[int]) -> None:
    np.testing.assert_array_equal(encoding.lengths(np.array(beats).reshape(-1)), expected)


def test_lengths_end_with_a_piece() -> None:
    last = np.array([False, True, False])
    np.testing.assert_array_equal(encoding.lengths(np.full(12, 60), last), [2, 1, 1])


def test_moves_count_from_the_beats_first_note() -> None:
    beats = np.array([[[60, REST, 50], [60, 55, REST], [62, 55, 50], [59, 55, 90]]])
    found = encoding.moves_of(beats) - encoding.MOVE
    np.testing.assert_array_equal(found, [[[0, 0, 0], [2, 0, 0], [-1, 0, encoding.MOVE]]])


def test_the_table_is_as_wide_as_the_pitches_need() -> None:
    assert encoding.N_VOTES == 3 * tokens.N_PITCHES + 2
    votes = encoding.heard(np.zeros((5, 3, tokens.N_PITCHES), np.float32), np.full(5, 400, np.float32))
    assert votes.shape == (5, encoding.N_VOTES)
    assert votes.max() < 10
