"""Tunes in the public domain, keyed in by hand in a small notation, and the command that writes them as MIDI files:
``python -m tests.composing.tunes`` writes ``sample/tunes/*.mid``.

Notation: ``G4:1`` is a pitch and its length in quarter notes, kept until the next length; ``r`` rests; ``~`` after a
note ties it to the next; ``|`` is a bar line and is checked. A first bar that is shorter is a pick-up and is written
after a rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from pipelines.composing.midi_writing import to_bytes
from pipelines.composing.piece import Key, KeyChange, Metre, Note, Part, Piece, Tempo, key_named

FOLDER = Path(__file__).parents[2] / "sample" / "tunes"
TICKS = 480
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True, slots=True)
class Tune:
    file: str
    title: str
    key: str
    metre: str
    quarters_a_minute: int
    text: str
    origin: str

    @property
    def piece(self) -> Piece:
        numerator, denominator = map(int, self.metre.split("/"))
        bar = Fraction(4 * numerator, denominator)
        bars = [Fraction(0)]
        at = Fraction(0)
        length = Fraction(1)
        notes: list[Note] = []
        tied = False
        for word in self.text.split():
            if word == "|":
                bars.append(at)
                continue
            name, _, given = word.rstrip("~").partition(":")
            length = Fraction(given) if given else length
            if name != "r":
                pitch = 12 * (int(name[-1]) + 1) + _LETTERS[name[0]] + name.count("#") - name.count("b")
                if tied and notes[-1].pitch == pitch:
                    notes[-1] = Note(notes[-1].start, notes[-1].duration + int(length * TICKS), pitch)
                else:
                    notes.append(Note(int(at * TICKS), int(length * TICKS), pitch))
            tied = word.endswith("~")
            at += length
        first = bars[1] if bars[1] < bar else Fraction(0)
        for number, (begin, end) in enumerate(pairwise(bars[1:]), start=2):
            assert end - begin == bar, f"{self.title}: bar {number} has {end - begin} quarters"
        shift = int((bar - first) * TICKS) if first else 0
        part = Part(self.title, "melody", tuple(Note(n.start + shift, n.duration, n.pitch) for n in notes), 73)
        return Piece(
            name=self.title,
            ticks_per_quarter=TICKS,
            length=part.notes[-1].end,
            tempos=(Tempo(0, 60_000_000 // self.quarters_a_minute),),
            metres=(Metre(0, numerator, denominator),),
            keys=(KeyChange(0, self.signature),),
            parts=(part,),
        )

    @property
    def signature(self) -> Key:
        return key_named(self.key)


TUNES = (
    Tune(
        "ode_to_joy", "Ode to Joy", "D major", "4/4", 120,
        """F#4:1 F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | F#4:3/2 E4:1/2 E4:2 |
        F#4:1 F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | E4:3/2 D4:1/2 D4:2 |
        E4:1 E4 F#4 D4 | E4 F#4:1/2 G4 F#4:1 D4 | E4 F#4:1/2 G4 F#4:1 E4 | D4 E4 A3 F#4~ |
        F#4 F#4 G4 A4 | A4 G4 F#4 E4 | D4 D4 E4 F#4 | E4:3/2 D4:1/2 D4:2""",
        "Ludwig van Beethoven (1770-1827), Symphony No. 9, fourth movement",
    ),
    Tune(
        "amazing_grace", "Amazing Grace", "G major", "3/4", 90,
        """D4:1 | G4:2 B4:1/2 G4 | B4:2 A4:1 | G4:2 E4:1 | D4:2 D4:1 | G4:2 B4:1/2 G4 | B4:2 A4:1 | D5:3~ | D5:2 B4:1 |
        D5:3/2 B4:1/2 D5 B4 | G4:2 D4:1 | E4:3/2 G4:1/2 G4 E4 | D4:2 D4:1 |
        G4:2 B4:1/2 G4 | B4:2 A4:1 | G4:3~ | G4:2""",
        "New Britain, from Southern Harmony (1835)",
    ),
    Tune(
        "greensleeves", "Greensleeves", "A minor", "6/8", 110,
        """A4:1/2 | C5:1 D5:1/2 E5:3/4 F#5:1/4 E5:1/2 | D5:1 B4:1/2 G4:3/4 A4:1/4 B4:1/2 |
        C5:1 A4:1/2 A4:3/4 G#4:1/4 A4:1/2 | B4:1 G#4:1/2 E4:1 A4:1/2 |
        C5:1 D5:1/2 E5:3/4 F#5:1/4 E5:1/2 | D5:1 B4:1/2 G4:3/4 A4:1/4 B4:1/2 |
        C5:3/4 B4:1/4 A4:1/2 G#4:3/4 F#4:1/4 G#4:1/2 | A4:3 |
        G5:3/2 G5:3/4 F#5:1/4 E5:1/2 | D5:1 B4:1/2 G4:3/4 A4:1/4 B4:1/2 |
        C5:1 A4:1/2 A4:3/4 G#4:1/4 A4:1/2 | B4:1 G#4:1/2 E4:3/2 |
        G5:3/2 G5:3/4 F#5:1/4 E5:1/2 | D5:1 B4:1/2 G4:3/4 A4:1/4 B4:1/2 |
        C5:3/4 B4:1/4 A4:1/2 G#4:3/4 F#4:1/4 G#4:1/2 | A4:5/2""",
        "English, 16th century",
    ),
)  # fmt: skip


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for tune in TUNES:
        (FOLDER / f"{tune.file}.mid").write_bytes(to_bytes(tune.piece))


if __name__ == "__main__":
    main()
