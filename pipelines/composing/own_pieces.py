"""What a composer's own pieces tell of their style: four-part writing to remember, chord changes, drums and density.

How a style is kept, and whether it may be, is personal.py's; what becomes of it is arranging.py's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import functions, melody
from pipelines.composing.grid import Grid
from pipelines.composing.piece import Key, Note, Part, Piece

MOST_REMEMBERED = 400  # four-part pieces: a hymn book
_MONOPHONIC = 0.03  # share of a part's notes that may begin while another sounds, in four-part writing
_SURE = 1.2  # what a chord's tones must weigh more than all others together, of 3 in all, to be counted


@dataclass(frozen=True, slots=True)
class Voices:
    """``frames`` int64[T, 4]: soprano, alto, tenor, bass a sixteenth, -1 rests."""

    frames: NDArray[np.int64]
    tonic: int
    minor: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """Of one piece. ``changes`` float64[2, N_STATES, N_STATES]: chord changes, as functions.Transitions counts them."""

    voices: Voices | None
    changes: NDArray[np.float64]
    onsets_a_beat: float | None  # of everything but melody and drums; None without such parts
    velocity: float | None
    drums: dict[str, int] = field(default_factory=dict)  # of drum hits: sound and sixteenth of the bar, "36/0"


@dataclass(frozen=True, slots=True)
class PersonalStyle:
    """``density`` and ``energy`` 0..1; None where no piece has an accompaniment. ``version``: of its composer's."""

    version: int
    pieces: int
    chorales: tuple[Voices, ...]
    changes: NDArray[np.float64]
    density: float | None
    energy: float | None
    drums: dict[str, int]

    @property
    def chord_changes(self) -> int:
        return int(self.changes.sum())

    def transitions(self) -> functions.Transitions | None:
        """The harmony model's, with theirs counted in; None when nothing was counted."""
        shipped = functions.shipped_transitions()
        if self.changes.shape != shipped.counts.shape or not self.changes.any():
            return None
        return functions.Transitions(shipped.counts + self.changes)


def take(piece: Piece) -> Taken:
    """BadInput, as melody.find says it, for a piece without a melody."""
    found = melody.find(piece)
    grid, key = found.grid, found.key.key
    pitched = [part for part in piece.parts if not part.drums and part.notes]
    accompaniment = [part for part in pitched if part.notes != found.part.notes]
    onsets = {(part.name, note.start) for part in accompaniment for note in part.notes}
    loud = [note.velocity for part in pitched for note in part.notes]
    return Taken(
        _four_voices(pitched, grid, key),
        _changes(pitched, grid, key),
        len(onsets) / max(1, grid.n_beats) if accompaniment else None,
        float(np.mean(loud)) if accompaniment else None,
        _drums([part for part in piece.parts if part.drums], grid),
    )


def style_of(taken: Sequence[Taken], version: int = 1) -> PersonalStyle:
    """All pieces together; the density and energy are medians."""
    busy = [one.onsets_a_beat for one in taken if one.onsets_a_beat is not None]
    loud = [one.velocity for one in taken if one.velocity is not None]
    drums: Counter[str] = Counter()
    for one in taken:
        drums.update(one.drums)
    return PersonalStyle(
        version=version,
        pieces=len(taken),
        chorales=tuple(one.voices for one in taken if one.voices is not None)[:MOST_REMEMBERED],
        changes=np.sum([one.changes for one in taken], axis=0),
        density=float(np.clip(np.median(busy) / 6, 0.05, 1.0)) if busy else None,
        energy=float(np.clip((np.median(loud) - 45) / 65, 0.0, 1.0)) if loud else None,
        drums=dict(sorted(drums.items())),
    )


def _four_voices(parts: Sequence[Part], grid: Grid, key: Key) -> Voices | None:
    """Four parts of one note at a time, the higher before the lower."""
    if len(parts) != 4 or any(_overlap(part.notes) > _MONOPHONIC for part in parts):
        return None
    ordered = sorted(parts, key=lambda part: -float(np.mean([note.pitch for note in part.notes])))
    frames = np.stack([grid.soprano(part.notes)[0] for part in ordered], axis=1)
    sounding = (frames >= 0).all(axis=1)
    if sounding.mean() < 0.5:
        return None
    return Voices(frames.astype(np.int64), key.tonic, key.minor)


def _overlap(notes: Sequence[Note]) -> float:
    late = sum(after.start < before.start + 0.9 * before.duration for before, after in pairwise(notes))
    return late / max(1, len(notes) - 1)


def _changes(parts: Sequence[Part], grid: Grid, key: Key) -> NDArray[np.float64]:
    """Of half bars: the state whose tones outweigh all others, the bass on its root being worth half a tone."""
    edges = [int(grid.beat_ticks[i]) for i in np.flatnonzero(grid.level >= 2)] + [int(grid.beat_ticks[-1])]
    weight = np.zeros((len(edges) - 1, 12)) if len(edges) > 1 else np.zeros((0, 12))
    lowest = np.full(len(weight), 128)
    starts, ends = np.array(edges[:-1], dtype=np.int64), np.array(edges[1:], dtype=np.int64)
    for part in parts:
        for note in part.notes:
            first = max(0, int(np.searchsorted(starts, note.start, side="right")) - 1)
            under = slice(first, int(np.searchsorted(starts, note.end)))
            held = np.minimum(note.end, ends[under]) - np.maximum(note.start, starts[under])
            share = np.maximum(held, 0) / (ends[under] - starts[under])
            weight[under, note.pitch % 12] += share
            lowest[under] = np.where(share >= 1 / 4, np.minimum(lowest[under], note.pitch), lowest[under])
    weight = np.minimum(weight, 1.0)
    counts = np.zeros((2, functions.N_STATES, functions.N_STATES))
    before: int | None = None
    for held_tones, bass in zip(np.roll(weight, -key.tonic, axis=1), lowest, strict=True):
        after = _state(held_tones, int(bass - key.tonic) % 12 if bass < 128 else -1, key)
        if before is not None and after is not None and before != after:
            counts[int(key.minor), before, after] += 1
        before = after if after is not None else before
    return counts


def _state(weight: NDArray[np.float64], bass: int, key: Key) -> int | None:
    scores = []
    for state in functions.states(key.minor):
        inside = list(state.intervals)
        score = 2 * weight[inside[:3]].sum() - weight.sum() + 0.5 * (bass == state.offset)
        if len(inside) > 3:
            score += 2 * weight[inside[3]] - 0.6
        scores.append(score)
    best = int(np.argmax(scores))
    return best if scores[best] >= _SURE else None


def _drums(parts: Sequence[Part], grid: Grid) -> dict[str, int]:
    """How often each sound is hit on each sixteenth of a bar."""
    firsts = np.flatnonzero(grid.level == 3)  # beats
    bars = grid.beat_ticks[firsts]
    found: Counter[str] = Counter()
    if not len(bars):
        return {}
    for part in parts:
        for note in part.notes:
            bar = int(np.searchsorted(bars, note.start, side="right")) - 1
            if bar >= 0:
                found[f"{note.pitch}/{grid.frame(note.start) - 4 * int(firsts[bar])}"] += 1
    return dict(found)
