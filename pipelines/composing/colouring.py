"""What a chord symbol gains after its function is known: sevenths, suspensions, a third in the bass.

All of it is rule. Functions are progressions.py's; how rich a groove likes its chords, grooves.yaml's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from pipelines.composing.bar_plan import PlannedBar, sounding, weighty
from pipelines.composing.bass_line import CENTRE, nearest
from pipelines.composing.chords import QUALITIES, chord_at, make_chord, quality_of
from pipelines.composing.piece import Chord, ChordSpan, Key, Note

_INVERSION = 5.0  # what a third in the bass costs, in semitones of a bass's motion, at a worth of 1
_PARALLEL = 9.0


def coloured(
    spans: Sequence[ChordSpan],
    given: Sequence[ChordSpan],
    colour: float,
    key: Key,
    melody: Sequence[Note],
    ticks_per_quarter: int,
) -> tuple[ChordSpan, ...]:
    """Each chord that is not given with what the groove's ``colour`` adds and the melody bears: an added tone is never
    a semitone beside a note that the melody begins on a beat or holds."""
    found = []
    for place, span in enumerate(spans):
        if _is_given(span, given):
            found.append(span)
            continue
        sung = weighty(melody, span.start, span.end, ticks_per_quarter)
        last = place == len(spans) - 1
        first = next(iter(sounding(melody, span.start, span.end)), None)
        suspended = first is not None and first.pitch % 12 == (span.chord.root + 5) % 12
        quality = _richer(span.chord, colour, key, sung, last, suspended)
        found.append(ChordSpan(span.start, span.end, make_chord(span.chord.root, quality, key=key)))
    return tuple(found)


def inverted(
    spans: Sequence[ChordSpan],
    given: Sequence[ChordSpan],
    worth: float,
    key: Key,
    bars: Sequence[PlannedBar],
    melody: Sequence[Note],
    ticks_per_quarter: int,
) -> tuple[ChordSpan, ...]:
    """With the third in the bass of some chords, where that makes the bass go by step or keeps it from running in
    fifths or octaves with the melody (the cheapest path, Viterbi). Never at a section's beginning, where a phrase
    ends, on the last chord, or under a melody that sings the third itself. ``worth`` 0: nothing is inverted."""
    if worth <= 0 or not spans:
        return tuple(spans)
    barred = {bar.start for bar in bars if bar.opens}
    options: list[list[Chord]] = []
    for place, span in enumerate(spans):
        chord = span.chord
        own = [chord]
        intervals = QUALITIES[quality_of(chord)]
        ends = bars[bisect_right(bars, span.end - 1, key=lambda bar: bar.start) - 1].phrase_ends
        settled = span.start in barred or ends or place in (0, len(spans) - 1) or _is_given(span, given)
        third = (chord.root + intervals[1]) % 12
        sung = weighty(melody, span.start, span.end, ticks_per_quarter)
        plain = chord.bass == chord.root and intervals[1] in (3, 4) and len(intervals) <= 4
        if plain and not settled and not sung & {third, (third + 1) % 12, (third - 1) % 12}:
            own.append(make_chord(chord.root, quality_of(chord), third, key))
        options.append(own)
    tops = [_first_sung(span, melody) for span in spans]
    path = _cheapest(options, tops, _INVERSION / worth)
    return tuple(ChordSpan(span.start, span.end, chord) for span, chord in zip(spans, path, strict=True))


def _richer(chord: Chord, colour: float, key: Key, sung: set[int], last: bool, suspended: bool) -> str:
    quality = quality_of(chord)
    degree = (chord.root - key.tonic) % 12
    if suspended and degree == 7 and quality in ("", "7") and (chord.root + 4) % 12 not in sung:
        return "sus4" if quality == "" else "7sus4"
    if last and colour < 1:
        return quality
    wishes: tuple[str, ...] = ()
    if quality == "dim":
        wishes = ("m7b5",) if colour >= 0.5 and degree == 2 else ()
    elif quality == "m":
        wishes = ("m7",) if colour >= 1 or (colour >= 0.5 and degree not in (0,)) else ()
    elif quality == "":
        if degree == 7:
            wishes = ("9", "7") if colour >= 1 else ("7",) if colour >= 0.5 else ()
        elif degree in (0, 5) or (key.minor and degree in (3, 8)):
            wishes = ("maj7", "6") if colour >= 1 else ()
    elif quality == "7" and colour >= 1:
        wishes = ("9",) if not key.minor else ()
    scale = {(key.tonic + step) % 12 for step in ((0, 2, 3, 5, 7, 8, 10, 11) if key.minor else (0, 2, 4, 5, 7, 9, 11))}
    for wish in wishes:
        added = {(chord.root + tone) % 12 for tone in QUALITIES[wish]} - set(chord.pitch_classes)
        if added <= scale and not any({(tone + 1) % 12, (tone - 1) % 12} & sung for tone in added):
            return wish
    return quality


def _cheapest(options: Sequence[Sequence[Chord]], tops: Sequence[int | None], cost: float) -> list[Chord]:
    """Bass pitches are taken near each other, as the bass will have them."""

    def pitch(chord: Chord) -> int:
        return nearest(chord.bass, CENTRE)

    best = np.zeros(len(options[0]))
    came: list[list[int]] = []
    for place in range(1, len(options)):
        following, back = [], []
        for chord in options[place]:
            ways = [
                best[n] + _leap(before, chord) + _PARALLEL * _runs(tops[place - 1], before, tops[place], chord)
                for n, before in enumerate(options[place - 1])
            ]
            back.append(int(np.argmin(ways)))
            following.append(min(ways) + cost * (chord.bass != chord.root))
        best, came = np.array(following), [*came, back]
    path = [int(best.argmin())]
    for back in reversed(came):
        path.append(back[path[-1]])
    return [own[place] for own, place in zip(options, reversed(path), strict=True)]


def _leap(before: Chord, chord: Chord) -> float:
    """Steps cost least; a fourth, the usual motion of roots, less than a third does for its size."""
    distance = abs((chord.bass - before.bass + 6) % 12 - 6)
    return {0: 1.0, 1: 0.0, 2: 0.0, 3: 2.0, 4: 2.5, 5: 2.0, 6: 4.0}[distance]


def _runs(top_before: int | None, before: Chord, top: int | None, chord: Chord) -> bool:
    """Whether melody and bass go from one octave, or one fifth, to another."""
    if top_before is None or top is None or top_before == top or before.bass == chord.bass:
        return False
    interval = (top_before - before.bass) % 12
    return interval in (0, 7) and interval == (top - chord.bass) % 12


def _first_sung(span: ChordSpan, melody: Sequence[Note]) -> int | None:
    return next((note.pitch for note in sounding(melody, span.start, span.end)), None)


def _is_given(span: ChordSpan, given: Sequence[ChordSpan]) -> bool:
    return chord_at(given, span.start) is not None  # chords are cut where given ones begin and end
