"""What is being played: the notes of the last bars with their beats, however late, wrong or stuck they are.

What is accompanied to them is live_pop.py's and live_chorale.py's.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from itertools import accumulate

from pipelines.composing.grooves import groups
from pipelines.composing.piece import Metre
from pipelines.errors import BadInput

TICKS_PER_QUARTER = 480
MOST_NOTES = 512  # that are kept
LONGEST = 16.0  # beats: a note whose end never came is over by then
EARLY = 0.2  # beats: how far before or after a beat a hand strikes what it means to strike on it
LATEST_BEAT = 1e7  # months of playing


@dataclass(frozen=True, slots=True)
class Pulse:
    """A metre as it is counted: ``beats`` a bar, each ``ticks`` long. Quarters in x/4, halves in x/2, dotted quarters
    in 6/8, 9/8 and 12/8, eighths in 5/8 and 7/8."""

    metre: Metre
    beats: int
    ticks: int

    @classmethod
    def of(cls, numerator: int, denominator: int) -> Pulse:
        """Raises BadInput for what is no metre."""
        if not 1 <= numerator <= 32 or denominator not in (1, 2, 4, 8, 16):
            raise BadInput(f"metre {numerator}/{denominator}", "is not one", "give one such as 4/4, 3/4, 6/8 or 7/8")
        unit = TICKS_PER_QUARTER * 4 // denominator
        threes = denominator >= 8 and numerator % 3 == 0
        metre = Metre(0, numerator, denominator)
        return cls(metre, numerator // 3 if threes else numerator, 3 * unit if threes else unit)

    @property
    def bar_ticks(self) -> int:
        return self.beats * self.ticks

    @property
    def quarters(self) -> float:
        """That a beat lasts."""
        return self.ticks / TICKS_PER_QUARTER

    @property
    def levels(self) -> tuple[int, ...]:
        """Of a bar's beats, how easily a chord changes there: 2 on the first, 1 where a group of beats or the second
        half of a 4/4 begins, 0 elsewhere."""
        metre = self.metre
        unit = TICKS_PER_QUARTER * 4 // metre.denominator
        begins = {int(size) * unit for size in accumulate(groups(metre.numerator, metre.denominator), initial=0)}
        if metre.denominator < 8 and metre.numerator % 4 == 0:
            begins |= {begin + 2 * unit for begin in begins}
        return tuple(2 if beat == 0 else int(beat * self.ticks in begins) for beat in range(self.beats))

    @property
    def quick(self) -> bool:
        """Whether beats are too short for chords of their own: the eighths of 5/8 and 7/8."""
        return self.ticks < TICKS_PER_QUARTER


@dataclass(slots=True)
class PlayedNote:
    """``start`` and ``end`` in beats; ``end`` None while it sounds."""

    start: float
    pitch: int
    velocity: int
    end: float | None = None

    def ended(self, now: float) -> float:
        return min(now if self.end is None else self.end, self.start + LONGEST)


class PlayedMelody:
    """Notes as they come. Of notes that sound together the highest is the melody."""

    def __init__(self) -> None:
        self.notes: deque[PlayedNote] = deque(maxlen=MOST_NOTES)
        self._sounding: dict[int, PlayedNote] = {}

    def note_on(self, beat: float, pitch: int, velocity: int) -> None:
        """Raises BadInput for what is no moment, pitch or velocity. A velocity of 0 ends the note, as in MIDI."""
        self._checked(beat, pitch)
        if not 0 <= velocity <= 127:
            raise BadInput("the note that was played", f"has velocity {velocity}", "give 0 to 127")
        if velocity == 0:
            self.note_off(beat, pitch)
            return
        self.note_off(beat, pitch)  # struck again without having been let go
        note = PlayedNote(beat, pitch, velocity)
        self._sounding[pitch] = note
        place = len(self.notes)
        while place and self.notes[place - 1].start > beat:  # it came late
            place -= 1
        if place == len(self.notes):
            self.notes.append(note)
        elif place or len(self.notes) < MOST_NOTES:
            if len(self.notes) == MOST_NOTES:
                self.notes.popleft()
                place -= 1
            self.notes.insert(place, note)

    def note_off(self, beat: float, pitch: int) -> None:
        """Of a note that does not sound: nothing."""
        self._checked(beat, pitch)
        note = self._sounding.pop(pitch, None)
        if note is not None:
            note.end = max(beat, note.start)

    def at(self, beat: int, now: float) -> int:
        """The pitch with which ``beat`` begins, -1 for a rest, as far as it is known at ``now``."""
        found, best = -1, -math.inf
        for note in reversed(self.notes):
            if note.start < beat - LONGEST:
                break
            if note.start > beat + EARLY or note.start > now:
                continue
            # A note that ends as the beat begins is over; one that begins a little before is meant for the beat.
            meant = note.start >= beat - EARLY
            if not meant and note.ended(now) <= beat + EARLY / 2 and not (note.end is None and now <= beat + EARLY):
                continue
            rank = (1000 if meant else 0) + note.pitch
            if rank > best:
                found, best = note.pitch, rank
        return found

    def between(self, first: float, last: float) -> list[PlayedNote]:
        """Notes that sound in first..last (beats), in their order."""
        found = []
        for note in reversed(self.notes):
            if note.start < first - LONGEST:
                break
            if note.start < last and note.ended(last) > first:
                found.append(note)
        return found[::-1]

    @property
    def last_heard(self) -> float:
        """The beat at which the last notes were let go, or will be at the latest; minus infinity before any."""
        return max((note.ended(math.inf) for note in list(self.notes)[-8:]), default=-math.inf)

    @staticmethod
    def _checked(beat: float, pitch: int) -> None:
        if not -LATEST_BEAT < beat < LATEST_BEAT:
            raise BadInput("the note that was played", f"is at beat {beat}", "give a number of beats from the start")
        if not 0 <= pitch <= 127:
            raise BadInput("the note that was played", f"has pitch {pitch}", "give a MIDI pitch from 0 to 127")
