"""Candidates in the chorale style: a melody's frames through the chorale model, the voices back as notes and chords.

The model and its constraints are chorale.py's; ranking the candidates, ranking.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import chords, measures
from pipelines.composing.grid import Grid
from pipelines.composing.keeping import Kept
from pipelines.composing.melody import Melody
from pipelines.composing.piece import Chord, ChordSpan, Key, Note, Part, Piece, Role
from pipelines.composing.tokens import UNKNOWN
from pipelines.composing.weights import ARRANGED
from pipelines.composing.wishes import VOICES, Wishes

if TYPE_CHECKING:
    from pipelines.composing.arranging import Draft
    from pipelines.composing.chorale import Voiced
    from pipelines.composing.harmonizer import Harmonizer
    from pipelines.composing.own_pieces import PersonalStyle

CHOIR = 52  # General MIDI, from 0
_SUSTAINED = (*range(8), *range(16, 24), *range(40, 56))  # instruments that can play all four voices
_SOFTER: dict[Role, int] = {"alto": 14, "tenor": 14, "bass": 8}  # than the melody, in velocity
WINDOW, BEHIND, AHEAD = 512, 8, 8  # beats
TEMPERATURE = 0.45  # of drawn candidates: at 1 some chords are far-fetched; so, they differ in half of the beats
OWN_VOTES = 4.0  # what a passage of the composer's own counts in the model's memory, where one of Bach's is 1


@dataclass(frozen=True, slots=True)
class Task:
    """What chorale.harmonize is asked: arrays of 4 frames a beat, ``given`` and ``level`` a beat."""

    soprano: NDArray[np.int64]
    struck: NDArray[np.bool_]
    level: NDArray[np.int8]
    key: Key
    locked: NDArray[np.int64] | None
    given: Sequence[Chord | None]
    model: Harmonizer

    def harmonize(
        self, first: int, end: int, sung: NDArray[np.int64] | None, candidates: int, seed: int
    ) -> list[Voiced]:
        """Of the beats from ``first`` to before ``end``; ``sung`` int64[n, 4]: how the first frames of them are set."""
        from pipelines.composing import chorale

        frames = slice(4 * first, 4 * end)
        locked = None if self.locked is None else self.locked[frames].copy()
        if sung is not None:
            locked = np.full((4 * (end - first), 4), UNKNOWN, np.int64) if locked is None else locked
            locked[: len(sung)] = sung
        given = self.given[first:end]
        return chorale.harmonize(
            self.soprano[frames],
            onsets=self.struck[frames],
            level=self.level[first:end],
            key=self.key,
            locked=locked,
            chords=given if any(given) else None,
            candidates=candidates,
            seed=seed,
            temperature=TEMPERATURE,
            harmonizer=self.model,
            weights=ARRANGED,
        )


def drafts(
    found: Melody,
    base: Piece,
    wishes: Wishes,
    stays: Kept | None,
    harmonizer: Harmonizer | None,
    style: PersonalStyle | None,
) -> tuple[list[Draft], str]:
    """As many candidates as were asked for, not ranked, and what made them."""
    from pipelines.composing.arranging import Draft
    from pipelines.composing.chorale import shipped

    grid, key, roles = found.grid, found.key.key, VOICES["chorale"]
    model = with_style(shipped() if harmonizer is None else harmonizer, style)
    soprano, struck = grid.soprano(found.part.notes)
    locked = None
    fixed = np.zeros((grid.n_frames, 4), bool)
    if stays is not None:
        locked, fixed = stays.frames(grid, roles)
    given = [chords.chord_at(wishes.chords, int(tick)) for tick in grid.beat_ticks[:-1]]
    task = Task(soprano, struck, grid.level, key, locked, given, model)
    offered = []
    for voiced in in_windows(task, wishes.candidates, wishes.seed):
        piece = _piece(found, base, wishes, voiced, stays, fixed)
        told = measures.of_chorale(voiced.pitches, voiced.onsets, key) | {"likelihood": voiced.log_likelihood}
        offered.append(Draft(piece, told, wishes.seed))
    return offered, f"harmonizer {model.version}"


def in_windows(task: Task, candidates: int, seed: int) -> list[Voiced]:
    """Settings of the whole melody. A long one is set window by window, each going on from the voices before it and
    looking a little ahead, since the model compares every beat with all that it remembers: memory is bounded so."""
    n_beats = len(task.level)
    if n_beats <= WINDOW + AHEAD:
        return task.harmonize(0, n_beats, None, candidates, seed)
    begun = task.harmonize(0, WINDOW + AHEAD, None, candidates, seed)
    return [_gone_on(task, voiced, number, seed) for number, voiced in enumerate(begun)]


def _gone_on(task: Task, first: Voiced, number: int, seed: int) -> Voiced:
    """The rest of the melody for a candidate of its first window: the best settings for the first candidate, drawn ones
    for the others."""
    n_beats = len(task.level)
    pitches, onsets, names = [first.pitches[: 4 * WINDOW]], [first.onsets[: 4 * WINDOW]], [*first.chords[:WINDOW]]
    nats = [first.log_likelihood * WINDOW]
    for start in range(WINDOW, n_beats, WINDOW):
        sung = np.concatenate(pitches)[4 * (start - BEHIND) :]
        end, kept = min(n_beats, start + WINDOW + AHEAD), min(WINDOW, n_beats - start)
        made = task.harmonize(start - BEHIND, end, sung, min(2, 1 + number), seed + number)[-1]
        here = slice(4 * BEHIND, 4 * (BEHIND + kept))
        pitches.append(made.pitches[here])
        onsets.append(made.onsets[here])
        names += made.chords[BEHIND : BEHIND + kept]
        nats.append(made.log_likelihood * kept)
    return replace(
        first,
        pitches=np.concatenate(pitches),
        onsets=np.concatenate(onsets),
        log_likelihood=sum(nats) / n_beats,
        chords=tuple(names),
    )


def with_style(harmonizer: Harmonizer, style: PersonalStyle | None) -> Harmonizer:
    """The model with the composer's four-part pieces in its memory; itself when there are none."""
    from pipelines.composing.corpus import chorale
    from pipelines.composing.memory import Memory

    if style is None or not style.chorales:
        return harmonizer
    own = [chorale(one.frames, n, Key(one.tonic, one.minor)) for n, one in enumerate(style.chorales)]
    memory = harmonizer.memory.and_also(Memory.of(own, OWN_VOTES))
    return replace(harmonizer, memory=memory, version=f"{harmonizer.version}, style {style.version}")


