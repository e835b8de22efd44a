"""Chords, pads and arpeggios of the pop style: voiced under the melody, led smoothly, out of the melody's way.

All of it is rule. The bass is bass_line.py's; four-part voicings of chorales are voicings.py's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.bar_plan import PlannedBar, sounding, weighty
from pipelines.composing.chords import chord_at, within
from pipelines.composing.grooves import Groove
from pipelines.composing.piece import Chord, ChordSpan, Note
from pipelines.composing.strokes import Stroke, accent, strokes, velocity

LOWEST, CENTRE, HIGHEST = 48, 62, 74  # C3, D4, D5: where chords neither growl nor glitter
_SPREAD_LOWEST, _SPREAD_CENTRE = 45, 58  # A2, Bb3: of a pad in open position
_TIGHT_BELOW = 53  # under F3 a third is the closest that does not growl
_DOUBLED, _THIN = 8.0, 4.0  # semitones: of a pad's tone that the chords have, of a pad of two tones
_QUIETER = {"chords": -8, "pad": -18, "arpeggio": -12}  # than the bass

Voicing = tuple[int, ...]


def voicings(
    spans: Sequence[ChordSpan],
    melody: Sequence[Note],
    *,
    spread: bool = False,
    beside: Sequence[Voicing] = (),
    before: Voicing | None = None,
) -> list[Voicing]:
    """Three or four pitches for each chord, from below: the path of least motion (Viterbi), each in the octave under
    the melody's lowest note of its span, none above it where that leaves room.

    ``spread``: in open position, wider and lower, as a pad has them, or two tones where there is no room for more.
    ``beside``: another instrument's voicings of the same chords, whose pitches are left to it where that can be.
    ``before``: what the first is led on from.
    """
    if not spans:
        return []
    choices = [_choices(_tones(span.chord), spread) for span in spans]
    ceilings = _ceilings(spans, melody)
    costs = [
        np.array([_cost(one, ceiling, spread) for one in own]) for own, ceiling in zip(choices, ceilings, strict=True)
    ]
    for place, theirs in enumerate(beside):
        costs[place] += _DOUBLED * np.array([len(set(one) & set(theirs)) for one in choices[place]])
    if before is not None:
        costs[0] += _motions((before,), choices[0])[0]
    best, came = costs[0], []
    for place in range(1, len(spans)):
        ways = best[:, None] + _motions(choices[place - 1], choices[place])
        came.append(ways.argmin(axis=0))
        best = ways.min(axis=0) + costs[place]
    path = [int(best.argmin())]
    for back in reversed(came):
        path.append(int(back[path[-1]]))
    return [own[place] for own, place in zip(choices, reversed(path), strict=True)]


def comp(
    bars: Sequence[PlannedBar],
    spans: Sequence[ChordSpan],
    voiced: Sequence[Voicing],
    groove: Groove,
    ticks_per_quarter: int,
    melody: Sequence[Note],
) -> list[Note]:
    """The groove's strokes; a chord that begins between two of them is struck as it begins, if it lasts a beat."""
    notes: list[Note] = []
    for bar in _playing(bars, groove.begins["chords"]):
        pattern = groove.pattern(bar.numerator, bar.denominator)
        found = strokes(pattern.chords, bar, pattern.step, ticks_per_quarter, bar.density, groove.swing)
        if bar.last:
            found = [Stroke(bar.start, bar.end, "C")]
        for stroke in _cut_at_changes(found, spans):
            place = _place(spans, stroke.start)
            if place is None:
                continue
            end = max(stroke.start + 1, min(stroke.end, spans[place].end))
            loud = velocity(bar, _QUIETER["chords"] + accent(bar, stroke.start, ticks_per_quarter))
            heard = below(voiced[place], melody, stroke.start, end, ticks_per_quarter)
            heard = clear_of(heard, melody, stroke.start, end, ticks_per_quarter)
            notes += [Note(stroke.start, end - stroke.start, pitch, loud) for pitch in heard]
    return notes


