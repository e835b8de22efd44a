"""Chord symbols and roman numerals: read, spelt and written; what pitch classes they hold.

Which chord belongs where is progressions.py's; how one is voiced, comping.py's and voicings.py's.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from pipelines.composing.piece import Chord, ChordSpan, Key
from pipelines.errors import BadInput

QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
    "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "aug": (0, 4, 8),
    "sus4": (0, 5, 7),
    "sus2": (0, 2, 7),
    "7sus4": (0, 5, 7, 10),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "add9": (0, 2, 4, 7),
    "madd9": (0, 2, 3, 7),
    "6/9": (0, 2, 4, 7, 9),
    "9": (0, 2, 4, 7, 10),
    "maj9": (0, 2, 4, 7, 11),
    "m9": (0, 2, 3, 7, 10),
    "9sus4": (0, 2, 5, 7, 10),
    "m11": (0, 2, 3, 5, 7, 10),
    "13": (0, 2, 4, 7, 9, 10),
    "7b9": (0, 1, 4, 7, 10),
    "7#9": (0, 3, 4, 7, 10),
    "7b5": (0, 4, 6, 10),
    "aug7": (0, 4, 8, 10),
    "mmaj7": (0, 3, 7, 11),
    "maj7#11": (0, 4, 6, 7, 11),
    "5": (0, 7),
}  # by what follows the root in a lead sheet; intervals in semitones above the root
ALIASES: dict[str, str] = {
    "M": "",
    "maj": "",
    "major": "",
    "min": "m",
    "minor": "m",
    "-": "m",
    "dom7": "7",
    "M7": "maj7",
    "Δ": "maj7",
    "Δ7": "maj7",
    "min7": "m7",
    "-7": "m7",
    "°": "dim",
    "o": "dim",
    "°7": "dim7",
    "o7": "dim7",
    "ø": "m7b5",
    "ø7": "m7b5",
    "h7": "m7b5",
    "-7b5": "m7b5",
    "min7b5": "m7b5",
    "+": "aug",
    "+7": "aug7",
    "7#5": "aug7",
    "sus": "sus4",
    "7sus": "7sus4",
    "9sus": "9sus4",
    "11": "9sus4",  # as it is played: the third is left out
    "2": "add9",
    "add2": "add9",
    "69": "6/9",
    "M9": "maj9",
    "min9": "m9",
    "-9": "m9",
    "min6": "m6",
    "-6": "m6",
    "mM7": "mmaj7",
    "m(maj7)": "mmaj7",
    "mMaj7": "mmaj7",
    "min11": "m11",
}
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_FIFTHS = ("F", "C", "G", "D", "A", "E", "B")  # F is at -1 of the line of fifths
_NUMERALS = {"I": 0, "II": 1, "III": 2, "IV": 3, "V": 4, "VI": 5, "VII": 6}
_MAJOR_SCALE, _MINOR_SCALE = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_SYMBOL = re.compile(r"([A-G])([#b♯♭]?)(.*)", re.DOTALL)
_ROMAN = re.compile(r"([b#]?)([iv]+|[IV]+)(.*)", re.DOTALL)
_LONGEST = 24  # characters; a symbol is never longer, whatever a file's markers hold
_WITH_SIXTH = frozenset({"6", "m6", "6/9"})
C_MAJOR = Key(0)


def note_name(pitch_class: int, key: Key = C_MAJOR) -> str:
    """The name that ``pitch_class`` has in ``key``: each of the twelve once, nearest on the line of fifths.

    Major keys reach from the flat sixth to the raised tonic, minor ones from the flat second to the leading note.
    """
    lowest = key.fifths - (3 if key.minor else 4)
    place = lowest + (pitch_class * 7 - lowest) % 12
    if place > 12:  # no chord is named by a double sharp or flat
        place -= 12
    elif place < -7:
        place += 12
    sharps, letter = divmod(place + 1, 7)
    return _FIFTHS[letter] + ("#" * sharps if sharps >= 0 else "b" * -sharps)


def make_chord(root: int, quality: str = "", bass: int | None = None, key: Key = C_MAJOR) -> Chord:
    """``quality``: a key of QUALITIES. ``bass``: pitch class; one outside of the chord is added to it."""
    root %= 12
    low = root if bass is None else bass % 12
    classes = {(root + interval) % 12 for interval in QUALITIES[quality]} | {low}
    name = note_name(root, key)
    slash = "" if low == root else "/" + _above(name, root, low, key)
    return Chord(root, tuple(sorted(classes)), low, name + quality + slash)


def _above(name: str, root: int, low: int, key: Key) -> str:
    """The name of ``low`` in a chord whose root has ``name``: thirds, fifths and sevenths take every other letter, so
    that the third of A is C# in any key; others, and what would need a double accidental, have the key's name."""
    step = {3: 2, 4: 2, 6: 4, 7: 4, 8: 4, 10: 6, 11: 6}.get((low - root) % 12)
    if step is None:
        return note_name(low, key)
    letters = "CDEFGAB"
    letter = letters[(letters.index(name[0]) + step) % 7]
    off = (low - _LETTERS[letter] + 6) % 12 - 6
    return letter + {-1: "b", 0: "", 1: "#"}[off] if abs(off) <= 1 else note_name(low, key)