def _piece(
    found: Melody, base: Piece, wishes: Wishes, voiced: Voiced, stays: Kept | None, fixed: NDArray[np.bool_]
) -> Piece:
    parts = list(base.parts)
    program = base.parts[0].program if base.parts[0].program in _SUSTAINED else CHOIR
    for column, role in enumerate(VOICES["chorale"], 1):
        made = notes_of(
            voiced.pitches[:, column], voiced.onsets[:, column], ~fixed[:, column], found.grid, found.part.notes, role
        )
        if stays is not None:
            made = tuple(sorted([*stays.notes(role), *made]))
        if made:
            parts.append(Part(role.capitalize(), role, made, wishes.instruments.get(role, program)))
    spans = chord_spans(voiced.chords, voiced.pitches, found.grid)
    end = max([base.length, *(note.end for part in parts for note in part.notes)])
    return replace(base, parts=tuple(parts), chords=spans, length=end)


def notes_of(
    pitches: NDArray[np.int64],
    onsets: NDArray[np.bool_],
    free: NDArray[np.bool_],
    grid: Grid,
    melody: Sequence[Note],
    role: Role,
) -> tuple[Note, ...]:
    """A voice's frames int64[T], where it is struck bool[T] and where it is to be written bool[T], as notes; each a
    little softer than the melody's note at that moment."""
    sounding = (pitches >= 0) & free
    before = np.concatenate([[-1], np.where(sounding, pitches, -1)[:-1]])
    begins = sounding & (onsets | (before != pitches))
    ends = np.append(np.flatnonzero(begins | ~sounding), len(pitches))
    starts = np.array([note.start for note in melody])
    found = []
    for first in np.flatnonzero(begins):
        last = int(ends[np.searchsorted(ends, first, side="right")])
        start, end = grid.tick(int(first)), grid.tick(last)
        heard = melody[max(0, int(np.searchsorted(starts, start, side="right")) - 1)]
        velocity = int(np.clip(heard.velocity - _SOFTER[role], 20, 112))
        if end > start:
            found.append(Note(start, end - start, int(pitches[first]), velocity))
    return tuple(found)


def chord_spans(named: Sequence[Chord], frames: NDArray[np.int64], grid: Grid) -> tuple[ChordSpan, ...]:
    """A chord a beat as spans, equal neighbours joined; none where nothing sounds, such as before a pick-up."""
    spans: list[ChordSpan] = []
    for beat, chord in enumerate(named):
        heard = np.flatnonzero((frames[4 * beat : 4 * beat + 4] >= 0).any(axis=1))
        if not heard.size:
            continue
        start, end = grid.tick(4 * beat + int(heard[0])), int(grid.beat_ticks[beat + 1])
        if spans and spans[-1].end == start and spans[-1].chord == chord:
            spans[-1] = replace(spans[-1], end=end)
        else:
            spans.append(ChordSpan(start, end, chord))
    return tuple(spans)
