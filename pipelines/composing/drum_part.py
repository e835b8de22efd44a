"""Drums of the pop style: the groove's pattern bar by bar, fills where a section ends, a crash where one begins.

All of it is rule. The patterns are grooves.yaml's; whether a bar closes a section is bar_plan.py's.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.composing.bar_plan import PHRASE_BARS, PlannedBar
from pipelines.composing.grooves import DRUMS, Groove, Pattern
from pipelines.composing.piece import Note
from pipelines.composing.strokes import strokes, velocity

_CRASH_FROM, _SOFT_BELOW, _PHRASE_FILL_FROM = 0.4, 0.35, 0.55  # of energy; of density
_ACCENTS = {"X": 10, "x": -4, "o": -10, "g": -30}
_QUIET = {"hat": -12, "shaker": -14, "pedal": -12, "ride": -10, "rim": -4}


def drum_part(bars: Sequence[PlannedBar], groove: Groove, ticks_per_quarter: int) -> list[Note]:
    """Nothing sounds in the pick-up; the last bar has one stroke, with the crash that rings if the energy is there."""
    notes: list[Note] = []
    opening = True
    for bar in bars:
        if bar.number < 1 or bar.density < groove.begins["drums"]:
            opening = True
            continue
        loud = bar.energy >= _CRASH_FROM
        if bar.last:
            notes.append(_struck("kick", bar.start, ticks_per_quarter, bar, 8))
            if loud:
                notes.append(_struck("crash", bar.start, ticks_per_quarter, bar, 6))
            continue
        if (bar.opens or opening) and loud and bar.number > 1:
            notes.append(_struck("crash", bar.start, ticks_per_quarter, bar, 4))
        opening = False
        for drum, line in _lines(bar, groove.pattern(bar.numerator, bar.denominator)).items():
            kind = groove.soft.get(drum, drum) if bar.energy < _SOFT_BELOW else drum
            for stroke in strokes(line, bar, _step(bar, groove), ticks_per_quarter, bar.density, groove.swing):
                weight = _ACCENTS[stroke.letter] + _QUIET.get(kind, 0)
                notes.append(_struck(kind, stroke.start, ticks_per_quarter, bar, weight))
    return sorted({(note.start, note.pitch): note for note in notes}.values())


def _step(bar: PlannedBar, groove: Groove) -> float:
    return groove.pattern(bar.numerator, bar.denominator).step


def _lines(bar: PlannedBar, pattern: Pattern) -> dict[str, str]:
    """The bar's lines; where a section closes, the fill's from the middle of the bar on, which of a phrase within a
    section is but its last quarter."""
    lines = dict(pattern.drums)
    within = bar.number % PHRASE_BARS == 0 and bar.density >= _PHRASE_FILL_FROM
    if not (bar.closes or within) or not any(line.strip(".") for line in pattern.fill.values()):
        return lines
    begin = _first_of_fill(pattern) if bar.closes else pattern.steps - pattern.steps // 4
    for drum in {*lines, *pattern.fill}:
        # Cymbals go on through a short fill, and stop for a long one.
        if drum in ("hat", "shaker", "ride") and not bar.closes and drum not in pattern.fill:
            continue
        kept = lines.get(drum, "." * pattern.steps)[:begin]
        lines[drum] = kept + pattern.fill.get(drum, "." * pattern.steps)[begin:]
    return lines


def _first_of_fill(pattern: Pattern) -> int:
    first = min(
        line.find(next(letter for letter in line if letter != ".")) for line in pattern.fill.values() if line.strip(".")
    )
    return max(first, pattern.steps // 2)


def _struck(drum: str, start: int, ticks_per_quarter: int, bar: PlannedBar, accent: int) -> Note:
    length = ticks_per_quarter * 2 if drum == "crash" else max(1, ticks_per_quarter // 8)
    return Note(start, min(length, max(1, bar.end - start)), DRUMS[drum], velocity(bar, accent))
