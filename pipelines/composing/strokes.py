"""A pattern's line as strokes in time, how loud a bar is, and the small unevenness of a player.

Which pitch or drum a stroke is, is said by bass_line.py, comping.py and drum_part.py.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipelines.composing.bar_plan import PlannedBar
from pipelines.composing.piece import Note

_MEDIUM, _HIGH = 0.4, 0.7  # densities from which o and g of the drums are played
_SMALL = 0.5  # and small letters of the others
_UNEVEN = 4  # of velocity
_LATE = 96  # a quarter's parts: how late or early a player is at most


@dataclass(frozen=True, slots=True)
class Stroke:
    start: int  # ticks
    end: int  # where it is let go: at the next stroke, a rest or the bar's end
    letter: str


def strokes(
    line: str, bar: PlannedBar, step: float, ticks_per_quarter: int, density: float, swing: float = 0.0
) -> list[Stroke]:
    """``line``: a character a ``step`` (quarters). ``swing``: how much later every second sixteenth comes, of its own
    length. Letters that want more density than there is hold what was before."""
    found: list[Stroke] = []
    open_since: tuple[int, str] | None = None

    def at(place: int) -> int:
        late = swing * step if place % 2 else 0.0
        return bar.start + round((place * step + late) * ticks_per_quarter)

    for place, letter in enumerate(line):
        if letter == "-" or not _plays(letter, density):
            continue
        if open_since is not None:
            found.append(Stroke(open_since[0], min(at(place), bar.end), open_since[1]))
        open_since = None if letter == "." or at(place) >= bar.end else (at(place), letter)
    if open_since is not None:
        found.append(Stroke(open_since[0], bar.end, open_since[1]))
    return [stroke for stroke in found if stroke.end > stroke.start]  # ticks may be too coarse for a sixteenth


def velocity(bar: PlannedBar, accent: int = 0) -> int:
    """From 44 without any energy to 100 with all of it, and what the phrase adds."""
    return max(1, min(127, round(44 + 56 * bar.energy) + bar.swell + accent))


def accent(bar: PlannedBar, tick: int, ticks_per_quarter: int) -> int:
    """Steps of velocity by the beat's weight: the bar's first, that of a group or of the middle, any other, none."""
    if tick == bar.start:
        return 7
    if tick in bar.groups or 2 * (tick - bar.start) == bar.end - bar.start:
        return 2
    beat = ticks_per_quarter * 4 // max(4, bar.denominator)
    return -3 if (tick - bar.start) % max(1, beat) == 0 else -8


def performed(
    notes: Iterable[Note], bars: Sequence[PlannedBar], ticks_per_quarter: int, seed: int, one_voice: bool = False
) -> tuple[Note, ...]:
    """Velocities and onsets a little uneven, the same for the same seed and bar whatever the other bars hold.

    What begins a bar or ends at its end stays in place, so that bars can be put together again. No pitch is struck
    while it sounds, and with ``one_voice`` no other is, either.
    """
    found: list[Note] = []
    edges = [bar.start for bar in bars]
    lines = {*edges, *(bar.end for bar in bars)}
    furthest = ticks_per_quarter // _LATE
    by_bar: dict[int, list[Note]] = {}
    for note in notes:
        by_bar.setdefault(bisect_right(edges, note.start) - 1, []).append(note)
    for place, played in sorted(by_bar.items()):
        rng = np.random.default_rng([seed, bars[place].number if place >= 0 else 0])
        moments = {start: int(rng.integers(0, furthest + 1)) for start in sorted({note.start for note in played})}
        for note in played:
            late = 0 if note.start in lines else moments[note.start]
            loud = max(1, min(127, note.velocity + int(rng.integers(-_UNEVEN, _UNEVEN + 1))))
            shorter = late if note.duration > late else 0
            found.append(replace(note, start=note.start + shorter, duration=note.duration - shorter, velocity=loud))
    return _apart(sorted(found, key=lambda note: (note.start, note.pitch)), one_voice)


def _apart(notes: Sequence[Note], one_voice: bool) -> tuple[Note, ...]:
    """Each note ended where the next of its pitch (or of all) begins; of two that begin together one stays."""
    following: dict[int, int] = {}
    found: list[Note] = []
    for note in reversed(notes):
        pitch = -1 if one_voice else note.pitch
        end = min(note.end, following.get(pitch, note.end))
        if end > note.start:
            found.append(replace(note, duration=end - note.start))
            following[pitch] = note.start
    return tuple(reversed(found))


def _plays(letter: str, density: float) -> bool:
    if letter == "o":  # of drums; a bass's octave is asked for at the same density or a higher one
        return density >= _MEDIUM
    if letter == "g":
        return density >= _HIGH
    return density >= _SMALL if letter in "rftac" else True
