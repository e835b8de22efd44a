"""What can be told of an arrangement by looking at its notes: motion, parallels, suspensions, harmony, how busy it is.

Which of it is better, and in which words a composer hears of it, is ranking.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import voice_leading
from pipelines.composing.piece import ChordSpan, Key, Part, Piece

if TYPE_CHECKING:
    from pipelines.composing.functions import Transitions
    from pipelines.composing.grid import Grid

_DISSONANT = np.isin(np.arange(12), (1, 2, 5, 10, 11))  # above the bass: what a suspended note may form before it falls
_SCALES = {False: (0, 2, 4, 5, 7, 9, 11), True: (0, 2, 3, 5, 7, 8, 10, 11)}  # minor with its raised seventh


def of_chorale(frames: NDArray[np.int64], onsets: NDArray[np.bool_], key: Key) -> dict[str, float]:
    """Of four voices int64[T, 4] (-1 rests) with where each note begins bool[T, 4]. Rates are for 16 beats."""
    beats = frames[::4]
    n = max(1, len(beats))
    changes = max(1, int(voice_leading.chord_changes(frames, 2).sum()))
    faults = int(voice_leading.parallels(frames, 2).sum())
    outer = np.diff(beats[:, [0, 3]], axis=0)
    moved = (outer != 0).all(axis=1) & (beats[1:, [0, 3]] >= 0).all(axis=1) & (beats[:-1, [0, 3]] >= 0).all(axis=1)
    contrary = (np.sign(outer[:, 0]) != np.sign(outer[:, 1])) & moved
    full = (beats >= 0).all(axis=1)
    spread = (beats[:, 0] - beats[:, 3])[full]
    between = onsets[:, 1:] & (np.arange(len(frames)) % 4 != 0)[:, None]
    return {
        "beats": float(n),
        "parallels": 100.0 * faults / changes,
        "bass_motion": _motion(frames[:, 3], onsets[:, 3]),
        "inner_motion": (_motion(frames[:, 1], onsets[:, 1]) + _motion(frames[:, 2], onsets[:, 2])) / 2,
        "contrary": float(contrary.sum() / max(1, moved.sum())),
        "suspensions": 16.0 * len(suspensions(frames, onsets)) / n,
        "passing": 16.0 * float((between & (frames[:, 1:] >= 0)).sum()) / n,
        "variety": _variety([_sorted_set(beat) for beat in beats if (beat >= 0).any()]),
        "tension": float(np.mean([len(_sorted_set(beat)) > 3 for beat in beats])) if len(beats) else 0.0,
        "colour": _colour(frames[frames >= 0], key),
        "spread": float(spread.mean()) if spread.size else 0.0,
        "cadence": _closes(frames, key),
    }


def of_pop(piece: Piece, grid: Grid, melody: Part, key: Key) -> dict[str, float]:
    """Of a melody with chords and parts around it; ``piece.chords`` says which chord sounds when. Rates: a beat."""
    n = max(1, grid.n_beats)
    starts = grid.beat_ticks[:-1]
    sung = grid.soprano(melody.notes)[0][::4]
    spans = piece.chords
    chord_at = np.searchsorted([span.start for span in spans], starts, side="right") - 1 if spans else None
    strong = (sung >= 0) & (grid.level >= 2)
    fits = 0.0
    if chord_at is not None:
        held = [i for i in np.flatnonzero(strong) if chord_at[i] >= 0]
        fits = float(np.mean([sung[i] % 12 in spans[chord_at[i]].chord.pitch_classes for i in held])) if held else 1.0
    parts = [part for part in piece.parts if part.role != "melody" and not part.drums]
    bass = piece.part("bass")
    line = np.array([note.pitch for note in bass.notes]) if bass is not None else np.empty(0, np.int64)
    leaps = np.abs(np.diff(line))
    bars = max(1, int((grid.level == 3).sum()))
    onsets = sum(len({note.start for note in part.notes}) for part in piece.parts if part.role != "melody")
    return {
        "beats": float(n),
        "fit": fits,
        "clashes": _clashes(sung, strong, starts, parts),
        "bass_motion": float(leaps[leaps > 0].mean()) if (leaps > 0).any() else 0.0,
        "variety": _variety([span.chord.pitch_classes for span in spans]),
        "rhythm": len(spans) / bars,
        "tension": float(np.mean([len(span.chord.pitch_classes) > 3 for span in spans])) if spans else 0.0,
        "colour": _colour(np.array([pc for span in spans for pc in span.chord.pitch_classes], np.int64), key),
        "busy": onsets / n,
        "cadence": float(bool(spans) and spans[-1].chord.root == key.tonic),
    }


def usual(spans: Sequence[ChordSpan], key: Key, transitions: Transitions) -> float:
    """Mean log-probability of the chords' changes, in nats a change; 0 where nothing changes."""
    from pipelines.composing.functions import state_of

    states = [state for span in spans if (state := state_of(span.chord, key)) is not None]
    table = transitions.log_probabilities(key.minor)
    changes = [float(table[before, after]) for before, after in pairwise(states) if before != after]
    return float(np.mean(changes)) if changes else 0.0


