"""Tunes in the public domain, keyed in by hand in a small notation, and the command that writes them as MIDI files:
``python -m tests.composing.tunes`` writes ``sample/tunes/*.mid``.

Notation: ``G4:1`` is a pitch and its length in quarter notes, kept until the next length; ``r`` rests; ``~`` after a
note ties it to the next; ``[6/4]`` changes the metre; ``|`` is a bar line and is checked. A first bar that is shorter
is a pick-up and is written after a rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
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
        bars = [bar.split() for bar in self.text.split("|")]
        metre, at, length, tied = _metre(self.metre), Fraction(0), Fraction(1), False
        metres = [Metre(0, *metre)]
        notes: list[Note] = []
        for number, bar in enumerate(bars):
            if bar[0].startswith("["):
                metre = _metre(bar.pop(0).strip("[]"))
                metres.append(Metre(int(at * TICKS), *metre))
            full = Fraction(4 * metre[0], metre[1])
            begun = at
            if number == 0:
                at += full - _length(bar)
            for word in bar:
                name, _, given = word.rstrip("~").partition(":")
                length = Fraction(given) if given else length
                start, end, pitch = int(at * TICKS), int((at + length) * TICKS), _pitch(name)
                if tied:
                    notes[-1] = Note(notes[-1].start, end - notes[-1].start, pitch)
                elif pitch >= 0:
                    notes.append(Note(start, end - start, pitch))
                tied = word.endswith("~")
                at += length
            assert at - begun == full or number == len(bars) - 1, (
                f"{self.title}: bar {number} has {at - begun} quarters"
            )
        return Piece(
            name=self.title,
            ticks_per_quarter=TICKS,
            length=notes[-1].end,
            tempos=(Tempo(0, 60_000_000 // self.quarters_a_minute),),
            metres=tuple(metres),
            keys=(KeyChange(0, self.signature),),
            parts=(Part(self.title, "other", tuple(notes), 73),),
        )

    @property
    def signature(self) -> Key:
        return key_named(self.key)


def _metre(text: str) -> tuple[int, int]:
    numerator, denominator = map(int, text.split("/"))
    return numerator, denominator


def _pitch(name: str) -> int:
    """MIDI's number of a name such as F#4; -1 of a rest."""
    if name == "r":
        return -1
    return 12 * (int(name[-1]) + 1) + _LETTERS[name[0]] + name.count("#") - name.count("b")


