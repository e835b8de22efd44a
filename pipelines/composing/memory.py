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
_NOBODY, _TRACE = np.float32(-1e9), 1e-12  # so that votes of nobody but the apart are shared out evenly


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
    known: float = 3.0  # what a known pitch that agrees is worth, in beats
    minor: float = 2.0  # taken off a run, in beats, when the modes differ
    voters: int = 48  # how many vote for a beat, and those that are as alike as the last of them


@dataclass(frozen=True, slots=True)
class Memory:
    """``frames`` int64[M, 4, 4] beats of pieces one after the other, each [frame, voice] (relative pitches);
    ``first`` bool[M]: where a piece begins; ``minor`` bool[M]; ``weight`` float32[M]: a voter's log weight."""

    frames: NDArray[np.int64]
    first: NDArray[np.bool_]
    minor: NDArray[np.bool_]
    weight: NDArray[np.float32]
    _pitches: NDArray[np.int16] = field(init=False, repr=False, compare=False)  # [M, 4], of the first frames
    _words: NDArray[np.int64] = field(init=False, repr=False, compare=False)  # [M], what the melody does in the beat
    _last: NDArray[np.bool_] = field(init=False, repr=False, compare=False)
    _by_pitch: dict[int, NDArray[np.int64]] = field(init=False, repr=False, compare=False)  # which beats begin on it
    _everywhere: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        last = np.append(self.first[1:], True)[: len(self.first)]
        melody = np.ascontiguousarray(self.frames[:, :, 0]).reshape(-1)
        object.__setattr__(self, "_pitches", self.frames[:, 0].astype(np.int16))
        object.__setattr__(self, "_words", _words(melody, last))
        object.__setattr__(self, "_last", last)
        sung = self._pitches[:, 0]
        object.__setattr__(self, "_by_pitch", {int(pitch): np.flatnonzero(sung == pitch) for pitch in np.unique(sung)})
        object.__setattr__(self, "_everywhere", np.arange(len(self.first)))

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
        pitches, words = soprano[::BEAT].astype(np.int16), _words(soprano)
        same = pitches[:, None] == self._pitches[:, 0]
        alike = np.where(same, np.float32(kernel.near), np.float32(kernel.miss))
        alike[words[:, None] == self._words] = 1.0
        begins, ends = np.float32(kernel.decay) * ~self.first[1:], np.float32(kernel.decay) * ~self._last[:-1]
        left, right = alike.copy(), alike.copy()
        for beat in range(1, len(words)):
            left[beat, 1:] *= 1 + begins * left[beat - 1, :-1]
        for beat in range(len(words) - 2, -1, -1):
            right[beat, :-1] *= 1 + ends * right[beat + 1, 1:]
        left += right
        left -= alike
        left -= np.float32(kernel.minor) * (self.minor != minor)
        return left

    def votes(
        self,
        runs: NDArray[np.float32],
        soprano: NDArray[np.int64],
        chords: NDArray[np.int64],
        n_chords: int,
        kernel: Kernel,
        *,
        known: NDArray[np.int64] | None = None,
        apart: slice | None = None,
    ) -> Votes:
        """What the memory would have sung below int64[T], of its ``runs``, where ``known`` int64[T / 4, 3] (-2 unknown)
        is sung.

        ``chords`` int64[M]: the class, of ``n_chords``, of each of the memory's beats. ``apart``: beats that do not
        vote, such as those of the very piece that is asked for.
        """
        n = len(runs)
        if apart is not None:
            runs = runs.copy()
            runs[:, apart] = -np.inf
        match = runs.max(1)
        together = runs if known is None else runs + self._agreement(known, kernel)
        beat, voter, weight = self._voters(soprano[::BEAT], together, kernel)
        sung = tokens.index_of(self._pitches[voter, 1:].astype(np.int64))
        voices = np.stack([_counted(beat, sung[:, voice], weight, n, N_PITCHES) for voice in range(3)], 1)
        return Votes(voices, _counted(beat, chords[voter], weight, n, n_chords), match)

    def moves(self, runs: NDArray[np.float32], beats: NDArray[np.int64], kernel: Kernel) -> NDArray[np.float32]:
        """float32[B, 3 frames, 3 voices, N_PITCHES], what the memory would sing inside beats int64[B, 4, 4] whose
        first frames are decided, moving as it moved from its own first frames."""
        known = beats[:, 0, 1:]
        together = runs + self._agreement(known, kernel)
        beat, voter, weight = self._voters(beats[:, 0, 0], together, kernel)
        begun, after = self.frames[voter, :1, 1:], self.frames[voter, 1:, 1:]
        moved = np.where((begun >= 0) & (after >= 0), after - begun, 0)
        sung = known[beat][:, None]
        indices = tokens.index_of(np.where(sung >= 0, sung + moved, tokens.REST))
        found = [
            _counted(beat, indices[:, frame, voice], weight, len(beats), N_PITCHES)
            for frame in range(BEAT - 1)
            for voice in range(3)
        ]
        return np.stack(found, 1).reshape(len(beats), BEAT - 1, 3, N_PITCHES)

    def _agreement(self, known: NDArray[np.int64], kernel: Kernel) -> NDArray[np.float32]:
        """float32[B, M]: how many of the ``known`` pitches of a beat, and half of its neighbours', the memory sang."""
        same = np.zeros((len(known), len(self.first)), np.float32)
        if not (known != tokens.UNKNOWN).any():
            return same
        for voice in range(3):
            same += known[:, voice, None].astype(np.int16) == self._pitches[:, voice + 1]
        same *= np.float32(kernel.known)
        agreement = same.copy()
        agreement[1:, 1:] += same[:-1, :-1] / 2
        agreement[:-1, :-1] += same[1:, 1:] / 2
        return agreement

    def _voters(
        self, pitches: NDArray[np.int64], runs: NDArray[np.float32], kernel: Kernel
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Who votes: of each vote, the beat, the memory's beat and its weight; a beat's weights are 1 in all.

        Beats of another first pitch than those of ``pitches`` int64[B] are not asked, unless there is no other.
        """
        beats, voters, weights = [], [], []
        for beat, pitch in enumerate(pitches):
            asked = self._by_pitch.get(int(pitch), self._everywhere)
            strength = np.float32(kernel.sharp) * runs[beat, asked] + self.weight[asked]
            if len(asked) > kernel.voters:
                # with those as strong as the last, so that it is no matter in which order they are remembered
                kept = strength >= np.partition(strength, -kernel.voters)[-kernel.voters]
                asked, strength = asked[kept], strength[kept]
            weight = np.exp((strength - max(strength.max(), _NOBODY)).astype(float)) + _TRACE
            beats.append(np.full(len(asked), beat))
            voters.append(asked)
            weights.append(weight / weight.sum())
        return np.concatenate(beats), np.concatenate(voters), np.concatenate(weights)


def _counted(
    beat: NDArray[np.int64], classes: NDArray[np.int64], weight: NDArray[np.float64], beats: int, n: int
) -> NDArray[np.float32]:
    """float32[beats, n]: the votes' weights for each class."""
    counted = np.bincount(beat * n + classes, weight, beats * n)
    return counted.reshape(beats, n).astype(np.float32)


def _words(soprano: NDArray[np.int64], last: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """int64[T / 4]: a number for all that a beat of the melody holds and how long its note lasts."""
    beats = soprano.reshape(-1, BEAT)
    whole = np.minimum(lengths(soprano, last), _LONG)
    for frame in range(BEAT):
        whole = whole * 256 + beats[:, frame] + 2
    return whole