def suspensions(frames: NDArray[np.int64], onsets: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(frame of the dissonance, voice 1 or 2 or 3) where an alto, tenor or bass note is held into a beat in which it is
    dissonant, and then falls by a step within two beats; of the bass: against an upper voice."""
    found = []
    for voice in (1, 2, 3):
        line, begun = frames[:, voice], onsets[:, voice]
        for at in range(4, len(frames), 4):
            if line[at] < 0 or line[at - 1] != line[at] or begun[at]:
                continue
            others = frames[at, [v for v in range(4) if v != voice]]
            others = others[others >= 0]
            if voice < 3:
                low = frames[at, 3]
                rough = low >= 0 and bool(_DISSONANT[(line[at] - low) % 12])
            else:
                rough = bool(np.isin((others - line[at]) % 12, (1, 2)).any())
            after = line[at : at + 8]
            left = np.flatnonzero(after != line[at])
            if rough and left.size and 1 <= line[at] - after[left[0]] <= 2:
                found.append((at, voice))
    return found


def _motion(line: NDArray[np.int64], begun: NDArray[np.bool_]) -> float:
    """Mean size of a voice's steps and leaps in semitones, repeated notes left out."""
    notes = line[begun & (line >= 0)]
    steps = np.abs(np.diff(notes))
    return float(steps[steps > 0].mean()) if (steps > 0).any() else 0.0


def _sorted_set(beat: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(sorted({int(pitch) % 12 for pitch in beat if pitch >= 0}))


def _variety(chords: list[tuple[int, ...]]) -> float:
    """How many chords in effect: 2 to the entropy of their distribution, so that one rare chord counts little."""
    if not chords:
        return 0.0
    counts: dict[tuple[int, ...], int] = {}
    for chord in chords:
        counts[chord] = counts.get(chord, 0) + 1
    share = np.array(list(counts.values())) / len(chords)
    return float(2.0 ** -(share * np.log2(share)).sum())


def _colour(pitches: NDArray[np.int64], key: Key) -> float:
    """Share of notes outside the key's scale."""
    if not pitches.size:
        return 0.0
    return float(np.mean(~np.isin((pitches - key.tonic) % 12, _SCALES[key.minor])))


def _closes(frames: NDArray[np.int64], key: Key) -> float:
    """1 when the last bass note is the tonic."""
    bass = frames[frames[:, 3] >= 0, 3]
    return float(bool(bass.size) and bass[-1] % 12 == key.tonic)


def _clashes(sung: NDArray[np.int64], strong: NDArray[np.bool_], starts: NDArray[np.int64], parts: list[Part]) -> float:
    """Share of the melody's strong beats at which a part begins or holds a note a semitone (or a major seventh) off."""
    moments = starts[strong]
    tones = sung[strong]
    if not tones.size:
        return 0.0
    rough = np.zeros(len(tones), np.bool_)
    for part in parts:
        if not part.notes:
            continue
        begins = np.array([note.start for note in part.notes])
        ends = np.array([note.end for note in part.notes])
        pitches = np.array([note.pitch for note in part.notes])
        first = np.searchsorted(begins, moments, side="right")
        for i, (moment, tone) in enumerate(zip(moments, tones, strict=True)):
            near = slice(max(0, first[i] - 64), first[i])  # what sounds began among the last 64 notes
            heard = pitches[near][ends[near] > moment]
            rough[i] |= bool(np.isin((heard - tone) % 12, (1, 11)).any())
    return float(rough.mean())


def distance(one: Mapping[str, float], other: Mapping[str, float], spreads: Mapping[str, float]) -> float:
    """How differently two arrangements measure, in spreads."""
    return float(np.sqrt(sum(((one[name] - other[name]) / by) ** 2 for name, by in spreads.items() if name in one)))
