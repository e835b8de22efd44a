"""A melody as its arranger sees it: full bars after the pick-up, phrases, sections, and where a chord may change.

Beats and bars themselves are grid.py's; what is played in a bar is pop.py's and its parts'.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pipelines.composing.grooves import compound, groups
from pipelines.composing.piece import ChordSpan, Metre, Note, Piece
from pipelines.composing.progressions import Slot, SungNote

if TYPE_CHECKING:
    from pipelines.composing.melody import Melody

PHRASE_BARS, SECTION_BARS = 4, 8
_ARCH, _HEIGHT = 6.0, 4.0  # steps of velocity


@dataclass(frozen=True, slots=True)
class Section:
    """``first_bar`` and ``last_bar``, both included, count as a page does and as Grid.bar: from 1, which an incomplete
    first bar is, too. ``density`` and ``energy``: 0..1."""

    first_bar: int
    last_bar: int
    name: str
    density: float = 0.5
    energy: float = 0.5


@dataclass(frozen=True, slots=True)
class PlannedBar:
    """``number`` counts full bars from 1, as phrases do; 0 is the pick-up, in which nobody plays. What a page and a
    Section count has the pick-up as bar 1. ``groups``: ticks at which its groups of beats begin. ``opens`` and
    ``closes`` a section; ``phrase_ends`` in it; ``last`` of the piece. ``swell``: steps of velocity that the phrase
    and the melody's height add."""

    number: int
    start: int  # ticks
    end: int
    numerator: int
    denominator: int
    groups: tuple[int, ...]
    density: float
    energy: float
    opens: bool
    closes: bool
    phrase_ends: bool
    last: bool
    swell: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """One slot of the harmony model with its place: ticks from ``start`` to ``end``."""

    start: int
    end: int
    slot: Slot


def plan(melody: Melody, sections: Sequence[Section], density: float, energy: float) -> tuple[PlannedBar, ...]:
    """Bars up to the melody's last note, the pick-up first when there is one (number 0).

    Without ``sections`` there is one each 8 bars: the first of three or more a little lighter, the last a little
    fuller. Where none of ``sections`` holds a bar, ``density`` and ``energy`` do.
    """
    edges, pick_up = _edges(melody)
    pages = _page_numbers(melody, edges)
    named = tuple(sections) or _usual_sections(pages[pick_up:], density, energy)
    ends = _phrase_ends(melody.part.notes, edges, melody.piece)
    phrase_ends = [
        place >= pick_up and ((place + 1 - pick_up) % PHRASE_BARS == 0 or end) for place, end in enumerate(ends)
    ]
    swells = _swells(melody.part.notes, edges, phrase_ends)
    sectioned: list[Section | None] = [None] * len(pages)
    for one in reversed(named):  # the first of several that hold a bar
        first, after = bisect_left(pages, one.first_bar), bisect_right(pages, one.last_bar)
        sectioned[first:after] = [one] * (after - first)
    opening, closing = {one.first_bar for one in named}, {one.last_bar for one in named}
    bars = []
    for place, (start, end) in enumerate(pairwise(edges)):
        number, page = place + 1 - pick_up, pages[place]
        metre = metre_at(melody.piece, start)
        held = sectioned[place]
        bars.append(
            PlannedBar(
                number,
                start,
                end,
                metre.numerator,
                metre.denominator,
                _group_starts(start, end, metre, melody.piece.ticks_per_quarter),
                min(1.0, max(0.0, held.density if held else density)),
                min(1.0, max(0.0, held.energy if held else energy)),
                opens=number == 1 or (number > 1 and page in opening),
                closes=page in closing,
                phrase_ends=phrase_ends[place],
                last=place == len(edges) - 2,
                swell=swells[place],
            )
        )
    return tuple(bars)