def pad(
    bars: Sequence[PlannedBar],
    spans: Sequence[ChordSpan],
    voiced: Sequence[Voicing],
    groove: Groove,
    ticks_per_quarter: int,
    melody: Sequence[Note],
) -> list[Note]:
    """Held chords; what two chords have in common is held over, for four bars at most."""
    held: dict[int, Note] = {}
    notes: list[Note] = []
    longest = 4 * max((bar.end - bar.start for bar in bars), default=0)
    for bar in _playing(bars, groove.begins["pad"]):
        for place in within(spans, bar.start, bar.end):
            start, end = max(spans[place].start, bar.start), min(spans[place].end, bar.end)
            heard = below(voiced[place], melody, start, end, ticks_per_quarter)
            heard = clear_of(heard, melody, start, end, ticks_per_quarter)
            following: dict[int, Note] = {}
            for pitch in heard:
                before = held.pop(pitch, None)
                if before is not None and before.end == start and end - before.start <= longest:
                    following[pitch] = Note(before.start, end - before.start, pitch, before.velocity)
                else:
                    notes += [before] if before is not None else []
                    following[pitch] = Note(start, end - start, pitch, velocity(bar, _QUIETER["pad"]))
            notes += held.values()
            held = following
    return sorted([*notes, *held.values()])


def arpeggio(
    bars: Sequence[PlannedBar],
    spans: Sequence[ChordSpan],
    voiced: Sequence[Voicing],
    groove: Groove,
    ticks_per_quarter: int,
    melody: Sequence[Note],
) -> list[Note]:
    """The chord's tones one after the other, the fifth of them an octave above the first that is there."""
    notes: list[Note] = []
    for bar in _playing(bars, groove.begins["arpeggio"]):
        pattern = groove.pattern(bar.numerator, bar.denominator)
        found = strokes(pattern.arpeggio, bar, pattern.step, ticks_per_quarter, bar.density, groove.swing)
        for stroke in found[:1] if bar.last else found:
            place = _place(spans, stroke.start)
            if place is None:
                continue
            end = bar.end if bar.last else max(stroke.start + 1, min(stroke.end, spans[place].end))
            ladder = _ladder(clear_of(voiced[place], melody, stroke.start, end, ticks_per_quarter))
            if ladder:
                pitch = ladder[min(int(stroke.letter), len(ladder)) - 1]
                loud = velocity(bar, _QUIETER["arpeggio"] + accent(bar, stroke.start, ticks_per_quarter))
                notes.append(Note(stroke.start, end - stroke.start, pitch, loud))
    return notes


def clear_of(voicing: Voicing, melody: Sequence[Note], start: int, end: int, ticks_per_quarter: int) -> Voicing:
    """Without the tones a semitone beside (in any octave) what the melody sings on a beat, holds, or sings as the chord
    begins (weighty())."""
    sung = weighty(melody, start, end, ticks_per_quarter)
    return tuple(pitch for pitch in voicing if not {(pitch + 1) % 12, (pitch - 1) % 12} & sung)


def below(voicing: Voicing, melody: Sequence[Note], start: int, end: int, ticks_per_quarter: int) -> Voicing:
    """Without the tones above what the melody sings between two ticks, if two remain, or one of two: under a melody
    as low as that nobody can play below it."""
    short = ticks_per_quarter // 16  # a hand lets go a little late
    sung = [note.pitch for note in sounding(melody, start, end) if min(note.end, end) - max(note.start, start) > short]
    under = tuple(pitch for pitch in voicing if pitch <= min(sung, default=127))
    return under if len(under) >= min(2, len(voicing) - 1) else voicing


@lru_cache(maxsize=4096)
def _choices(classes: tuple[int, ...], spread: bool) -> tuple[Voicing, ...]:
    """Close positions, and with four tones drop-2; ``spread``: also with the second tone an octave higher instead, and
    two tones, the third or the seventh one of them, a fourth to a tenth apart. ``classes`` begin with the root."""
    found: set[Voicing] = set()
    if spread and len(classes) > 2:
        telling = {tone for tone in classes if (tone - classes[0]) % 12 in (2, 3, 4, 5, 9, 10, 11)}
        pitches = [pitch for pitch in range(_SPREAD_LOWEST, CENTRE + 20) if pitch % 12 in classes]
        found = {
            (low, high)
            for low in pitches
            for high in pitches
            if 5 <= high - low <= 16 and {low % 12, high % 12} & telling
        }
    for lowest in range(_SPREAD_LOWEST if spread else LOWEST, CENTRE + 8):
        if lowest % 12 not in classes:
            continue
        close = tuple(lowest + interval for interval in sorted((tone - lowest) % 12 for tone in classes))
        opened = tuple(sorted((close[0], *close[2:], close[1] + 12))) if len(close) > 2 else close
        found |= {opened, close} if spread else {close}
        if not spread and len(close) == 4 and close[2] - 12 >= LOWEST:
            found.add(tuple(sorted((close[0], close[1], close[2] - 12, close[3]))))
    return tuple(sorted(found))


