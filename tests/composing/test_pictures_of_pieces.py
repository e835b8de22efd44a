"""Bars, piano rolls and chord charts: what stands where, that any piece can be drawn, and that notes are seen."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelines.composing import bars, chord_chart, piano_roll
from pipelines.composing.piece import Chord, ChordSpan, Marker, Metre, Note, Part, Piece
from tests.composing import hand


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share_of(picture: np.ndarray, colour: str) -> float:
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return float((np.abs(picture - rgb).sum(axis=2) < 70).mean())


def test_bars_follow_the_metres() -> None:
    found = bars.bars(hand.waltz())
    assert [bar.number for bar in found] == list(range(1, 10))
    assert (found[0].start, found[0].end, found[1].end) == (0, 480, 4 * 480)
    assert [bar.changes for bar in found[:3]] == [True, True, False]
    assert bars.pick_up(found) and not bars.pick_up(bars.bars(hand.pop_song()))


def test_a_metre_that_changes_within_a_bar_cuts_it() -> None:
    piece = replace(hand.pop_song(4), metres=(Metre(0, 4, 4), Metre(5 * 480, 7, 8)))
    found = bars.bars(piece)
    assert (found[1].start, found[1].end) == (4 * 480, 5 * 480)
    assert found[2].end - found[2].start == 7 * 240
    assert found[-1].end >= piece.length


def test_endless_bars_end() -> None:
    piece = replace(hand.empty(), length=10**9, metres=(Metre(0, 1, 64), Metre(10**8, 4, 4)))
    found = bars.bars(piece)
    assert len(found) == bars.MOST_BARS
    assert found[-1].end >= piece.length


def test_a_piano_roll_is_as_wide_as_asked_and_shows_every_part() -> None:
    song = hand.pop_song()
    loud = tuple(replace(p, notes=tuple(replace(n, velocity=127) for n in p.notes)) for p in song.parts)
    song = replace(song, parts=loud)
    picture = pixels(piano_roll.draw(song))
    assert picture.shape[1] == piano_roll.WIDTH
    for part in song.parts:
        faint = 0.0005 if part.drums else 0.001
        assert share_of(picture, piano_roll.COLOURS[part.role]) > faint, part.name


def test_a_row_of_one_bar_shows_its_drums_as_large_as_the_others() -> None:
    bar = 16 * 480
    hits = Part("kit", "drums", (Note(bar // 2, 60, 36, 127), Note(5 * bar // 2, 60, 36, 127)))
    song = replace(hand.empty(), parts=(hits,), length=3 * bar, metres=(Metre(0, 16, 4),))
    rows = bars.systems(bars.bars(song), quarters=32, ticks_per_quarter=song.ticks_per_quarter, most=10)
    assert [len(row) for row in rows] == [2, 1]
    picture = pixels(piano_roll.draw(replace(song, name="")))
    rgb = [int(piano_roll.COLOURS["drums"][i : i + 2], 16) for i in (1, 3, 5)]
    lines = (np.abs(picture - rgb).sum(axis=2) < 70).sum(axis=1)[110:]
    halves = lines[: len(lines) // 2].sum(), lines[len(lines) // 2 :].sum()
    assert halves[1] > 0.7 * halves[0] > 0


def test_equal_pieces_give_equal_bytes() -> None:
    assert piano_roll.draw(hand.waltz()) == piano_roll.draw(hand.waltz())
    assert chord_chart.draw(hand.waltz()) == chord_chart.draw(hand.waltz())


def strange() -> Piece:
    """What a stranger's file may hold: names full of markup, notes at the ends of the range, odd chord symbols."""
    odd = "$\\frac{1}{0}$ <b>\x00\n" + "long " * 40
    parts = tuple(Part(odd, "other", (Note(0, 10**7, 0, 127), Note(5, 1, 127, 1)), 3) for _ in range(30))
    span = ChordSpan(0, 480, Chord(0, (0,), 0, "C$^$" * 9))
    return replace(hand.waltz(), name=odd, parts=parts, chords=(span,), markers=(Marker(10**9, odd), Marker(0, odd)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("piece", [hand.empty(), strange(), hand.pop_song(150)], ids=["empty", "strange", "long"])
def test_any_piece_can_be_drawn(piece: Piece) -> None:
    for png in (piano_roll.draw(piece), chord_chart.draw(piece)):
        height, width, _ = pixels(png).shape
        assert width == 1200 and height < 9000


def test_a_chart_has_four_bars_a_line_and_begins_a_line_with_a_section() -> None:
    lines = chord_chart.chart(hand.pop_song(13))
    assert [len(line) for line in lines] == [4, 2, 4, 3]
    assert [line[0].section for line in lines] == ["Verse", "", "Chorus", ""]
    assert [cell.chords[0][1] for cell in lines[0]] == ["C", "Am7", "F", "G7"]


def test_a_pick_up_stands_before_the_first_four_bars() -> None:
    lines = chord_chart.chart(hand.waltz())
    assert [len(line) for line in lines] == [5, 4]
    assert lines[0][0].chords == ()


def test_a_bar_like_the_one_before_has_the_sign_for_it() -> None:
    song = hand.pop_song(4)
    held = replace(song, chords=(ChordSpan(0, 4 * 4 * 480, song.chords[0].chord),), markers=())
    assert [cell.chords for cell in chord_chart.chart(held)[0]] == [((0.0, "C"),), *[((0.0, "%"),)] * 3]


def test_chords_within_a_bar_have_their_places() -> None:
    song = hand.pop_song(1)
    half = (ChordSpan(0, 960, song.chords[0].chord), ChordSpan(960, 1920, Chord(10, (2, 5, 10), 2, "Bb/D")))
    assert chord_chart.chart(replace(song, chords=half))[0][0].chords == ((0.0, "C"), (0.5, "B♭/D"))


@pytest.mark.parametrize(
    ("symbol", "printed"),
    [("F#m7b5", "F♯m7♭5"), ("Bb/Ab", "B♭/A♭"), ("Bbm", "B♭m"), ("Absus4", "A♭sus4"), ("C7b9", "C7♭9")],
)
def test_symbols_are_printed_with_their_signs(symbol: str, printed: str) -> None:
    assert piano_roll.shown(symbol) == printed
