"""Incomplete first bars: written as a short metre, or heard in a melody that begins at once and disagrees with the
bars.

How the beats of such a bar are laid is beats.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from pipelines.composing.piece import Metre, Note, Piece

FINEST = 64  # of a metre that is written
LEAST_NOTES = 12  # fewer say too little about the bars
CLEARLY = 0.3  # of the score below: the tunes in sample/tunes gain .34 and more by their pick-up, .2 by a wrong one
LONGEST = 0.75  # of a bar
AT_ONCE = 0.1  # of a beat
_LONGEST_NOTE = 4.0  # beats
_HELD_OVER = 1.0  # beats that a note held over a bar line takes back
_LAST_NOTE = 0.12  # of all beats, for a last note that begins a bar


def written(piece: Piece) -> tuple[int, tuple[Metre, ...]] | None:
    """Where a pick-up ends (ticks) and the metres after it, when the first metre fills one bar that is shorter than
    those of the next and never comes again: how some programs write a pick-up.
    """
    if len(piece.metres) < 2:
        return None
    first, second = piece.metres[:2]
    bar, full = (metre.bar_ticks(piece.ticks_per_quarter) for metre in (first, second))
    again = any((each.numerator, each.denominator) == (first.numerator, first.denominator) for each in piece.metres[2:])
    if again or second.tick > bar or bar > LONGEST * full:
        return None
    return second.tick, piece.metres[1:]


def shown(piece: Piece, first_line: int) -> tuple[Metre, ...]:
    """The map of a piece of one metre whose first bar line was heard at tick ``first_line``: a short first metre, as
    programs write a pick-up, and then its own; the map as it is when that line lies where the file has it.
    """
    own = piece.metres[0]
    quarter = piece.ticks_per_quarter
    if len(piece.metres) != 1 or first_line < 1 or abs(first_line - own.bar_ticks(quarter)) <= 1:
        return piece.metres
    denominator = own.denominator
    while denominator < FINEST and first_line * denominator % (4 * quarter):
        denominator *= 2
    # Where ticks are too few for any note, the metre is the next longer one, which the second one cuts.
    numerator = -(-first_line * denominator // (4 * quarter))
    return Metre(0, numerator, denominator), Metre(first_line, own.numerator, own.denominator)


def heard(notes: Sequence[Note], sizes: tuple[Fraction, ...], unit: Fraction) -> int:
    """How many ticks of the melody come before its first bar line, 0 when the bars as they are agree with it.

    Each place for the bar line is scored by the beats of the notes that begin there, less those held over it, plus the
    last note; only a melody that begins at once and whose score is clearly better elsewhere is moved.
    """
    beat = float(unit * sizes[0])
    if len(notes) < LEAST_NOTES or notes[0].start > AT_ONCE * beat or len(set(sizes)) > 1 or len(sizes) < 2:
        return 0
    starts = np.array([note.start for note in notes]) / beat
    ends = np.array([note.end for note in notes]) / beat
    lasting = np.clip(np.diff(np.append(starts, ends[-1])), 0, _LONGEST_NOTE)
    bar = len(sizes)
    thirds = int(sizes[0]) if sizes[0] == 3 else 2
    places = np.arange(0, bar * thirds) / thirds

    def score(place: float) -> float:
        into = (starts - place + AT_ONCE) % bar
        begins = into < 2 * AT_ONCE
        held = ~begins & (into - AT_ONCE + ends - starts > bar * (1 + AT_ONCE / 5))
        return float(lasting[begins].sum() - _HELD_OVER * held.sum() + _LAST_NOTE * lasting.sum() * begins[-1]) / max(
            float(lasting.sum()), 1e-9
        )

    scores = np.array([score(place) for place in places])
    best = int(scores.argmax())
    return round(places[best] * beat) if scores[best] - scores[0] > CLEARLY else 0