def _tones(chord: Chord) -> tuple[int, ...]:
    """Pitch classes, at most four: the fifth, then the root, which the bass has, are left out first, and always a bass
    that the chord itself has not."""
    intervals = {(pitch_class - chord.root) % 12: pitch_class for pitch_class in chord.pitch_classes}
    low = (chord.bass - chord.root) % 12
    if low not in (0, 3, 4, 6, 7, 8) and len(intervals) > 3:
        del intervals[low]
    for interval in (7, 0):
        if len(intervals) > 4:
            intervals.pop(interval, None)
    return tuple(list(intervals.values())[:4])


def _ceilings(spans: Sequence[ChordSpan], melody: Sequence[Note]) -> list[int]:
    found, before = [], CENTRE + 7
    for span in spans:
        lowest = min((note.pitch for note in sounding(melody, span.start, span.end)), default=before + 1)
        before = int(np.clip(lowest - 1, LOWEST + 9, HIGHEST))
        found.append(before)
    return found


def _cost(voicing: Voicing, ceiling: int, spread: bool) -> float:
    """Semitones, about: above the ceiling, away from the centre, and what growls low or rubs on top."""
    over = max(0, voicing[-1] - ceiling)
    growl = sum(low < _TIGHT_BELOW and high - low < 4 for low, high in pairwise(voicing))
    rub = voicing[-1] - voicing[-2] == 1 if len(voicing) > 1 else False
    middle = min(_SPREAD_CENTRE if spread else CENTRE, ceiling - 5)
    wide = max(0, voicing[-1] - voicing[0] - 16)
    narrow = spread and voicing[-1] - voicing[0] <= 12
    thin = spread and len(voicing) == 2
    return (
        (10.0 if spread else 3.0) * over
        + (4.0 - 2.0 * thin) * narrow
        + _THIN * thin
        + 0.5 * abs(sum(voicing) / len(voicing) - middle)
        + 3.0 * growl
        + 3.0 * rub
        + 0.5 * wide
    )


@lru_cache(maxsize=4096)
def _motions(before: tuple[Voicing, ...], after: tuple[Voicing, ...]) -> NDArray[np.float64]:
    """float64[n, m]: how far each voice of the one has to the nearest of the other and back, the top voice twice."""
    found = np.empty((len(before), len(after)))
    for row, one in enumerate(before):
        for column, other in enumerate(after):
            there = sum(min(abs(a - b) for b in other) for a in one)
            back = sum(min(abs(a - b) for a in one) for b in other)
            found[row, column] = (there + back) / 2 + abs(one[-1] - other[-1])
    return found


def _ladder(voicing: Voicing) -> list[int]:
    """Five steps from below: the tones, and then the lowest of them an octave higher."""
    if not voicing:
        return []
    climbed = list(voicing)
    while len(climbed) < 5:
        climbed.append(climbed[len(climbed) - len(voicing)] + 12)
    return climbed


def _cut_at_changes(found: Sequence[Stroke], spans: Sequence[ChordSpan]) -> list[Stroke]:
    cut: list[Stroke] = []
    for stroke in found:
        changes = [spans[place].start for place in within(spans, stroke.start, stroke.end)]
        changes = [tick for tick in changes if tick > stroke.start]
        edges = [stroke.start, *changes, stroke.end]
        cut += [Stroke(start, end, stroke.letter) for start, end in pairwise(edges)]
    return cut


def _place(spans: Sequence[ChordSpan], tick: int) -> int | None:
    if chord_at(spans, tick) is None:
        return None
    return bisect_left(spans, tick + 1, key=lambda span: span.start) - 1


def _playing(bars: Sequence[PlannedBar], begins: float) -> list[PlannedBar]:
    return [bar for bar in bars if bar.number >= 1 and bar.density >= begins]
