"""How good the pop style is, in figures: roots beside Bach's, chord tones on strong beats, clashes, bass and melody.

The harmony model is judged on chorales because their harmony is known: each beat is a slot there. What composers chose
is ranking.py's; the figures of the chorale style are metrics.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.bar_plan import sounding
from pipelines.composing.chords import chord_at
from pipelines.composing.corpus import Chorale
from pipelines.composing.functions import Transitions, shipped_transitions, states
from pipelines.composing.harmony_counts import BEAT, reduce
from pipelines.composing.melody import Melody
from pipelines.composing.piece import ChordSpan, Note, Part
from pipelines.composing.progressions import CHOSEN, HarmonyWeights, Slot, SungNote, progressions


@dataclass(frozen=True, slots=True)
class RootAgreement:
    """Shares of the beats whose harmony has a name that are given its root: by the model, by the tonic everywhere, and
    by the commonest root over the sung degree in the training chorales."""

    model: float
    tonic: float
    by_degree: float
    beats: int


@dataclass(frozen=True, slots=True)
class PopMeasures:
    """``chord_tones``: share of the melody's notes that begin on a bar's first beat or middle and belong to the chord.

    ``clashes``: share of them with a semitone (or an octave more or less) beside them in the chords, pad or arpeggio.
    ``parallels``: octaves and fifths between bass and melody in a row, per 100 changes of chord. ``chords``: changes of
    chord a bar.
    """

    chord_tones: float
    clashes: float
    parallels: float
    chords: float
    strong_notes: int


def root_agreement(
    train: Sequence[Chorale],
    judged: Sequence[Chorale],
    transitions: Transitions | None = None,
    weights: HarmonyWeights = CHOSEN,
) -> RootAgreement:
    """On the sopranos of ``judged``, whose harmony is reduced as harmony_counts.py does it."""
    table = np.zeros((2, 13, 12))
    for chorale in train:
        roots, degrees = _roots(chorale, reduce(chorale)), _degrees(chorale)
        named = roots >= 0
        np.add.at(table[int(chorale.minor)], (degrees[named], roots[named]), 1)
    usual = table.argmax(axis=2)
    moves = shipped_transitions() if transitions is None else transitions

    def model(chorale: Chorale) -> NDArray[np.int64]:
        return _roots(chorale, progressions(slots_of(chorale), chorale.minor, moves, weights=weights)[0])

    def share(answer: Callable[[Chorale], NDArray[np.int64]]) -> float:
        hits = beats = 0
        for chorale in judged:
            truth = _roots(chorale, reduce(chorale))
            hits += int((answer(chorale) == truth)[truth >= 0].sum())
            beats += int((truth >= 0).sum())
        return hits / max(beats, 1)

    return RootAgreement(
        share(model),
        share(lambda chorale: np.zeros(chorale.n_beats, np.int64)),
        share(lambda chorale: usual[int(chorale.minor)][_degrees(chorale)]),
        sum(int((reduce(chorale) >= 0).sum()) for chorale in judged),
    )


def slots_of(chorale: Chorale) -> list[Slot]:
    """A slot a beat, of the soprano; where the bars lie is not known, and any beat may bring a new chord."""
    soprano, tonic = chorale.frames[:, 0], chorale.key.tonic
    begins = (soprano >= 0) & (np.append(True, soprano[1:] != soprano[:-1]) | (np.arange(len(soprano)) % BEAT == 0))
    starts = np.flatnonzero(begins)
    slots: list[list[SungNote]] = [[] for _ in range(chorale.n_beats)]
    for start, following in zip(starts, [*starts[1:], len(soprano)], strict=True):
        moves = following < len(soprano) and 0 < abs(soprano[following] - soprano[start]) <= 2
        inside = soprano[start:following]
        length = int((inside == soprano[start]).sum()) / BEAT
        on_beat = float(start % BEAT == 0)
        slots[start // BEAT].append(SungNote(int(soprano[start] - tonic) % 12, length, on_beat, bool(moves)))
    return [Slot(tuple(notes), 2, hash(tuple(notes))) for notes in slots]


def measure(melody: Melody, chords: Sequence[ChordSpan], parts: Sequence[Part]) -> PopMeasures:
    grid = melody.grid
    strong = {int(tick) for tick, level in zip(grid.beat_ticks[:-1], grid.level, strict=True) if level >= 2}
    tolerance = melody.piece.ticks_per_quarter // 8
    struck = [
        note
        for note in melody.part.notes
        if any(tick in strong and abs(note.start - tick) <= tolerance for tick in _nearest(grid.beat_ticks, note.start))
        and chord_at(chords, note.start + tolerance) is not None
    ]
    around = [note for part in parts if part.role in ("chords", "pad", "arpeggio") for note in part.notes]
    begins = np.array([note.start for note in around])
    ends, pitches = np.array([note.end for note in around]), np.array([note.pitch for note in around])
    tones = clashes = 0
    for note in struck:
        chord = chord_at(chords, note.start + tolerance)
        assert chord is not None
        tones += note.pitch % 12 in chord.pitch_classes
        if around:
            heard = pitches[(begins <= note.start + tolerance) & (ends > note.start + tolerance)]
            clashes += bool(np.isin((heard - note.pitch) % 12, (1, 11)).any())
    bars = max(1, int((grid.level == 3).sum()))
    count = max(1, len(struck))
    return PopMeasures(
        tones / count, clashes / count, _parallels(melody, chords, parts), len(chords) / bars, len(struck)
    )


def _parallels(melody: Melody, chords: Sequence[ChordSpan], parts: Sequence[Part]) -> float:
    bass: Sequence[Note] = next((part.notes for part in parts if part.role == "bass"), ())
    changes = runs = 0
    for before, after in pairwise(chords):
        pairs = [(_at(melody.part.notes, span.start), _at(bass, span.start)) for span in (before, after)]
        changes += 1
        (top, low), (next_top, next_low) = pairs
        if top is None or low is None or next_top is None or next_low is None or top == next_top or low == next_low:
            continue
        interval = (top - low) % 12
        runs += interval in (0, 7) and interval == (next_top - next_low) % 12
    return 100 * runs / max(changes, 1)


def _at(notes: Sequence[Note], tick: int) -> int | None:
    """What sounds just after ``tick``, when an uneven hand has struck it, too."""
    return next((note.pitch for note in sounding(notes, tick, tick + 30) if note.end > tick + 30), None)


def _nearest(ticks: NDArray[np.int64], tick: int) -> list[int]:
    place = int(np.searchsorted(ticks, tick))
    return [int(each) for each in ticks[max(0, place - 1) : place + 1]]


def _roots(chorale: Chorale, path: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.array([*(state.offset for state in states(chorale.minor)), -1])
    return np.asarray(offsets[path])


def _degrees(chorale: Chorale) -> NDArray[np.int64]:
    """int64[B]: the degree at each beat's first frame, 12 for a rest."""
    first = chorale.frames[::BEAT, 0]
    return np.asarray(np.where(first >= 0, (first - chorale.key.tonic) % 12, 12))