def stretches(melody: Melody, bars: Sequence[PlannedBar], given: Sequence[ChordSpan] = ()) -> tuple[Stretch, ...]:
    """Where a chord may begin: each bar and each of its groups, the middle of a 4/4, the last beat of a 3/4 or 2/4, and
    each half of a 2/2 or 3/2; and where a given chord begins or ends. The pick-up has none."""
    fixed = {tick for span in given for tick in (span.start, span.end)}
    cuts: list[tuple[int, int, int, PlannedBar]] = []
    for bar in bars:
        if bar.number < 1:
            continue
        levels = {bar.start: 2} | dict.fromkeys(bar.groups[1:], 1)
        beat = melody.piece.ticks_per_quarter * 4 // bar.denominator
        if not compound(bar.numerator, bar.denominator) and bar.numerator % 4 == 0:
            levels |= {start + 2 * beat: 1 for start in bar.groups if start + 2 * beat < bar.end}
        elif not compound(bar.numerator, bar.denominator) and bar.numerator == 3:
            levels[bar.start + 2 * beat] = 0
        elif (bar.numerator, bar.denominator) == (2, 4):
            levels[bar.start + beat] = 0
        if bar.denominator <= 2:  # a half note has room for a chord of its own
            levels |= {tick: levels.get(tick, 1) for tick in range(bar.start + beat, bar.end, beat)}
        for tick in fixed:
            if bar.start < tick < bar.end:
                levels.setdefault(tick, 1)
        ticks = sorted(tick for tick in levels if tick < bar.end)
        cuts += [(tick, end, levels[tick], bar) for tick, end in zip(ticks, [*ticks[1:], bar.end], strict=True)]
    notes = melody.part.notes
    starts = np.array([note.start for note in notes])
    found = []
    for start, end, level, bar in cuts:
        first = max(0, int(np.searchsorted(starts, start, side="right")) - 1)
        until = int(np.searchsorted(starts, end, side="left"))
        sung = tuple(
            _sung(notes[place], notes[place + 1] if place + 1 < len(notes) else None, start, end, bar, melody)
            for place in range(first, until)
            if min(notes[place].end, end) > start
        )
        likeness = hash((sung, start - bar.start, end - start, bar.phrase_ends, bar.last))
        moves = any(notes[place].start >= start for place in range(first, until))
        quarters = (end - start) / melody.piece.ticks_per_quarter if moves else 0.0
        cadence = bar.phrase_ends and end == bar.end
        found.append(Stretch(start, end, Slot(sung, level, likeness, cadence, bar.phrase_ends, quarters)))
    return tuple(found)


def sounding(melody: Sequence[Note], start: int, end: int) -> list[Note]:
    """Which of ``melody``, notes in order that do not overlap, are heard between two ticks."""
    first = max(0, bisect_left(melody, start, key=lambda note: note.start) - 1)
    until = bisect_left(melody, end, key=lambda note: note.start)
    return [note for note in melody[first:until] if note.end > start]


def weighty(melody: Sequence[Note], start: int, end: int, ticks_per_quarter: int) -> set[int]:
    """Pitch classes that ``melody`` sings between two ticks where they are heard against a chord: as it begins, for
    three quarters of a quarter note or longer, or for an eighth on a quarter's beginning."""
    found = set()
    for note in sounding(melody, start, end):
        length = min(note.end, end) - max(note.start, start)
        on_beat = (note.start - start) % ticks_per_quarter <= ticks_per_quarter / 16 and length >= ticks_per_quarter / 2
        if note.start <= start + ticks_per_quarter / 16 or on_beat or length >= 0.75 * ticks_per_quarter:
            found.add(note.pitch % 12)
    return found


def metre_at(piece: Piece, tick: int) -> Metre:
    return piece.metre(tick)


def _edges(melody: Melody) -> tuple[list[int], int]:
    """Ticks of the bar lines and of the end, and 1 if what comes before the second is the pick-up.

    A first bar that is silent for half or more is a pick-up, too: the melody begins before the bar line.
    """
    grid, notes = melody.grid, melody.part.notes
    lines = [int(tick) for tick, level in zip(grid.beat_ticks[:-1], grid.level, strict=True) if level == 3]
    end = max(notes[-1].end, 1)
    first = notes[0].start
    while len(lines) > 1 and lines[1] <= first:  # bars of rest before the melody begins
        lines.pop(0)
    lines = [line for line in lines if line < end] or [int(grid.beat_ticks[0])]
    metre = metre_at(melody.piece, lines[-1])
    lines.append(max(lines[-1] + metre.bar_ticks(melody.piece.ticks_per_quarter), lines[-1] + 1))
    if first < lines[0]:
        return [first, *lines], 1
    late = len(lines) > 2 and first - lines[0] >= (lines[1] - lines[0]) / 2
    return lines, int(late)


def _group_starts(start: int, end: int, metre: Metre, ticks_per_quarter: int) -> tuple[int, ...]:
    unit = ticks_per_quarter * 4 / metre.denominator
    sizes = np.array(groups(metre.numerator, metre.denominator))
    begins = start + np.concatenate([[0], np.cumsum(sizes)[:-1]]) * unit
    return tuple(int(begin) for begin in begins if begin < end)


