"""A bar has one number everywhere: in the grid, in the file that is written, in pictures, sections and locks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.composing import bars, chord_chart, melody, midi_reading, midi_writing
from pipelines.composing.arranging import arrange
from pipelines.composing.bar_plan import Section
from pipelines.composing.beats import MOST_BEATS, MOST_METRES, bars_of
from pipelines.composing.melody import Melody, find
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo
from pipelines.composing.wishes import STYLES, Style, Wishes
from pipelines.errors import BadInput
from tests.composing.tunes import TUNES

BARS = [2, 2, 4, 1, 1, 2, 4, 2, 2, 4, 1, 1, 2, 4]  # of beats: what is long begins a bar


def tune(lengths: list[float], *metres: Metre, quarter: int = 480, name: str = "hummed") -> Piece:
    at, notes = 0.0, []
    for place, length in enumerate(lengths):
        notes.append(Note(round(at * quarter), max(1, round(length * quarter)), 60 + place % 5))
        at += length
    maps = ((Tempo(0, 500_000),), metres or (Metre(0, 4, 4),), (KeyChange(0, Key(0)),))
    return Piece(name, quarter, round(at * quarter), *maps, (Part("Lead", "other", tuple(notes)),))


def numbered(found: Melody) -> dict[int, int]:
    """Number of each bar by the tick at which it begins, as the grid has it."""
    ticks, bar = found.grid.beat_ticks, found.grid.bar
    return {int(ticks[beat]): int(bar[beat]) for beat, _ in bars_of(bar)}


def as_drawn(piece: Piece, until: int) -> dict[int, int]:
    return {bar.start: bar.number for bar in bars.bars(piece) if bar.start < until}


HEARD = {
    f"a pick-up of {beats} beats that is only heard": tune([0.5] * round(2 * beats) + BARS) for beats in (0.5, 1, 2, 3)
}
HEARD["an eighth before six of them"] = tune([0.5, *[1, 0.5, 1.5] * 8], Metre(0, 6, 8))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", HEARD)
def test_a_pick_up_that_is_heard_is_a_short_first_bar_in_all_that_is_made(name: str, style: Style) -> None:
    source = HEARD[name]
    found = find(source)
    second = min(tick for tick, number in numbered(found).items() if number == 2)
    assert 0 < second < source.metres[0].bar_ticks(480) and "pick-up" in found.notes[-1]
    wishes = Wishes(style=style, sections=(Section(2, 3, "Verse"),))
    made = arrange(source, wishes)
    piece = made.candidates[0].piece
    assert (piece.tempos, piece.parts[0].notes) == (source.tempos, source.parts[0].notes)
    end = source.parts[0].notes[-1].end
    assert as_drawn(piece, end) == numbered(found)
    assert [bar.number for line in chord_chart.chart(piece) for bar in [line[0].bar]][:1] == [1]
    assert [(marker.tick, marker.text) for marker in piece.markers] == [(second, "Verse")]

    again = midi_reading.parse(midi_writing.to_bytes(piece), "again.mid")
    assert again.metres == piece.metres and numbered(find(again)) == numbered(found)
    # What is locked by those numbers, or made anew, are those bars: of bar 2 nothing changes and all else may.
    locked = replace(wishes, earlier=again, locked_bars=frozenset({2}), seed=5)
    third = min(tick for tick, number in numbered(found).items() if number == 3)
    for part in arrange(source, locked).candidates[0].piece.parts[1:]:
        before = piece.part(part.role)
        inside = [note for note in part.notes if second <= note.start < third]
        assert inside == [n for n in (before.notes if before else ()) if second <= n.start < third]


@pytest.mark.parametrize("keyed", TUNES, ids=lambda keyed: keyed.file)
def test_the_tunes_have_the_bars_of_their_files(keyed: object) -> None:
    piece: Piece = keyed.piece  # type: ignore[attr-defined]
    found = find(piece)
    assert found.metres == piece.metres
    assert as_drawn(piece, found.part.notes[-1].end) == numbered(found)


_metre = st.tuples(st.integers(1, 13), st.sampled_from([1, 2, 4, 8, 16]))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_metre, min_size=1, max_size=4),
    st.lists(st.integers(1, 12), min_size=3, max_size=3),
    st.sampled_from([96, 120, 480, 960]),
    st.lists(st.sampled_from([0.5, 1, 1.5, 2, 3]), min_size=1, max_size=40),
)
def test_grid_and_pictures_count_the_same_bars(
    kinds: list[tuple[int, int]], apart: list[int], quarter: int, lengths: list[float]
) -> None:
    metres, at = [], 0
    for (numerator, denominator), quarters in zip(kinds, [*apart, 1], strict=False):
        metres.append(Metre(at, numerator, denominator))
        at += quarters * quarter
    source = tune(lengths, *metres, quarter=quarter)
    found = find(source)
    piece = replace(source, metres=found.metres)
    assert as_drawn(piece, int(found.grid.beat_ticks[-1])) == numbered(found)


def test_what_cannot_be_written_as_a_metre_is_cut_by_the_next() -> None:
    source = tune([1 / 3, *BARS], quarter=480)
    found = find(source)
    assert as_drawn(replace(source, metres=found.metres), source.length) == numbered(found)


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        pytest.param(tune([48_000], name="endless"), f"more than {MOST_BEATS} beats", id="one endless note"),
        pytest.param(
            tune([1] * 130, *(Metre(i, 3 + i % 2, 4) for i in range(60_000))), f"more than {MOST_METRES}", id="metres"
        ),
    ],
)
def test_a_few_bytes_do_not_buy_minutes(piece: Piece, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        arrange(piece)


def test_long_pieces_are_drawn_up_to_a_bar_and_say_so() -> None:
    long = replace(tune([1] * 40), length=3_000 * 1920)
    shown, said = bars.drawn(bars.bars(long))
    assert len(shown) == bars.MOST_DRAWN and said == "Bars 1 to 256 of 3000 are shown."
    assert bars.drawn(shown) == (shown, "")
    assert sum(len(line) for line in chord_chart.chart(long)) == bars.MOST_DRAWN
    assert melody.find(long).grid.n_beats == 40
