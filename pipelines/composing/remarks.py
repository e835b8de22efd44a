"""Sentences about a source and its arrangements: what of the file is not kept, whose chords are followed, what crosses.

What was done to find the melody is told by melody.py, wishes without an effect by wishes.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.melody import Melody
from pipelines.composing.piece import SHARP_NAMES, ChordSpan, Note, Part, Piece
from pipelines.composing.wishes import VOICES, Wishes

_NAMED = 4  # tracks
_LOW, _HIGH = 55, 84  # G3, C6: a melody with its middle beyond them leaves too little or too much room below it
_DEEPEST = 38  # D2: what a bass sings
_OFTEN = 0.1  # of the melody's notes, and of the bass's


def left_out(found: Melody) -> list[str]:
    """Of the source."""
    said = []
    others = [part for number, part in enumerate(found.piece.parts) if number != found.track and part.notes]
    if others:
        names = ", ".join(repr(part.name) for part in others[:_NAMED]) + (" ..." if len(others) > _NAMED else "")
        one = len(others) == 1
        said.append(f"{len(others)} other track{'' if one else 's'} ({names}) {'is' if one else 'are'} left out.")
    unkept = found.piece.parts[found.track].unkept
    if unkept:
        listed = unkept[0] if len(unkept) == 1 else f"{', '.join(unkept[:-1])} and {unkept[-1]}"
        said.append(f"Of the melody's track, {listed} are not kept.")
    return said


def own_chords(found: Melody) -> tuple[ChordSpan, ...]:
    """The source's chord symbols that lie in the melody, one after the other."""
    end = found.part.notes[-1].end
    kept: list[ChordSpan] = []
    for span in sorted(found.piece.chords, key=lambda span: (span.start, span.end)):
        if span.start >= (kept[-1].end if kept else 0) and span.start < min(span.end, end) and span.chord.pitch_classes:
            kept.append(span)
    return tuple(kept)


def unused_instruments(wishes: Wishes, made: Sequence[Piece]) -> list[str]:
    """Of roles that the style has, and no candidate plays."""
    playing = {part.role for piece in made for part in piece.parts}
    silent = [role for role in VOICES[wishes.style] if role in wishes.instruments and role not in playing]
    if not silent:
        return []
    return [f"No candidate has a part for {', '.join(silent)} here, so the instrument asked for is not heard."]


def crossed(found: Melody, wishes: Wishes, made: Sequence[Piece]) -> list[str]:
    """Whether the melody lies so low that other parts sound above it or too low, or so high that they are far below."""
    notes = found.part.notes
    weights = np.array([note.duration for note in notes])
    order = np.argsort([note.pitch for note in notes], kind="stable")
    reached = np.cumsum(weights[order])
    middle = notes[int(order[np.searchsorted(reached, reached[-1] / 2)])].pitch
    if middle > _HIGH:
        return [f"The melody lies above {_named(_HIGH)} for the most part, so the other parts lie far below it."]
    parts = [part for part in made[0].parts if part.role not in ("melody", "drums")] if made else []
    share = max((_above(notes, part) for part in parts), default=0.0)
    if middle < _LOW and share > _OFTEN:
        return [f"The melody lies below {_named(_LOW)} for the most part, so other parts cross it and sound above it."]
    bass = next((part for part in parts if part.role == "bass" and wishes.style == "chorale"), None)
    deep = [note.pitch for note in bass.notes if note.pitch < _DEEPEST] if bass is not None else []
    if bass is not None and len(deep) > _OFTEN * len(bass.notes):
        return [f"The melody lies so low that the bass below it goes down to {_named(min(deep))}, where nobody sings."]
    return []


def _above(melody: Sequence[Note], part: Part) -> float:
    """Share of the melody's beginnings at which a note of the part is higher."""
    starts = np.array([note.start for note in melody])
    highest: NDArray[np.int64] = np.full(len(melody), -1)
    for note in part.notes:
        first, after = np.searchsorted(starts, [note.start, note.end])
        np.maximum(highest[first:after], note.pitch, out=highest[first:after])
    return float((highest > np.array([note.pitch for note in melody])).mean())


def _named(pitch: int) -> str:
    return f"{SHARP_NAMES[pitch % 12]}{pitch // 12 - 1}"
