"""Beats and frames of metres of every kind, and melodies laid on them as they are played."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.composing.beats import MOST_BEATS, bars_of
from pipelines.composing.grid import Grid
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Piece, Tempo
from pipelines.errors import BadInput
from tests.composing.tunes import TUNES

Q = 480


def piece(*metres: Metre, quarters: float = 16, ticks: int = Q, quarter_us: int = 600_000) -> Piece:
    return Piece("piece", ticks, int(quarters * ticks), (Tempo(0, quarter_us),), metres, (KeyChange(0, Key(0)),), ())


def line(*lengths: float, start: float = 0, pitch: int = 60) -> list[Note]:
    """Notes one after the other, a step up each; lengths in quarters, below 0 rests."""
    notes, at = [], start
    for number, length in enumerate(lengths):
        if length > 0:
            notes.append(Note(round(at * Q), round(length * Q), pitch + number % 12))
        at += abs(length)
    return notes


def beats_in_quarters(grid: Grid) -> list[float]:
    return (grid.beat_ticks / Q).tolist()


@pytest.mark.parametrize(
    ("metre", "bar", "levels"),
    [
        pytest.param((4, 4), [0, 1, 2, 3, 4], [3, 1, 2, 1], id="4/4"),
        pytest.param((3, 4), [0, 1, 2, 3], [3, 1, 1], id="3/4"),
        pytest.param((2, 4), [0, 1, 2], [3, 1], id="2/4"),
        pytest.param((6, 4), [0, 1, 2, 3, 4, 5, 6], [3, 1, 1, 2, 1, 1], id="6/4"),
        pytest.param((5, 4), [0, 1, 2, 3, 4, 5], [3, 1, 1, 2, 1], id="5/4"),
        pytest.param((1, 4), [0, 1], [3], id="1/4"),
        pytest.param((6, 8), [0, 1.5, 3], [3, 2], id="6/8"),
        pytest.param((9, 8), [0, 1.5, 3, 4.5], [3, 1, 1], id="9/8"),
        pytest.param((12, 8), [0, 1.5, 3, 4.5, 6], [3, 1, 2, 1], id="12/8"),
        pytest.param((3, 8), [0, 1.5], [3], id="3/8"),
        pytest.param((7, 8), [0, 1, 2, 3.5], [3, 1, 1], id="7/8"),
        pytest.param((5, 8), [0, 1.5, 2.5], [3, 1], id="5/8"),
        pytest.param((4, 8), [0, 1, 2], [3, 1], id="4/8"),
        pytest.param((7, 16), [0, 0.5, 1, 1.75], [3, 1, 1], id="7/16"),
        pytest.param((2, 2), [0, 1, 2, 3, 4], [3, 1, 2, 1], id="2/2"),
        pytest.param((3, 2), [0, 1, 2, 3, 4, 5, 6], [3, 1, 2, 1, 2, 1], id="3/2"),
        pytest.param((1, 1), [0, 1, 2, 3, 4], [3, 1, 2, 1], id="1/1"),
    ],
)
def test_a_bar_falls_into_beats(metre: tuple[int, int], bar: list[float], levels: list[int]) -> None:
    grid = Grid.of(piece(Metre(0, *metre), quarters=2 * bar[-1]))
    assert beats_in_quarters(grid) == [*bar[:-1], *(bar[-1] + at for at in bar)]
    assert grid.level.tolist() == levels * 2
    assert grid.bar.tolist() == [1] * len(levels) + [2] * len(levels)


@pytest.mark.parametrize("groups", [(3, 2, 2), (2, 3, 2), (2, 2, 3)], ids=str)
def test_the_melody_says_where_the_long_beat_of_seven_eighths_lies(groups: tuple[int, ...]) -> None:
    notes = line(*[group / 2 for _ in range(6) for group in groups])
    grid = Grid.of(piece(Metre(0, 7, 8)), notes)
    assert np.diff(grid.beat_ticks).tolist() == [group * Q // 2 for group in groups] * 6
    assert grid.soprano(notes)[1].sum() == len(notes)


def test_five_quarters_are_two_and_three_when_the_melody_says_so() -> None:
    grid = Grid.of(piece(Metre(0, 5, 4)), line(*[2, 3] * 4))
    assert grid.level.tolist() == [3, 1, 2, 1, 1] * 4


def test_alla_breve_is_counted_in_halves_when_it_is_fast_or_moves_in_halves() -> None:
    fast = Grid.of(piece(Metre(0, 2, 2), quarters=8, quarter_us=300_000))
    slow = Grid.of(piece(Metre(0, 2, 2), quarters=8), line(2, 2, 2, 2))
    for grid in (fast, slow):
        assert beats_in_quarters(grid) == [0, 2, 4, 6, 8]
        assert grid.level.tolist() == [3, 1, 3, 1]


def test_changes_of_metre_begin_a_bar_even_in_the_middle_of_one() -> None:
    grid = Grid.of(piece(Metre(0, 3, 4), Metre(6 * Q, 6, 8), Metre(9 * Q, 4, 4), Metre(11 * Q, 4, 4), quarters=15))
    assert beats_in_quarters(grid) == [0, 1, 2, 3, 4, 5, 6, 7.5, 9, 10, 11, 12, 13, 14, 15]
    assert grid.bar.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]
    assert grid.level.tolist() == [3, 1, 1, 3, 1, 1, 3, 2, 3, 1, 3, 1, 2, 1]
    assert list(bars_of(grid.bar)) == [(0, 3), (3, 6), (6, 8), (8, 10), (10, 14)]


def test_a_short_first_metre_is_a_pick_up() -> None:
    written = piece(Metre(0, 1, 4), Metre(Q, 3, 4), quarters=7)
    grid = Grid.of(written, line(1, 2, 1, 2, 1))
    assert grid.level.tolist() == [1, 3, 1, 1, 3, 1, 1]
    assert (grid.pickup, grid.bar.tolist()) == (1, [1, 2, 2, 2, 3, 3, 3])
    eighth = Grid.of(piece(Metre(0, 1, 8), Metre(Q // 2, 6, 8), quarters=3.5), line(0.5, 1.5, 1.5))
    assert beats_in_quarters(eighth) == [0, 0.5, 2, 3.5]
    assert eighth.level.tolist() == [2, 3, 2]


@pytest.mark.parametrize(
    ("name", "pickup"),
    [("amazing_grace", 1), ("greensleeves", 1), ("auld_lang_syne", 1), ("lullaby", 1), ("ode_to_joy", 0),
     ("sakura", 0), ("korobeiniki", 0), ("drunken_sailor", 0)],
)  # fmt: skip
def test_a_pick_up_is_heard_when_the_file_has_no_rest_before_it(name: str, pickup: int) -> None:
    tune = next(tune for tune in TUNES if tune.file == name).piece
    notes = tune.parts[0].notes
    assert Grid.of(tune, notes).pickup == pickup
    moved = [Note(note.start - notes[0].start, note.duration, note.pitch) for note in notes]
    grid = Grid.of(tune, moved)
    assert grid.pickup == pickup
    before = Grid.of(tune, notes)
    offset = before.n_beats - grid.n_beats
    assert grid.level[2:].tolist() == before.level[2 + offset :].tolist()


def test_triplets_and_swing_move_the_frames_of_their_beats() -> None:
    thirds = line(1, 1 / 3, 1 / 3, 1 / 3, 0.5, 0.5, 1)
    grid = Grid.of(piece(Metre(0, 4, 4)), thirds)
    assert (np.array(grid.frame_ticks[4:12]) - Q).tolist() == [0, 160, 320, 400, 480, 600, 720, 840]
    assert np.flatnonzero(grid.soprano(thirds)[1]).tolist() == [0, 4, 5, 6, 8, 10, 12]
    swung = line(*[2 / 3, 1 / 3] * 7, 2)
    grid = Grid.of(piece(Metre(0, 4, 4)), swung)
    assert np.flatnonzero(grid.soprano(swung)[1]).tolist() == [*range(0, 28, 2), 28]
    assert grid.tick(2) == 320


def test_a_melody_played_by_hand_falls_on_the_frames_that_were_meant() -> None:
    rng = np.random.default_rng(5)
    meant = line(*([1, 0.5, 0.5, 0.25, 0.25, 0.5, 1] * 6))
    played = [
        Note(max(0, note.start + int(rng.normal(0, 14))), int(note.duration * rng.uniform(0.6, 1.05)), note.pitch)
        for note in meant
    ]
    exact = Grid.of(piece(Metre(0, 4, 4)), meant)
    by_hand = Grid.of(piece(Metre(0, 4, 4)), played)
    assert by_hand.soprano(played)[1].tolist() == exact.soprano(meant)[1].tolist()
    last = int(np.flatnonzero(exact.soprano(meant)[1])[-1])
    assert by_hand.soprano(played)[0][:last].tolist() == exact.soprano(meant)[0][:last].tolist()


def test_rests_stay_and_breaths_are_sung_over() -> None:
    notes = line(0.5, -0.5, 1, -1, 1)
    pitches, onsets = Grid.of(piece(Metre(0, 4, 4)), notes).soprano(notes)
    assert pitches.tolist() == [60] * 4 + [62] * 4 + [-1] * 4 + [64] * 4
    assert np.flatnonzero(onsets).tolist() == [0, 4, 12]


def test_a_grace_note_yields_and_notes_a_frame_long_do_not() -> None:
    grace = [Note(0, 40, 71), Note(40, 440, 72)]
    assert Grid.of(piece(Metre(0, 4, 4)), grace).soprano(grace)[0].tolist() == [72] * 4
    close = [Note(0, 300, 60), Note(300, 130, 61), Note(420, 130, 62), Note(540, 400, 63)]  # 120 is a frame
    pitches, onsets = Grid.of(piece(Metre(0, 4, 4)), close).soprano(close)
    assert set(pitches.tolist()) == {60, 61, 62, 63}
    assert onsets.sum() == 4


def test_more_beats_than_anyone_plays_are_refused() -> None:
    with pytest.raises(BadInput, match=str(MOST_BEATS)):
        Grid.of(piece(Metre(0, 1, 64), quarters=49_000))


def test_without_notes_and_length_there_is_nothing() -> None:
    grid = Grid.of(piece(Metre(0, 4, 4), quarters=0))
    assert (grid.n_beats, grid.frame_ticks.tolist(), grid.frame(0)) == (0, [0], 0)
    assert [len(each) for each in grid.soprano([])] == [0, 0]


@st.composite
def melodies(draw: st.DrawFn) -> tuple[Piece, list[Note]]:
    ticks = draw(st.sampled_from([1, 2, 24, 96, 480, 960]))
    at, notes = 0, []
    for _ in range(draw(st.integers(1, 30))):
        at += draw(st.integers(0, 2 * ticks))
        length = draw(st.integers(1, 3 * ticks))
        notes.append(Note(at, length, draw(st.integers(0, 127))))
        at += length
    changes = sorted({0, *draw(st.sets(st.integers(0, at), max_size=3))})
    metres = [
        Metre(tick, draw(st.integers(1, 13)), draw(st.sampled_from([1, 2, 4, 8, 16, 32, 64]))) for tick in changes
    ]
    return piece(*metres, ticks=ticks, quarters=at / ticks), notes


@given(melodies())
@settings(max_examples=80, deadline=None)
def test_every_grid_covers_its_melody_and_loses_no_note_longer_than_a_frame(given: tuple[Piece, list[Note]]) -> None:
    whole, notes = given
    grid = Grid.of(whole, notes)
    assert grid.beat_ticks[0] == 0
    assert grid.beat_ticks[-1] >= notes[-1].end
    assert (np.diff(grid.beat_ticks) > 0).all()
    assert (np.diff(grid.frame_ticks) >= 0).all()
    assert len(grid.frame_ticks) == 4 * grid.n_beats + 1
    assert grid.frame_ticks[::4].tolist() == grid.beat_ticks.tolist()
    assert set(grid.level.tolist()) <= {1, 2, 3}
    assert (np.diff(grid.bar) >= 0).all()
    pitches, onsets = grid.soprano(notes)
    assert len(pitches) == len(onsets) == grid.n_frames
    assert (pitches[onsets] >= 0).all()
    longest = np.diff(grid.frame_ticks).max()
    begun = pitches[onsets].tolist()
    rest = iter(begun)
    assert all(note.pitch in rest for note in notes if note.duration > longest)  # in their order
    for frame in range(grid.n_frames):
        assert grid.frame_ticks[grid.frame(grid.tick(frame))] == grid.tick(frame)