def _length(bar: list[str]) -> Fraction:
    total, length = Fraction(0), Fraction(1)
    for word in bar:
        _, _, given = word.rstrip("~").partition(":")
        length = Fraction(given) if given else length
        total += length
    return total


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
    Tune(
        "auld_lang_syne", "Auld Lang Syne", "F major", "4/4", 100,
        """C4:1 | F4:3/2 F4:1/2 F4:1 A4 | G4:3/2 F4:1/2 G4:1 A4 | F4:3/2 F4:1/2 A4:1 C5 | D5:3 D5:1 |
        C5:3/2 A4:1/2 A4:1 F4 | G4:3/2 F4:1/2 G4:1 A4 | F4:3/2 D4:1/2 D4:1 C4 | F4:3 D5:1 |
        C5:3/2 A4:1/2 A4:1 F4 | G4:3/2 F4:1/2 G4:1 D5 | C5:3/2 A4:1/2 A4:1 C5 | D5:3 D5:1 |
        C5:3/2 A4:1/2 A4:1 F4 | G4:3/2 F4:1/2 G4:1 A4 | F4:3/2 D4:1/2 D4:1 C4 | F4:3""",
        "Scottish, 18th century",
    ),
    Tune(
        "lullaby", "Lullaby", "Eb major", "3/4", 84,
        """G4:1/2 G4 | Bb4:3/2 G4:1/2 G4:1 | Bb4:2 G4:1/2 Bb4 | Eb5:1 D5:3/2 C5:1/2 | C5:1 Bb4 F4:1/2 G4 |
        Ab4:1 F4 F4:1/2 G4 | Ab4:2 F4:1/2 Ab4 | D5 C5 Bb4:1 D5 | Eb5:2 Eb4:1/2 Eb4 |
        Eb5:2 C5:1/2 Ab4 | Bb4:2 G4:1/2 Eb4 | Ab4:1 Bb4 C5 | Bb4:2 Eb4:1/2 Eb4 |
        Eb5:2 C5:1/2 Ab4 | Bb4:2 G4:1/2 Eb4 | Ab4:1 G4 F4 | Eb4:2""",
        "Johannes Brahms (1833-1897), Wiegenlied op. 49 no. 4",
    ),
    Tune(
        "korobeiniki", "Korobeiniki", "A minor", "4/4", 144,
        """E5:1 B4:1/2 C5 D5:1 C5:1/2 B4 | A4:1 A4:1/2 C5 E5:1 D5:1/2 C5 | B4:3/2 C5:1/2 D5:1 E5 | C5 A4 A4:2 |
        r:1/2 D5:1 F5:1/2 A5:1 G5:1/2 F5 | E5:3/2 C5:1/2 E5:1 D5:1/2 C5 | B4:1 B4:1/2 C5 D5:1 E5 | C5 A4 A4:2""",
        "Russian, 19th century",
    ),
    Tune(
        "sakura", "Sakura Sakura", "A minor", "4/4", 80,
        """A4:1 A4 B4:2 | A4:1 A4 B4:2 | A4:1 B4 C5 B4 | A4 B4:1/2 A4 F4:2 | E4:1 C4 E4 F4 | E4 E4:1/2 C4 B3:2 |
        A4:1 B4 C5 B4 | A4 B4:1/2 A4 F4:2 | E4:1 C4 E4 F4 | E4 E4:1/2 C4 B3:2 |
        A4:1 A4 B4:2 | A4:1 A4 B4:2 | E4:1 F4 B4:1/2 A4 F4:1 | E4:4""",
        "Japanese, Edo period",
    ),
    Tune(
        "drunken_sailor", "Drunken Sailor", "D minor", "2/4", 100,
        """A4:1/2 A4:1/4 A4 A4:1/2 A4:1/4 A4 | A4:1/2 D4 F4 A4 | G4 G4:1/4 G4 G4:1/2 G4:1/4 G4 | G4:1/2 C4 E4 G4 |
        A4 A4:1/4 A4 A4:1/2 A4:1/4 A4 | A4:1/2 B4 C5 D5 | C5 A4 G4 E4 | D4:1 D4 |
        A4 A4:3/4 A4:1/4 | A4:1/2 D4 F4 A4 | G4:1 G4:3/4 G4:1/4 | G4:1/2 C4 E4 G4 |
        A4:1 A4:3/4 A4:1/4 | A4:1/2 B4 C5 D5 | C5 A4 G4 E4 | D4:1 D4""",
        "Sea shanty in the Dorian mode, 19th century",
    ),
    Tune(
        "old_hundredth", "Old Hundredth", "G major", "2/2", 150,
        """G4:2 | G4 F#4 | E4 D4 | G4 A4 | B4 B4 | B4 B4 | A4 G4 | C5 B4 | A4 G4 |
        A4 B4 | A4 G4 | E4 F#4 | G4 D5 | B4 G4 | A4 C5 | B4 A4 | G4""",
        "Loys Bourgeois, Genevan Psalter (1551)",
    ),
    Tune(
        "promenade", "Promenade", "Bb major", "5/4", 104,
        """G4:1 F4 Bb4 C5:1/2 F5 D5:1 | [6/4] C5:1/2 F5 D5:1 Bb4 C5 G4 F4 |
        [5/4] G4 F4 Bb4 C5:1/2 F5 D5:1 | [6/4] C5:1/2 F5 D5:1 Bb4 C5 G4 F4""",
        "Modest Mussorgsky (1839-1881), Pictures at an Exhibition, opening",
    ),
)  # fmt: skip


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for tune in TUNES:
        (FOLDER / f"{tune.file}.mid").write_bytes(to_bytes(tune.piece))


if __name__ == "__main__":
    main()
