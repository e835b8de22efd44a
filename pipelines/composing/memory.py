"""A memory of melodies and what was sung below them: at each beat, those passages vote whose melody ran most alike.

What the votes are mixed into is harmonizer.py's. Pitches are relative (tokens.py), so that a tune is found in any key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import tokens
from pipelines.composing.corpus import Chorale
from pipelines.composing.encoding import lengths
from pipelines.composing.tokens import BEAT, N_PITCHES

_LONG = 4  # beats of a note that are told apart


@dataclass(frozen=True, slots=True)
class Votes:
    """For each of n beats: ``voices`` float32[n, 3, N_PITCHES] and ``chords`` float32[n, C], each summing to 1;
    ``match`` float32[n]: for how many beats, about, the best passage's melody runs alike."""

    voices: NDArray[np.float32]
    chords: NDArray[np.float32]
    match: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kernel:
    """How alike beats are, and how much more a longer run counts; chosen on valid (weights in harmonizer.py)."""

    near: float = 0.5  # likeness of beats whose first pitch alone agrees
    miss: float = 0.02  # of beats that differ
    decay: float = 0.8  # of a run's further beats
    sharp: float = 0.7  # a vote is exp(sharp * run)
    known: float = 1.5  # what a known pitch that agrees is worth, in beats
    minor: float = 2.0  # taken off a run, in beats, when the modes differ
    voters: int = 48


