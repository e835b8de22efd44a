from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.composing import corpus, metrics
from pipelines.composing.disjoint import disjoint
from pipelines.composing.metrics import difference, judge, parallels
from pipelines.errors import BadInput


def chords(*rows: tuple[int, int, int, int], frames: int = 4) -> NDArray[np.int64]:
    """Each chord for so many sixteenths."""
    return np.repeat(np.array(rows, np.int64), frames, axis=0)


PLAIN = chords((72, 67, 64, 48), (71, 67, 62, 43), (72, 67, 64, 48))


@pytest.fixture(scope="module")
def test_pieces() -> list[NDArray[np.int64]]:
    return [piece.frames for piece in corpus.load().test]


def test_bach_agrees_with_himself_and_has_the_parallels_that_are_known_of_him(
    test_pieces: list[NDArray[np.int64]],
) -> None:
    bach = judge(test_pieces, test_pieces)
    assert all(bach[name] == 1 for name in ("frames", "alto", "tenor", "bass", "onsets", "notes", "beat_chords"))
    assert bach["parallels_beats"] == pytest.approx(1.85, abs=0.005)
    assert bach["parallels_eighths"] == pytest.approx(0.30, abs=0.005)
    assert bach["unisons_eighths"] == bach["out_of_range"] == 0
    assert bach["crossing"] == pytest.approx(0.0198, abs=0.0001)
    low, high = bach.values["parallels_beats"].low, bach.values["parallels_beats"].high
    assert 1.0 < low < 1.85 < high < 3.0
    known = [name for name in metrics.NAMES if name not in ("unisons_eighths", "out_of_range")]
    assert all(bach.by_piece(name).shape == (77,) for name in known)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        pytest.param([(72, 67, 60, 48), (74, 69, 62, 50)], (5, 0), id="all move up together"),
        pytest.param([(72, 67, 64, 48), (72, 67, 64, 48)], (0, 0), id="held"),
        pytest.param([(72, 67, 64, 48), (72, 65, 62, 48)], (0, 0), id="only inner voices move"),
        pytest.param([(72, 67, 64, 36), (74, 65, 62, 50)], (1, 0), id="octaves apart by an octave more"),
        pytest.param([(72, 67, 64, 60), (79, 67, 64, 55)], (0, 0), id="octaves by contrary motion"),
        pytest.param([(72, 60, 60, 48), (72, 62, 62, 47)], (0, 1), id="unisons"),
        pytest.param([(72, -1, 64, 48), (74, 62, 65, 50)], (1, 0), id="a rest elsewhere"),
        pytest.param([(72, -1, 64, -1), (74, 62, 65, 50)], (0, 0), id="out of a rest"),
        pytest.param([(67, 72, 62, 40), (69, 74, 64, 41)], (0, 0), id="crossed fourths"),
    ],
)
def test_parallels_are_fifths_and_octaves_that_move_alike(
    rows: list[tuple[int, int, int, int]], found: tuple[int, int]
) -> None:
    assert parallels(chords(*rows), 4)[:2] == found


def test_parallels_inside_a_beat_are_seen_on_eighths_only() -> None:
    inside = chords((72, 67, 64, 48), (74, 65, 61, 50), (76, 67, 64, 47), (76, 67, 64, 47), frames=2)
    assert parallels(inside, 4)[0] == 0
    assert parallels(inside, 2) == (1, 0, 2)


def test_what_is_counted_of_a_wrong_alto() -> None:
    made = PLAIN.copy()
    made[4:8, 1] = 66
    found = judge([PLAIN], [made])
    assert found["frames"] == pytest.approx(1 - 4 / 36)
    assert (found["alto"], found["tenor"], found["bass"]) == (pytest.approx(2 / 3), 1, 1)
    assert found["beat_chords"] == pytest.approx(2 / 3)
    # Bach's alto comes in once, tenor and bass three times each: all are met. The made one comes in three times.
    assert found["onsets"] == 1
    assert found["notes"] == pytest.approx(2 * 7 / (7 + 9))


def test_an_octave_off_is_the_same_chord_and_not_the_same_pitch() -> None:
    found = judge([PLAIN], [PLAIN - [0, 0, 0, 12]])
    assert (found["beat_chords"], found["bass"], found["alto"]) == (1, 0, 1)
    assert found["out_of_range"] == pytest.approx(1 / 9)


def test_rests_where_bach_sings_are_wrong_and_his_own_are_not_judged() -> None:
    silent = PLAIN.copy()
    silent[:, 1:] = -1
    assert judge([PLAIN], [silent])["frames"] == 0
    assert np.isnan(judge([silent], [PLAIN])["frames"])
    assert np.isnan(judge([], [])["frames"])


def test_a_bass_above_the_tenor_is_crossing() -> None:
    made = PLAIN.copy()
    made[:4, 3] = 65
    assert judge([PLAIN], [made])["crossing"] == pytest.approx(1 / 3)


def test_pieces_that_do_not_fit_are_named() -> None:
    with pytest.raises(BadInput, match="0 were completed and 1 are known"):
        judge([PLAIN], [])
    with pytest.raises(BadInput, match="piece 0 is"):
        judge([PLAIN], [PLAIN[:8]])


def test_a_paired_difference_is_told_apart_from_none(test_pieces: list[NDArray[np.int64]]) -> None:
    rng = np.random.default_rng(3)

    def worse(share: float) -> list[NDArray[np.int64]]:
        return [np.where((rng.random(piece.shape) < share) & (piece >= 0), piece + 1, piece) for piece in test_pieces]

    some, more = judge(test_pieces, worse(0.2)), judge(test_pieces, worse(0.25))
    apart = difference(some, more, "frames")
    assert apart.low > 0 and apart.value == pytest.approx(0.05, abs=0.01)
    assert difference(some, some, "frames").to_json() == [0, 0, 0]
    ten = some.of(np.arange(10))
    assert ten["frames"] == pytest.approx(np.average(some.by_piece("frames")[:10], weights=some.counts[:10, 1, 0]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(-1, 127)] * 4), min_size=1, max_size=40))
def test_anything_is_counted_within_bounds(rows: list[tuple[int, int, int, int]]) -> None:
    made = np.array(rows, np.int64)
    found = judge([np.tile(PLAIN, (4, 1))[: len(made)]], [made])
    for name in metrics.NAMES:
        bound = 600 if name.startswith(("parallels", "unisons")) else 1
        assert np.isnan(found[name]) or 0 <= found[name] <= bound, name


def test_25_chorales_of_the_test_split_share_no_tune_with_the_others() -> None:
    pieces = corpus.load()
    known = [piece.frames[:, 0] for piece in (*pieces.train, *pieces.valid)]
    apart = disjoint([piece.frames[:, 0] for piece in pieces.test], known)
    assert apart.sum() == 25
    assert not disjoint(known[:5], known).any()
    # A tune in another key, out of its middle, is the same tune.
    assert not disjoint([known[0][16:80] + 3], known).any()
    assert disjoint([known[0][:40]], known).all(), "too little to tell"
