"""Chords as they are typed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.composing.lead_sheet import spans
from pipelines.composing.melody import Melody, find
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo
from pipelines.composing.pop import PopWishes, harmonize
from pipelines.errors import BadInput


def tune(numerator: int = 4, n_bars: int = 4, *, pick_up: bool = False) -> Melody:
    first = [Metre(0, 1, 4), Metre(480, numerator, 4)] if pick_up else [Metre(0, numerator, 4)]
    length = 480 * (numerator * n_bars + pick_up)
    part = Part("tune", "other", tuple(Note(at, 480, 60) for at in range(0, length, 480)))
    return find(Piece("tune", 480, length, (Tempo(0, 500_000),), tuple(first), (KeyChange(0, Key(0)),), (part,)))


def told(text: str, of: Melody) -> list[tuple[float, float, str]]:
    return [(s.start / 480, s.end / 480, s.chord.symbol) for s in spans(text, of)]


def test_a_bar_is_shared_by_its_chords() -> None:
    assert told("C | Am F\n% | Dm . G7", tune()) == [
        (0, 4, "C"),
        (4, 6, "Am"),
        (6, 8, "F"),
        (8, 10, "Am"),
        (10, 12, "F"),
        (12, 15, "Dm"),
        (15, 16, "G7"),
    ]


def test_what_is_not_given_is_left_open() -> None:
    assert told("| - | C - |", tune()) == [(4, 6, "C")]


def test_a_pick_up_is_no_bar() -> None:
    assert told("G", tune(3, 2, pick_up=True)) == [(1, 4, "G")]


BARS = [2, 2, 4, 1, 1, 2, 4, 2, 2, 4, 1, 1, 2, 4]  # of beats: what is long begins a bar


def sung(rests: int, *, pick_up: int = 0, numerator: int = 4) -> Melody:
    """After ``rests`` beats and a pick-up of so many the BARS, in a file whose first bar begins at 0."""
    lengths, at, notes = [1] * pick_up + BARS, rests * 480, []
    for place, length in enumerate(lengths):
        notes.append(Note(at, length * 480, 60 + place % 5))
        at += length * 480
    maps = ((Tempo(0, 500_000),), (Metre(0, numerator, 4),), (KeyChange(0, Key(0)),))
    return find(Piece("tune", 480, at, *maps, (Part("tune", "other", tuple(notes)),)))


@pytest.mark.parametrize(
    ("rests", "pick_up", "first"),
    [
        pytest.param(0, 0, 0, id="at once"),
        pytest.param(8, 0, 8, id="after two bars of rest"),
        pytest.param(3, 1, 4, id="a pick-up after three beats of rest"),
        pytest.param(11, 1, 12, id="a pick-up in the third bar"),
        pytest.param(2, 2, 4, id="a pick-up of half a bar"),
        pytest.param(0, 1, 1, id="a pick-up that is only heard"),
        pytest.param(0, 2, 2, id="a longer one that is only heard"),
        pytest.param(1, 3, 0, id="a bar that begins with a rest is a bar"),
    ],
)
def test_the_first_chord_is_that_of_the_first_full_bar(rests: int, pick_up: int, first: int) -> None:
    of = sung(rests, pick_up=pick_up)
    assert told("C | F | G", of) == [(first + 4 * n, first + 4 * n + 4, name) for n, name in enumerate("CFG")]
    # The arranger goes by the same bars.
    chords = tuple(spans("C | F | G", of))
    made = harmonize(of, PopWishes(given=chords))[0]
    assert made[0].start == first * 480 and [s.chord.symbol for s in made[:3]] == ["C", "F", "G"]
    assert [s.start for s in made[:3]] == [s.start for s in chords]


def test_a_piece_that_ends_with_its_melody_takes_a_chord_for_its_last_bar_whole() -> None:
    of = tune(4, 3)
    short = find(replace(of.piece, parts=(replace(of.part, notes=of.part.notes[:-3]),)))
    assert told("C | F | G", short)[-1] == (8, 12, "G")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("H", "H"),
        ("%", "begin with %"),
        ("", "hold no chord"),
        ("- | - .", "hold no chord"),
        ("C D E F G", "5 chords in bar 1, which has 4 beats"),
        ("C|C|C|C|C", "have 5 bars, the melody has 4"),
    ],
)
def test_what_cannot_be_is_said(text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        spans(text, tune())
