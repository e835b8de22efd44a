"""Chords as a musician types them, bar by bar, to spans of a piece: ``C | Am F | % | Dm . G7``.

What a chord's symbol means is chords.py's; what becomes of a given chord, the styles'.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.composing.bars import Bar
from pipelines.composing.beats import bars_of
from pipelines.composing.chords import parse_chord
from pipelines.composing.melody import Melody
from pipelines.composing.piece import Chord, ChordSpan
from pipelines.errors import BadInput

SAME_BAR, GO_ON, OPEN = "%", ".", "-"


def spans(text: str, melody: Melody) -> tuple[ChordSpan, ...]:
    """The given chords of ``melody``, from its first full bar on; bars beyond the text are left to the product.

    The first one is the bar in which the melody begins, whatever rests come before, or the next one when half of that
    bar or more is silent: what sounds in it is a pick-up then, as it is when the bar is an incomplete one, written as
    such or only heard. Bar lines are those of ``melody.grid``, which the arranger goes by.

    Bars end with ``|`` or a line's end. The entries of a bar share its beats evenly, the first ones getting what is
    over: a chord, ``.`` for the one before it, ``-`` for none given; ``%`` alone repeats the bar before. BadInput
    for what is no chord, no chord at all, more entries than beats and more bars than the melody has.
    """
    found = full_bars(melody)
    written = list(_bars(text))
    if len(written) > len(found):
        reason = f"have {len(written)} bars, the melody has {len(found)}"
        raise BadInput("the chords", reason, "leave out what is too much; a pick-up is not counted")
    given: list[ChordSpan] = []
    last: Chord | None = None
    for bar, entries in zip(found, written, strict=False):
        for start, end, entry in _slots(bar, entries):
            last = last if entry == GO_ON else None if entry == OPEN else parse_chord(entry)
            if last is None:
                continue
            if given and given[-1].end == start and given[-1].chord == last and entry == GO_ON:
                given[-1] = ChordSpan(given[-1].start, end, last)
            else:
                given.append(ChordSpan(start, end, last))
    if not given:
        raise BadInput("the chords", "hold no chord", "give some such as C | Am F, or leave them to the product")
    return tuple(given)


def full_bars(melody: Melody) -> list[Bar]:
    """The melody's bars without those of rest before it and without its pick-up; the last one whole."""
    grid, first, quarter = melody.grid, melody.part.notes[0].start, melody.piece.ticks_per_quarter
    found: list[Bar] = []
    for beat, after in bars_of(grid.bar):
        start, end = int(grid.beat_ticks[beat]), int(grid.beat_ticks[after])
        metre = melody.piece.metre(start)
        if after == grid.n_beats:
            end = max(end, start + metre.bar_ticks(quarter))
        if end <= first or grid.level[beat] != 3:
            continue
        changes = not found or (metre.numerator, metre.denominator) != (found[-1].numerator, found[-1].denominator)
        found.append(Bar(int(grid.bar[beat]), start, end, metre.numerator, metre.denominator, changes))
    silent = len(found) > 1 and first - found[0].start >= (found[0].end - found[0].start) / 2
    return found[1:] if silent else found


def _bars(text: str) -> Iterator[list[str]]:
    before: list[str] = []
    for line in text.replace("‖", "|").splitlines():
        cells = line.strip().strip("|").split("|") if line.strip().strip("|") else []
        for cell in cells:
            entries = cell.split()
            if entries == [SAME_BAR]:
                if not before:
                    raise BadInput("the chords", "begin with %, which repeats a bar", "begin with a chord")
                entries = before
            before = entries or [OPEN]
            yield before


def _slots(bar: Bar, entries: list[str]) -> Iterator[tuple[int, int, str]]:
    if len(entries) > bar.numerator:
        reason = f"have {len(entries)} chords in bar {bar.number}, which has {bar.numerator} beats"
        raise BadInput("the chords", reason, "give at most one a beat")
    beats, over = divmod(bar.numerator, len(entries))
    at = 0
    for i, entry in enumerate(entries):
        length = beats + (i < over)
        start, end = (bar.start + round(beat * bar.beat_ticks) for beat in (at, at + length))
        yield start, end, entry
        at += length