def _page_numbers(melody: Melody, edges: Sequence[int]) -> list[int]:
    """Of each bar, as Grid.bar counts."""
    starts = melody.grid.beat_ticks[:-1]
    places = np.searchsorted(starts, np.array(edges[:-1]), side="right") - 1
    return [int(melody.grid.bar[max(0, place)]) for place in places]


def _usual_sections(pages: Sequence[int], density: float, energy: float) -> tuple[Section, ...]:
    """Of SECTION_BARS full bars each, whose numbers are ``pages``."""
    firsts = list(range(0, max(len(pages), 1), SECTION_BARS))
    if len(firsts) > 1 and len(pages) - firsts[-1] < PHRASE_BARS:  # a tail of 1 to 3 bars belongs to what came before
        firsts.pop()
    found = []
    for place, (first, after) in enumerate(zip(firsts, [*firsts[1:], len(pages)], strict=True)):
        lift = 0.0
        if len(firsts) >= 3:
            lift = -0.12 if place == 0 else 0.1 if place == len(firsts) - 1 else 0.0
        louder = lift if len(firsts) != 2 else (-0.06, 0.06)[place]
        name = chr(ord("A") + place % 26)
        found.append(Section(pages[first], pages[max(first, after - 1)], name, density + lift, energy + louder))
    return tuple(found)


def _swells(notes: Sequence[Note], edges: Sequence[int], phrase_ends: Sequence[bool]) -> list[int]:
    """Steps of velocity for each bar: up to its phrase's third quarter and down to its end by _ARCH, and _HEIGHT more
    or less as the melody is high or low for it."""
    middle = np.array([note.pitch for note in notes])
    weight = np.array([note.duration for note in notes])
    mean = float(np.average(middle, weights=weight))
    spread = max(2.0, float(np.sqrt(np.average((middle - mean) ** 2, weights=weight))))
    lasts = [len(phrase_ends) - 1] * len(phrase_ends)  # of each bar, its phrase's last one
    for place in range(len(phrase_ends) - 2, -1, -1):
        lasts[place] = place if phrase_ends[place] else lasts[place + 1]
    found: list[int] = []
    first = 0
    for place, (start, end) in enumerate(pairwise(edges)):
        if place and phrase_ends[place - 1] and not phrase_ends[place]:
            first = place
        last = lasts[place]
        through = (place - first + 0.5) / (last - first + 1)
        arch = through / 0.7 if through <= 0.7 else (1 - through) / 0.3
        heard = sounding(notes, start, end)
        height = np.mean([note.pitch for note in heard]) - mean if heard else 0.0
        found.append(round(_ARCH * (2 * arch - 1.2) + _HEIGHT * float(np.clip(height / spread, -1, 1))))
    return found


def _phrase_ends(notes: Sequence[Note], edges: Sequence[int], piece: Piece) -> list[bool]:
    """Bars in which the melody holds or rests for three quarters of a bar, and twice as long as it usually does."""
    usual = float(np.median([note.duration for note in notes]))
    found = [False] * (len(edges) - 1)
    nexts = [note.start for note in notes[1:]] + [edges[-1]]
    for note, following in zip(notes, nexts, strict=True):
        place = bisect_right(edges, note.start) - 1
        if 0 <= place < len(found):
            bar = edges[place + 1] - edges[place]
            found[place] |= following - note.start >= max(2 * usual, 3 * bar / 4)
    return found


def _sung(note: Note, following: Note | None, start: int, end: int, bar: PlannedBar, melody: Melody) -> SungNote:
    quarter = melody.piece.ticks_per_quarter
    length = (min(note.end, end) - max(note.start, start)) / quarter
    interval = 0 if following is None else abs(following.pitch - note.pitch)
    tolerance = quarter / 8  # a hand's note comes a little early or late
    beat = 4 / bar.denominator
    late = (note.start - bar.start) % quarter
    syncopated = tolerance < late < quarter - tolerance and length >= 0.75  # a long note struck early or late
    if note.start <= start + tolerance or (syncopated and bar.denominator <= 4):
        strength = 1.0
    else:
        strength = 0.5 if length >= beat - 0.1 and bar.denominator <= 4 else 0.0
    weight = min(length, 2.0) * (1.25 if note.start <= bar.start + tolerance else 1.0)
    return SungNote((note.pitch - melody.key.key.tonic) % 12, weight, strength, 0 < interval <= 2)
