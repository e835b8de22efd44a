"""Bars as a page counts them: where each begins and ends, its metre and its number, from a piece's map of metres.

What the models see as beats is grid.py's; this is for pictures and reports, which draw what the file says.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from pipelines.composing.piece import Piece

MOST_DRAWN = 256  # in a picture or on a page: more are too small to be read, and cost a second a hundred
MOST_BARS = 20_000  # a file with a metre of 1/64 over hours would be drawn for ever


@dataclass(frozen=True, slots=True)
class Bar:
    """``number`` counts from 1. ``end`` is cut where a new metre begins."""

    number: int
    start: int  # ticks
    end: int
    numerator: int
    denominator: int
    changes: bool  # whether its metre is new, as that of the first bar is

    @property
    def beat_ticks(self) -> float:
        """Length of what its metre's numerator counts."""
        return (self.end - self.start) / self.numerator


def bars(piece: Piece) -> list[Bar]:
    """All bars of ``piece``, at least one; beyond MOST_BARS the rest is one last bar."""
    found: list[Bar] = []
    length = max(piece.length, 1)
    ends = [metre.tick for metre in piece.metres[1:]] + [length]
    for i, (metre, end) in enumerate(zip(piece.metres, ends, strict=True)):
        # As a fraction, so that bars of few ticks do not drift away from the beats, which are counted so, too.
        ticks = max(Fraction(1), Fraction(piece.ticks_per_quarter * 4 * metre.numerator, metre.denominator))
        start, line, new = metre.tick, Fraction(metre.tick), True
        while start < end:
            if len(found) + 1 >= MOST_BARS:
                return [*found, Bar(MOST_BARS, start, max(length, start + 1), metre.numerator, metre.denominator, new)]
            line += ticks
            # The very last bar is whole, even when its last note ends before it does.
            stop = round(line) if i == len(ends) - 1 else min(round(line), end)
            found.append(Bar(len(found) + 1, start, stop, metre.numerator, metre.denominator, new))
            start, new = stop, False
    return found or [Bar(1, 0, max(piece.length, 1), 4, 4, True)]


def drawn(found: list[Bar]) -> tuple[list[Bar], str]:
    """Those that pictures and pages show, and a sentence that says so where they are not all; else nothing."""
    shown = found[:MOST_DRAWN]
    return shown, f"Bars 1 to {MOST_DRAWN} of {len(found)} are shown." if len(shown) < len(found) else ""


def pick_up(found: list[Bar]) -> bool:
    """Whether the first bar is a shorter one that leads into the second."""
    whole = sorted(bar.end - bar.start for bar in found)
    return len(found) > 1 and found[0].end - found[0].start < whole[len(whole) // 2]


def systems(found: list[Bar], *, quarters: float, ticks_per_quarter: int, most: int) -> list[list[Bar]]:
    """Bars in rows of about ``quarters`` quarter notes, 4 or 8 or 2 ... bars each; longer rows rather than more than
    ``most``. A pick-up stands before the first row's bars."""
    whole = sorted(bar.end - bar.start for bar in found)
    usual = whole[len(whole) // 2] / ticks_per_quarter
    per_row = max(1, round(quarters / max(usual, 1e-6)))
    per_row = next((n for n in (16, 12, 8, 6, 4, 3, 2) if n <= per_row), 1) if per_row < 32 else per_row
    per_row = max(per_row, -(-len(found) // most))
    n_rows = -(-(len(found) - pick_up(found)) // per_row)
    left = (len(found) - pick_up(found)) % per_row
    if 0 < left <= per_row // 3 and n_rows > 1:  # rather a little more in each row than a bar or two alone
        per_row = -(-(len(found) - pick_up(found)) // (n_rows - 1))
    edges = [0, *range(int(pick_up(found)) + per_row, len(found), per_row), len(found)]
    return [found[a:b] for a, b in pairwise(edges)]