def parse_chord(text: str) -> Chord:
    """``Am7``, ``D/F#``, ``Bbmaj7``, ``F♯ø``: as lead sheets have them. Raises BadInput when it is no chord."""
    written = text.strip()
    symbol = written.replace("♯", "#").replace("♭", "b")
    match = _SYMBOL.fullmatch(symbol) if len(symbol) <= _LONGEST else None
    if match is None:
        raise _not_a_chord(text)
    letter, accidental, rest = match.groups()
    root = _LETTERS[letter] + _accidental(accidental)
    low: int | None = None
    quality = _quality(rest)
    if quality is None and "/" in rest:
        rest, _, under = rest.rpartition("/")
        quality, found = _quality(rest), _SYMBOL.fullmatch(under)
        if found is None or found.group(3):
            raise _not_a_chord(text)
        low = _LETTERS[found.group(1)] + _accidental(found.group(2))
    if quality is None:
        raise _not_a_chord(text)
    made = make_chord(root, quality, low)
    return Chord(made.root, made.pitch_classes, made.bass, symbol)


def from_roman(text: str, key: Key = C_MAJOR) -> Chord:
    """``ii7``, ``bVII``, ``V7/vi``, ``viio``: degrees of ``key``'s major or natural minor scale; raises BadInput."""
    degree, slash, of = text.strip().partition("/")
    if slash:
        target = from_roman(of, key)
        return _respelt(from_roman(degree, Key(target.root)), key)
    match = _ROMAN.fullmatch(degree) if len(degree) <= _LONGEST else None
    numeral = match.group(2) if match else ""
    if match is None or numeral.upper() not in _NUMERALS:
        raise _not_a_chord(text)
    rest = match.group(3)
    if numeral.islower() and not rest.startswith(("o", "°", "ø", "h")):
        rest = "m" + rest
    quality = _quality(rest)
    if quality is None:
        raise _not_a_chord(text)
    degree_at = _NUMERALS[numeral.upper()]
    shift = _accidental(match.group(1))
    if key.minor and shift < 0 and degree_at in (2, 5, 6):  # written from the major scale: bVII is the natural one
        shift = 0
    elif key.minor and degree_at == 6 and quality in ("dim", "dim7"):  # viio stands on the leading note
        shift += 1
    scale = _MINOR_SCALE if key.minor else _MAJOR_SCALE
    return make_chord(key.tonic + scale[degree_at] + shift, quality, key=key)


def roman(chord: Chord, key: Key) -> str:
    """The chord's function in ``key``, such as ``ii7`` or ``bVII``; inversions are not written."""
    scale = _MINOR_SCALE if key.minor else _MAJOR_SCALE
    offset = (chord.root - key.tonic) % 12
    degree, accidental = (
        (scale.index(offset), "")
        if offset in scale
        else (scale.index((offset + 1) % 12), "b")
        if (offset + 1) % 12 in scale
        else (scale.index((offset - 1) % 12), "#")
    )
    quality = quality_of(chord)
    numeral = list(_NUMERALS)[degree]
    if quality.startswith("dim"):
        return accidental + numeral.lower() + "o" + quality[3:]
    if quality == "m7b5":
        return accidental + numeral.lower() + "ø"
    if quality.startswith("m") and not quality.startswith("maj"):
        return accidental + numeral.lower() + quality[1:]
    return accidental + numeral + quality