@dataclass(frozen=True, slots=True)
class Memory:
    """``frames`` int64[M, 4, 4] beats of pieces one after the other, each [frame, voice] (relative pitches);
    ``first`` bool[M]: where a piece begins; ``minor`` bool[M]; ``weight`` float32[M]: a voter's log weight."""

    frames: NDArray[np.int64]
    first: NDArray[np.bool_]
    minor: NDArray[np.bool_]
    weight: NDArray[np.float32]
    _words: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        melody = np.ascontiguousarray(self.frames[:, :, 0]).reshape(-1)
        object.__setattr__(self, "_words", _words(melody, self._last))

    @property
    def _last(self) -> NDArray[np.bool_]:
        return np.append(self.first[1:], True)[: len(self.first)]

    @classmethod
    def of(cls, pieces: Sequence[Chorale], weight: float = 1.0) -> Memory:
        """Of pieces; ``weight``: how many votes a passage of theirs has."""
        if not pieces:
            empty = np.empty(0, bool)
            return cls(np.empty((0, BEAT, 4), np.int64), empty, empty, np.empty(0, np.float32))
        frames = np.concatenate([piece.relative.reshape(-1, BEAT, 4) for piece in pieces])
        first = np.concatenate([np.arange(piece.n_beats) == 0 for piece in pieces])
        minor = np.repeat([piece.minor for piece in pieces], [piece.n_beats for piece in pieces])
        return cls(frames, first, minor, np.full(len(frames), np.log(weight), np.float32))

    def and_also(self, other: Memory) -> Memory:
        """Both, as for a composer's own pieces beside the chorales."""
        return Memory(
            np.concatenate([self.frames, other.frames]),
            np.concatenate([self.first, other.first]),
            np.concatenate([self.minor, other.minor]),
            np.concatenate([self.weight, other.weight]),
        )

    def runs(self, soprano: NDArray[np.int64], minor: bool, kernel: Kernel) -> NDArray[np.float32]:
        """float32[T / 4, M]: for how many beats, left and right of each, int64[T] runs as the memory's melodies."""
        mine, theirs = _words(soprano), self._words
        alike = np.where(mine[:, None, 0] == theirs[None, :, 0], np.float32(kernel.near), np.float32(kernel.miss))
        alike[mine[:, None, 1] == theirs[None, :, 1]] = 1.0
        last = self._last
        left, right = alike.copy(), alike.copy()
        decay = np.float32(kernel.decay)
        for beat in range(1, len(mine)):
            before = np.where(self.first[1:], 0, left[beat - 1, :-1])
            left[beat, 1:] *= 1 + decay * before
        for beat in range(len(mine) - 2, -1, -1):
            after = np.where(last[:-1], 0, right[beat + 1, 1:])
            right[beat, :-1] *= 1 + decay * after
        return np.asarray(left + right - alike - np.float32(kernel.minor) * (self.minor != minor), np.float32)

    def votes(
        self,
        soprano: NDArray[np.int64],
        minor: bool,
        known: NDArray[np.int64],
        vocabulary: tokens.ChordVocabulary,
        kernel: Kernel,
    ) -> Votes:
        """What the memory would have sung below int64[T], where ``known`` int64[T / 4, 3] (-2 unknown) is sung."""
        runs = self.runs(soprano, minor, kernel)
        n = len(runs)
        voters, weight = self._voters(runs + self._agreement(known, kernel), kernel)
        sung = tokens.index_of(self.frames[voters, 0])
        voices = np.zeros((n, 3, N_PITCHES), np.float32)
        chords = np.zeros((n, len(vocabulary)), np.float32)
        beat, voter, voice = np.indices((*voters.shape, 3))
        np.add.at(voices, (beat, voice, sung[..., 1:]), weight[beat, voter])
        np.add.at(chords, (beat[..., 0], vocabulary.classes(self.frames[voters, 0])), weight)
        return Votes(voices, chords, runs.max(1))

    def moves(
        self, beats: NDArray[np.int64], minor: bool, kernel: Kernel
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """float32[B, 3 frames, 3 voices, N_PITCHES], what the memory would sing inside beats int64[B, 4, 4] whose
        first frames are decided, moving as it moved from its own first frames; and float32[B], the match of each."""
        known = beats[:, 0, 1:]
        runs = self.runs(np.ascontiguousarray(beats[:, :, 0]).reshape(-1), minor, kernel)
        together = runs + self._agreement(known, kernel)
        voters, weight = self._voters(together, kernel)
        begun, after = self.frames[voters, 0, 1:], self.frames[voters, 1:, 1:]
        moved = np.where((begun[:, :, None] >= 0) & (after >= 0), after - begun[:, :, None], 0)
        moved = np.where(known[:, None, None] >= 0, known[:, None, None] + moved, tokens.REST)
        found = np.zeros((len(beats), BEAT - 1, 3, N_PITCHES), np.float32)
        beat, voter, frame, voice = np.indices(moved.shape)
        np.add.at(found, (beat, frame, voice, tokens.index_of(moved)), weight[beat, voter])
        return found, together.max(1)

    def _agreement(self, known: NDArray[np.int64], kernel: Kernel) -> NDArray[np.float32]:
        """float32[B, M]: how many of the ``known`` pitches of a beat, and half of its neighbours', the memory sang."""
        agreement = np.zeros((len(known), len(self.first)), np.float32)
        for voice in range(3):
            for beat in np.flatnonzero(known[:, voice] != tokens.UNKNOWN):
                same = (self.frames[:, 0, voice + 1] == known[beat, voice]) * np.float32(kernel.known)
                agreement[beat] += same
                if beat + 1 < len(known):
                    agreement[beat + 1, 1:] += same[:-1] / 2
                if beat:
                    agreement[beat - 1, :-1] += same[1:] / 2
        return agreement

    def _voters(self, runs: NDArray[np.float32], kernel: Kernel) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The beats int64[B, voters] that vote, and float32[B, voters] with what weight, 1 in all."""
        strength = kernel.sharp * runs + self.weight
        kept = min(kernel.voters, runs.shape[1])
        voters = np.argpartition(-strength, kept - 1, axis=1)[:, :kept]
        weight = np.exp(np.take_along_axis(strength, voters, 1) - strength.max(1, keepdims=True))
        return voters, weight / weight.sum(1, keepdims=True)


def _words(soprano: NDArray[np.int64], last: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """int64[T / 4, 2]: a beat's first pitch, and a number for all that the beat holds and how long its note lasts."""
    beats = soprano.reshape(-1, BEAT)
    whole = np.minimum(lengths(soprano, last), _LONG)
    for frame in range(BEAT):
        whole = whole * 256 + beats[:, frame] + 2
    return np.stack([beats[:, 0], whole], 1)
