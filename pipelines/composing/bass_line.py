"""The bass of the pop style: the groove's pattern on each chord's bass, in one register, led to the next chord.

All of it is rule. The chords are pop.py's, the patterns grooves.yaml's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.composing.bar_plan import PlannedBar
from pipelines.composing.chords import chord_at, within
from pipelines.composing.grooves import Groove
from pipelines.composing.piece import Chord, ChordSpan, Key, Note
from pipelines.composing.strokes import accent, strokes, velocity

LOWEST, HIGHEST, CENTRE = 28, 50, 38  # E1, the low string of a bass, to D3; about D2
_ROOT_HIGHEST = 45
_BELOW_MELODY = 4  # semitones at least
_SCALE = {False: (0, 2, 4, 5, 7, 9, 11), True: (0, 2, 3, 5, 7, 8, 10, 11)}


@dataclass(frozen=True, slots=True)
class _Event:
    start: int
    end: int
    letter: str


def bass_line(
    bars: Sequence[PlannedBar],
    spans: Sequence[ChordSpan],
    groove: Groove,
    key: Key,
    ticks_per_quarter: int,
    melody: Sequence[Note],
) -> list[Note]:
    """Notes in order, never two at once; the last bar has its bass held to the end. A chord that begins off the
    pattern is struck all the same."""
    ceiling = min(HIGHEST, max(LOWEST + 12, min((note.pitch for note in melody), default=60) - _BELOW_MELODY))
    notes: list[Note] = []
    before = CENTRE
    for bar in bars:
        if bar.number < 1 or bar.density < groove.begins["bass"]:
            continue
        for event in _events(bar, spans, groove, ticks_per_quarter):
            chord = chord_at(spans, event.start)
            if chord is None:
                continue
            root = nearest(chord.bass, before, ceiling)
            following = chord_at(spans, event.end)
            pitch = _pitch(event.letter.upper(), chord, following, root, ceiling, key)
            if event.letter.upper() == "R":
                before = root
            weight = accent(bar, event.start, ticks_per_quarter)
            weight -= 3 if event.letter.upper() == "A" else 0
            length = max(1, event.end - event.start - (0 if bar.last else ticks_per_quarter // 16))
            notes.append(Note(event.start, length, pitch, velocity(bar, weight)))
    return notes


def nearest(pitch_class: int, before: int, ceiling: int = HIGHEST) -> int:
    """The pitch of that class near the one before, drawn to the register's centre."""
    choices = [pitch for pitch in range(LOWEST, min(_ROOT_HIGHEST, ceiling) + 1) if pitch % 12 == pitch_class]
    return min(choices, key=lambda pitch: (abs(pitch - before) + 0.6 * abs(pitch - CENTRE), pitch))


def _events(bar: PlannedBar, spans: Sequence[ChordSpan], groove: Groove, ticks_per_quarter: int) -> list[_Event]:
    changes = [spans[place].start for place in within(spans, bar.start, bar.end) if spans[place].start >= bar.start]
    if bar.last:
        begins = [bar.start, *(tick for tick in changes if tick > bar.start)]
        return [_Event(start, end, "R") for start, end in zip(begins, [*begins[1:], bar.end], strict=True)]
    pattern = groove.pattern(bar.numerator, bar.denominator)
    found = strokes(pattern.bass, bar, pattern.step, ticks_per_quarter, bar.density, groove.swing)
    events = [_Event(stroke.start, stroke.end, stroke.letter) for stroke in found]
    for tick in changes:
        events = _struck_at(events, tick, bar.end)
    return events


def _struck_at(events: list[_Event], tick: int, bar_end: int) -> list[_Event]:
    """With a root at ``tick``, where the chord changes: what sounds there is ended or is made the root."""
    cut: list[_Event] = []
    end = min((event.start for event in events if event.start > tick), default=bar_end)
    for event in events:
        if event.start == tick:
            end = event.end
        elif event.start < tick < event.end:
            cut.append(_Event(event.start, tick, event.letter))
        else:
            cut.append(event)
    return sorted([*cut, _Event(tick, end, "R")], key=lambda event: event.start)


def _pitch(letter: str, chord: Chord, following: Chord | None, root: int, ceiling: int, key: Key) -> int:
    if letter == "A":
        if following is None or following.bass == chord.bass:
            letter = "F"
        else:
            return _approach(chord, nearest(following.bass, root, ceiling), root, key)
    if letter == "O":
        return root + 12 if root + 12 <= ceiling else root
    if letter in "FT":
        wanted = (6, 7, 8) if letter == "F" else (3, 4)
        tones = [(pitch - chord.root) % 12 for pitch in chord.pitch_classes]
        interval = next((tone for tone in wanted if tone in tones), 0)
        if chord.bass != chord.root:  # over an inversion the root is the other note
            interval = 0
        above = root + (chord.root + interval - root) % 12
        low = above - 12
        return low if above > ceiling or (low >= LOWEST + 3 and root > CENTRE) else above
    return root


def _approach(chord: Chord, target: int, root: int, key: Key) -> int:
    """A step to ``target``, from the side that the line comes from, out of the scale or of the chord that still is."""
    inside = {(key.tonic + degree) % 12 for degree in _SCALE[key.minor]} | set(chord.pitch_classes)
    side = -1 if root < target else 1
    for step in (side * 2, side, -side, -side * 2):
        pitch = target + step
        if pitch % 12 in inside and pitch != root and pitch >= LOWEST:
            return pitch
    return target + side if target + side >= LOWEST else target + 1