def quality_of(chord: Chord) -> str:
    """The key of QUALITIES that the chord's pitch classes have above its root; the nearest when none is it exactly."""
    intervals = {(pitch_class - chord.root) % 12 for pitch_class in chord.pitch_classes}
    low = (chord.bass - chord.root) % 12
    added = intervals - {low}
    for heard in (added, intervals) if low in (1, 2, 5) else (intervals, added):  # F/G is F, but Cm7/Bb is Cm7
        for quality, template in QUALITIES.items():
            if set(template) == heard:
                return quality
    return max(QUALITIES, key=lambda quality: _likeness(set(QUALITIES[quality]), intervals))


def identify(pitch_classes: Sequence[int], bass: int, key: Key = C_MAJOR, *, sixths: bool = True) -> Chord:
    """The simplest chord that holds the sounding pitch classes, roots in the bass before inversions.

    C E G A upon C is C6 in a song; in four-part harmony it is Am7/C, for chords are piled up in thirds and no sixth is
    added to them: that is how it is named, and Dm6 as Bm7b5/D, with ``sixths`` False.

    ``pitch_classes``: any pitches or classes, at least one, ``bass`` among them. Nothing is added but what the symbol
    needs: two notes C and E are C, and the fifth is understood.
    """
    heard = {pitch % 12 for pitch in pitch_classes} | {bass % 12}
    best: tuple[float, int, str] | None = None
    for root in sorted(heard):
        intervals = {(pitch - root) % 12 for pitch in heard}
        for place, (quality, template) in enumerate(QUALITIES.items()):
            if quality in _WITH_SIXTH and not sixths:
                continue
            score = _likeness(set(template), intervals) + (0.6 if root == bass % 12 else 0.0) - place * 0.02
            if best is None or score > best[0]:
                best = (score, root, quality)
    assert best is not None
    return make_chord(best[1], best[2], bass, key)


def transposed(chord: Chord, semitones: int, key: Key = C_MAJOR) -> Chord:
    """``key`` is the one that it comes to stand in."""
    return make_chord(chord.root + semitones, quality_of(chord), chord.bass + semitones, key)


def chord_at(spans: Sequence[ChordSpan], tick: int) -> Chord | None:
    """The chord that sounds at ``tick``; None where there is none. ``spans`` in order, not overlapping."""
    place = bisect_right(spans, tick, key=lambda span: span.start) - 1
    return spans[place].chord if place >= 0 and tick < spans[place].end else None


def within(spans: Sequence[ChordSpan], start: int, end: int) -> range:
    """Places in ``spans`` of the chords that sound between two ticks."""
    first = bisect_left(spans, start + 1, key=lambda span: span.end)
    return range(first, max(first, bisect_left(spans, end, key=lambda span: span.start)))


def _likeness(template: set[int], heard: set[int]) -> float:
    missing = template - heard
    return len(template & heard) - 1.5 * len(heard - template) - len(missing) + 0.7 * (7 in missing)


def _quality(text: str) -> str | None:
    plain = text.strip().replace("(", "").replace(")", "")
    for name in (text.strip(), plain):
        if name in QUALITIES:
            return name
        if name in ALIASES:
            return ALIASES[name]
    return None


def _accidental(text: str) -> int:
    return {"": 0, "#": 1, "b": -1}[text]


def _respelt(chord: Chord, key: Key) -> Chord:
    return make_chord(chord.root, quality_of(chord), chord.bass, key)


def _not_a_chord(text: str) -> BadInput:
    return BadInput(f"chord {text[:_LONGEST]!r}", "is not a chord symbol", "give one such as C, Am7, Bbmaj7 or D/F#")
