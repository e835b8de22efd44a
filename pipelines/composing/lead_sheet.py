"""Chords as a musician types them, bar by bar, to spans of a piece: ``C | Am F | % | Dm . G7``.

What a chord's symbol means is chords.py's; what becomes of a given chord, the styles'.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.composing.bars import Bar, bars
from pipelines.composing.chords import parse_chord
from pipelines.composing.melody import Melody
from pipelines.composing.piece import Chord, ChordSpan
from pipelines.errors import BadInput

SAME_BAR, GO_ON, OPEN = "%", ".", "-"


def spans(text: str, melody: Melody) -> tuple[ChordSpan, ...]:
    """The given chords of ``melody``, from its first bar line on; bars beyond the text are left to the product.

    Bars end with ``|`` or a line's end. The entries of a bar share its beats evenly, the first ones getting what is
    over: a chord, ``.`` for the one before it, ``-`` for none given; ``%`` alone repeats the bar before. BadInput
    for what is no chord, more entries than beats and more bars than the melody has.
    """
    found = bars(melody.piece)
    found = found[1:] if melody.grid.pickup else found
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
    return tuple(given)


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
