"""Candidates in the chorale style: a melody's frames through the chorale model, the voices back as notes and chords.

The model and its constraints are chorale.py's; ranking the candidates, ranking.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import chords, measures
from pipelines.composing.grid import Grid
from pipelines.composing.keeping import Kept
from pipelines.composing.melody import Melody
from pipelines.composing.piece import Chord, ChordSpan, Note, Part, Piece, Role
from pipelines.composing.wishes import VOICES, Wishes

if TYPE_CHECKING:
    from pipelines.composing.arranging import Draft
    from pipelines.composing.chorale import Voiced
    from pipelines.composing.harmonizer import Harmonizer
    from pipelines.composing.own_pieces import PersonalStyle

CHOIR = 52  # General MIDI, from 0
_SUSTAINED = (*range(8), *range(16, 24), *range(40, 56))  # instruments that can play all four voices
_SOFTER: dict[Role, int] = {"alto": 14, "tenor": 14, "bass": 8}  # than the melody, in velocity
OWN_VOTES = 4.0  # what a passage of the composer's own counts in the model's memory, where one of Bach's is 1


def drafts(
    found: Melody,
    base: Piece,
    wishes: Wishes,
    stays: Kept | None,
    harmonizer: Harmonizer | None,
    style: PersonalStyle | None,
) -> tuple[list[Draft], str]:
    """As many candidates as were asked for, not ranked, and what made them."""
    from pipelines.composing import chorale
    from pipelines.composing.arranging import Draft

    grid, key, roles = found.grid, found.key.key, VOICES["chorale"]
    model = with_style(shipped() if harmonizer is None else harmonizer, style)
    soprano, struck = grid.soprano(found.part.notes)
    locked = None
    fixed = np.zeros((grid.n_frames, 4), bool)
    if stays is not None:
        locked, fixed = stays.frames(grid, roles)
    made = chorale.harmonize(
        soprano,
        onsets=struck,
        level=grid.level,
        key=key,
        locked=locked,
        chords=[chords.chord_at(wishes.chords, int(tick)) for tick in grid.beat_ticks[:-1]] if wishes.chords else None,
        candidates=wishes.candidates,
        seed=wishes.seed,
        harmonizer=model,
    )
    offered = []
    for voiced in made:
        piece = _piece(found, base, wishes, voiced, stays, fixed)
        told = measures.of_chorale(voiced.pitches, voiced.onsets, key) | {"likelihood": voiced.log_likelihood}
        offered.append(Draft(piece, told, wishes.seed))
    return offered, f"harmonizer {model.version}"


def shipped() -> Harmonizer:
    from pipelines.composing.chorale import _shipped

    return _shipped()


def with_style(harmonizer: Harmonizer, style: PersonalStyle | None) -> Harmonizer:
    """The model with the composer's four-part pieces in its memory; itself when there are none."""
    from pipelines.composing.corpus import chorale
    from pipelines.composing.memory import Memory
    from pipelines.composing.piece import Key

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
    """A chord a beat as spans, equal neighbours joined; none where nothing sounds."""
    spans: list[ChordSpan] = []
    for beat, chord in enumerate(named):
        if not (frames[4 * beat : 4 * beat + 4] >= 0).any():
            continue
        start, end = int(grid.beat_ticks[beat]), int(grid.beat_ticks[beat + 1])
        if spans and spans[-1].end == start and spans[-1].chord == chord:
            spans[-1] = replace(spans[-1], end=end)
        else:
            spans.append(ChordSpan(start, end, chord))
    return tuple(spans)
