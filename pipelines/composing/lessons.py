"""What the chorale network is shown: pieces with notes hidden (masks.py), and what it should find there, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import encoding, masks, tokens
from pipelines.composing.corpus import Chorale
from pipelines.composing.memory import Kernel, Memory, Votes
from pipelines.composing.tokens import BEAT, UNKNOWN


@dataclass(frozen=True, slots=True)
class Lesson:
    """A piece: ``frames`` int64[T, 4] relative pitches, and as classes what is to be found in them: ``pitches``
    int32[n, 3 voices] of first frames, ``moves`` int32[n, 3 frames, 3 voices] from there, ``chords`` int32[n];
    ``votes`` float32[n, N_VOTES]: encoding.heard."""

    frames: NDArray[np.int64]
    minor: bool
    shift: int
    pitches: NDArray[np.int32]
    moves: NDArray[np.int32]
    chords: NDArray[np.int32]
    votes: NDArray[np.float32]

    @classmethod
    def of(cls, piece: Chorale, vocabulary: tokens.ChordVocabulary, votes: Votes) -> Lesson:
        frames = piece.relative
        beats = frames.reshape(-1, BEAT, 4)[..., 1:]
        pitches, moves = tokens.index_of(beats[:, 0]).astype(np.int32), encoding.moves_of(beats).astype(np.int32)
        chords = vocabulary.classes(frames[::BEAT]).astype(np.int32)
        heard = encoding.heard(votes.voices, votes.match)
        return cls(frames, piece.minor, piece.shift, pitches, moves, chords, heard)

    def rows(self) -> NDArray[np.int32]:
        """As encoding.encode has them, of the soprano alone."""
        hidden = self.frames.copy()
        hidden[:, 1:] = UNKNOWN
        return encoding.encode(hidden, self.minor, self.shift)


@dataclass(frozen=True, slots=True)
class Batch:
    """Of b pieces, n beats of each: ``rows`` int32[b, n, N_FEATURES], ``votes`` float32[b, n, N_VOTES], ``present``
    float32[b, n] (0 past the end); what is to be found: ``pitches`` int32[b, n, 3] where ``hidden`` float32[b, n, 3] is
    1, ``moves`` int32[b, n, 3, 3] where ``moving`` float32[b, n, 3, 3] is 1, ``chords`` int32[b, n]."""

    rows: NDArray[np.int32]
    votes: NDArray[np.float32]
    present: NDArray[np.float32]
    hidden: NDArray[np.float32]
    pitches: NDArray[np.int32]
    moving: NDArray[np.float32]
    moves: NDArray[np.int32]
    chords: NDArray[np.int32]

    @classmethod
    def of(
        cls, lessons: Sequence[Lesson], beats: int, anonymous: float, alone: float, rng: np.random.Generator
    ) -> Batch:
        """Runs of ``beats`` beats; ``anonymous``: the share of pieces whose true height is not told; ``alone``: of
        those for which the memory is not asked."""
        b = len(lessons)
        batch = cls(
            np.zeros((b, beats, encoding.N_FEATURES), np.int32),
            np.zeros((b, beats, encoding.N_VOTES), np.float32),
            np.zeros((b, beats), np.float32),
            np.zeros((b, beats, 3), np.float32),
            np.zeros((b, beats, 3), np.int32),
            np.zeros((b, beats, BEAT - 1, 3), np.float32),
            np.zeros((b, beats, BEAT - 1, 3), np.int32),
            np.zeros((b, beats), np.int32),
        )
        for at, lesson in enumerate(lessons):
            n = len(lesson.chords)
            start = int(rng.integers(max(n - beats, 0) + 1))
            kept, run = slice(min(n, beats)), slice(start, start + beats)
            known = masks.hide(lesson.frames, rng)
            rows = encoding.encode(known, lesson.minor, None if rng.random() < anonymous else lesson.shift)
            hidden = known.reshape(n, BEAT, 4)[..., 1:] == UNKNOWN
            if rng.random() >= alone:
                batch.votes[at, kept] = lesson.votes[run]
            batch.rows[at, kept], batch.present[at, kept] = rows[run], 1
            batch.hidden[at, kept], batch.pitches[at, kept] = hidden[run, 0], lesson.pitches[run]
            # from where a voice moves is known
            batch.moving[at, kept], batch.moves[at, kept] = (hidden[:, 1:] & ~hidden[:, :1])[run], lesson.moves[run]
            batch.chords[at, kept] = lesson.chords[run]
        return batch

    def arrays(self) -> tuple[NDArray[np.int32] | NDArray[np.float32], ...]:
        first = self.rows, self.votes, self.present, self.hidden, self.pitches
        return *first, self.moving, self.moves, self.chords


def lessons_of(
    pieces: Sequence[Chorale],
    memory: Memory,
    vocabulary: tokens.ChordVocabulary,
    kernel: Kernel,
    *,
    remembered: bool,
) -> list[Lesson]:
    """Of pieces, with what the memory votes; ``remembered``: they are the memory's own, one after the other, and each
    is kept out of its own votes."""
    chords, made, at = vocabulary.classes(memory.frames[:, 0]), [], 0
    for piece in pieces:
        apart = slice(at, at + piece.n_beats) if remembered else None
        passages = memory.passages(piece.relative[:, 0], piece.minor, kernel, apart)
        votes = memory.votes(passages, chords, len(vocabulary), kernel)
        made.append(Lesson.of(piece, vocabulary, votes))
        at += piece.n_beats
    return made
