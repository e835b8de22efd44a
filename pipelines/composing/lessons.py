"""What the chorale network is shown: pieces with notes hidden (masks.py), and what it should find there, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import encoding, masks, tokens
from pipelines.composing.corpus import Chorale
from pipelines.composing.tokens import BEAT, UNKNOWN


@dataclass(frozen=True, slots=True)
class Lesson:
    """A piece: ``frames`` int64[T, 4] relative pitches, and as classes what is to be found in them: ``pitches``
    int32[n, 4 frames, 3 voices] and ``chords`` int32[n]."""

    frames: NDArray[np.int64]
    minor: bool
    shift: int
    pitches: NDArray[np.int32]
    chords: NDArray[np.int32]

    @classmethod
    def of(cls, piece: Chorale, vocabulary: tokens.ChordVocabulary) -> Lesson:
        frames = piece.relative
        pitches = tokens.index_of(frames).reshape(-1, BEAT, 4)[..., 1:]
        chords = vocabulary.classes(frames[::BEAT])
        return cls(frames, piece.minor, piece.shift, pitches.astype(np.int32), chords.astype(np.int32))

    def rows(self) -> NDArray[np.int32]:
        """As encoding.encode has them, of the soprano alone."""
        hidden = self.frames.copy()
        hidden[:, 1:] = UNKNOWN
        return encoding.encode(hidden, self.minor, self.shift)


@dataclass(frozen=True, slots=True)
class Batch:
    """Of b pieces, n beats of each: ``rows`` int32[b, n, N_FEATURES], ``present`` float32[b, n] (0 past the end),
    ``hidden`` float32[b, n, 4, 3] (1 where a note is to be found), ``pitches`` int32[b, n, 4, 3], ``chords``
    int32[b, n], ``begun`` int32[b, n, 3]: the class of a known first note, else -1."""

    rows: NDArray[np.int32]
    present: NDArray[np.float32]
    hidden: NDArray[np.float32]
    pitches: NDArray[np.int32]
    chords: NDArray[np.int32]
    begun: NDArray[np.int32]

    @classmethod
    def of(cls, lessons: Sequence[Lesson], beats: int, anonymous: float, rng: np.random.Generator) -> Batch:
        """Runs of ``beats`` beats; ``anonymous``: the share of pieces whose true height is not told."""
        b = len(lessons)
        batch = cls(
            np.zeros((b, beats, encoding.N_FEATURES), np.int32),
            np.zeros((b, beats), np.float32),
            np.zeros((b, beats, BEAT, 3), np.float32),
            np.zeros((b, beats, BEAT, 3), np.int32),
            np.zeros((b, beats), np.int32),
            np.full((b, beats, 3), -1, np.int32),
        )
        for at, lesson in enumerate(lessons):
            n = len(lesson.chords)
            start = int(rng.integers(max(n - beats, 0) + 1))
            kept, run = slice(min(n, beats)), slice(start, start + beats)
            known = masks.hide(lesson.frames, rng)
            rows = encoding.encode(known, lesson.minor, None if rng.random() < anonymous else lesson.shift)
            hidden = known.reshape(n, BEAT, 4)[..., 1:] == UNKNOWN
            batch.rows[at, kept], batch.present[at, kept] = rows[run], 1
            batch.hidden[at, kept], batch.pitches[at, kept] = hidden[run], lesson.pitches[run]
            batch.chords[at, kept] = lesson.chords[run]
            batch.begun[at, kept] = np.where(hidden[:, 0], -1, lesson.pitches[:, 0])[run]
        return batch

    def arrays(self) -> tuple[NDArray[np.int32] | NDArray[np.float32], ...]:
        return self.rows, self.present, self.hidden, self.pitches, self.chords, self.begun
