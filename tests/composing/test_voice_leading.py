"""The detectors on chords whose faults every textbook names, and on Bach."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.composing import corpus, metrics, voice_leading

_FIFTHS = ([67, 60, 55, 48], [69, 62, 57, 50])  # everything goes up a tone
_HELD = ([67, 64, 60, 48], [67, 64, 60, 48])
_BY_CONTRARY = ([72, 67, 64, 60], [74, 67, 65, 50])  # octave to two octaves, the voices going apart
_GOOD = ([64, 60, 55, 48], [62, 59, 55, 43])


def _pair(chords: tuple[list[int], list[int]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(chords[0]), np.array(chords[1])


@pytest.mark.parametrize(
    ("chords", "similar", "any_motion"),
    [
        pytest.param(_FIFTHS, 5, 5, id="all-up-a-tone"),
        pytest.param(_HELD, 0, 0, id="held"),
        pytest.param(_BY_CONTRARY, 0, 1, id="by-contrary-motion"),
        pytest.param(_GOOD, 0, 0, id="tonic-to-dominant"),
    ],
)
def test_consecutives_are_counted_by_pair(chords: tuple[list[int], list[int]], similar: int, any_motion: int) -> None:
    before, after = _pair(chords)

    assert voice_leading.consecutives(before, after).sum() == similar
    assert voice_leading.consecutives(before, after, contrary=True).sum() == any_motion


def test_a_rest_is_no_interval() -> None:
    before, after = np.array([67, -1, -1, 48]), np.array([69, -1, -1, 50])

    assert voice_leading.perfect_intervals(before).tolist() == [0, 0, 1, 0, 0, 0]
    assert voice_leading.consecutives(before, after).tolist() == [False, False, True, False, False, False]
    assert not voice_leading.out_of_range(np.array([-1, -1, -1, -1])).any()
    assert not voice_leading.crossings(np.array([-1, 60, -1, 70])).any()


def test_hidden_crossing_gaps_ranges_and_leaps() -> None:
    before, after = np.array([67, 64, 60, 48]), np.array([72, 66, 46, 53])

    assert voice_leading.hidden(before, after)
    assert not voice_leading.hidden(before, np.array([69, 65, 60, 50]))  # the soprano goes by step
    assert voice_leading.crossings(after).tolist() == [False, False, True]
    assert voice_leading.gaps(after).tolist() == [False, True, False]
    assert voice_leading.out_of_range(np.array([90, 64, 45, 36])).tolist() == [True, False, True, False]
    assert voice_leading.awkward_leaps(before, after).tolist() == [False, False, True, False]


def test_bach_is_counted_as_the_metrics_count_him() -> None:
    for piece in corpus.load().valid[:20]:
        for step in (2, 4):
            found, unisons, _ = metrics.parallels(piece.frames, step)
            assert voice_leading.parallels(piece.frames, step).sum() == found + unisons
        assert voice_leading.chord_changes(piece.frames, 4).sum() > 0
