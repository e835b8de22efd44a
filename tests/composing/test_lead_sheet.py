"""Chords as they are typed."""

from __future__ import annotations

import pytest

from pipelines.composing.lead_sheet import spans
from pipelines.composing.melody import Melody, find
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo
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
