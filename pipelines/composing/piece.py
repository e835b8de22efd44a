"""What a piece of music is here: parts of notes over maps of tempo, metre and key, in ticks.

How it is read and written is midi_reading.py's and midi_writing.py's; the grid that models see is grid.py's.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal

from pipelines.errors import BadInput

Role = Literal["melody", "alto", "tenor", "bass", "chords", "pad", "arpeggio", "drums", "other"]
ROLES: tuple[Role, ...] = ("melody", "alto", "tenor", "bass", "chords", "pad", "arpeggio", "drums", "other")
SHARP_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLAT_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """``start`` and ``duration`` in ticks (duration at least 1), ``pitch`` and ``velocity`` as in MIDI."""

    start: int
    duration: int
    pitch: int
    velocity: int = 80

    @property
    def end(self) -> int:
        return self.start + self.duration


@dataclass(frozen=True, slots=True)
class Tempo:
    tick: int
    quarter_us: int  # microseconds a quarter note, as in MIDI, so that nothing is rounded


@dataclass(frozen=True, slots=True)
class Metre:
    tick: int
    numerator: int
    denominator: int

    def bar_ticks(self, ticks_per_quarter: int) -> int:
        return ticks_per_quarter * 4 * self.numerator // self.denominator


@dataclass(frozen=True, slots=True)
class Key:
    """``tonic``: pitch class, 0 is C."""

    tonic: int
    minor: bool = False

    @property
    def fifths(self) -> int:
        """Sharps (above 0) or flats (below) of the signature, -6..6."""
        major = (self.tonic + 3) % 12 if self.minor else self.tonic
        return (major * 7 + 6) % 12 - 6

    @property
    def name(self) -> str:
        names = FLAT_NAMES if self.fifths < 0 else SHARP_NAMES
        return f"{names[self.tonic]} {'minor' if self.minor else 'major'}"


@dataclass(frozen=True, slots=True)
class KeyChange:
    tick: int
    key: Key


@dataclass(frozen=True, slots=True)
class Marker:
    tick: int
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """``notes`` are in order of (start, pitch). ``program``: General MIDI, 0..127; drums play on channel 10.
    ``unkept``: what its track held that is in no Part, such as lyrics; of no account when parts are compared."""

    name: str
    role: Role
    notes: tuple[Note, ...]
    program: int = 0
    unkept: tuple[str, ...] = field(default=(), compare=False)

    @property
    def drums(self) -> bool:
        return self.role == "drums"


@dataclass(frozen=True, slots=True)
class Chord:
    """``pitch_classes``: sorted, distinct, 0..11; ``bass`` is one of them."""

    root: int
    pitch_classes: tuple[int, ...]
    bass: int
    symbol: str  # as a lead sheet has it: Am7, D/F#


@dataclass(frozen=True, slots=True)
class ChordSpan:
    start: int  # ticks
    end: int
    chord: Chord


@dataclass(frozen=True, slots=True)
class Piece:
    """Each map is sorted and holds an entry at tick 0. ``length``: ticks, at least to the last note's end."""

    name: str
    ticks_per_quarter: int
    length: int
    tempos: tuple[Tempo, ...]
    metres: tuple[Metre, ...]
    keys: tuple[KeyChange, ...]
    parts: tuple[Part, ...]
    markers: tuple[Marker, ...] = ()
    chords: tuple[ChordSpan, ...] = ()

    def part(self, role: Role) -> Part | None:
        return next((part for part in self.parts if part.role == role), None)

    def metre(self, tick: int) -> Metre:
        """The one in force at ``tick``."""
        place = bisect_right(self.metres, tick, key=lambda metre: metre.tick)
        return self.metres[max(0, place - 1)]

    def seconds(self, tick: int) -> float:
        """The moment of ``tick``, from the piece's start."""
        moment, at, quarter_us = 0.0, 0, self.tempos[0].quarter_us
        for tempo in self.tempos:
            if tempo.tick >= tick:
                break
            moment += (tempo.tick - at) * quarter_us
            at, quarter_us = tempo.tick, tempo.quarter_us
        return (moment + (tick - at) * quarter_us) / self.ticks_per_quarter / 1e6


def key_named(text: str) -> Key:
    """``C major``, ``f# minor``, ``Bb``, ``am``; raises BadInput when it is none."""
    words = text.strip().replace("♯", "#").replace("♭", "b").split()
    tonic, mode = (words[0], words[1].lower()) if len(words) == 2 else (words[0] if len(words) == 1 else "", "")
    minor = mode == "minor" or (not mode and len(tonic) > 1 and tonic.endswith("m"))
    letter = (tonic[:-1] if minor and not mode else tonic).capitalize()
    names = {name: pitch for table in (SHARP_NAMES, FLAT_NAMES) for pitch, name in enumerate(table)}
    names |= {"Cb": 11, "Fb": 4, "E#": 5, "B#": 0}
    if letter not in names or mode not in ("", "major", "minor"):
        raise BadInput(f"key {text!r}", "is not a key", "give one such as C major, F# minor, Bb or Am")
    return Key(names[letter], minor)
