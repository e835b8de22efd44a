"""A memory of melodies and what was sung below them: at each beat, those passages vote whose melody ran most alike.

What the votes are mixed into is harmonizer.py's. Pitches are relative (tokens.py), so that a tune is found in any key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import tokens
from pipelines.composing.corpus import Chorale
from pipelines.composing.encoding import lengths
from pipelines.composing.tokens import BEAT, N_PITCHES

_LONG = 4  # beats of a note that are told apart
_NONE = -3  # what is sung before the first beat and after the last: unlike any pitch, rest or unknown one


@dataclass(frozen=True, slots=True)
class Votes:
    """For each of n beats: ``voices`` float32[n, 3, N_PITCHES] and ``chords`` float32[n, C], each summing to 1;
    ``match`` float32[n]: for how many beats, about, the best passage's melody runs alike."""

    voices: NDArray[np.float32]
    chords: NDArray[np.float32]
    match: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Passages:
    """Where a melody's beats were heard before: of each of K places, the melody's ``beat`` int64[K] (rising, each of
    0..n - 1 there), the memory's beat ``place`` int64[K], and for how many beats, about, both melodies run alike there,
    ``run`` float32[K]."""

    n: int
    beat: NDArray[np.int64]
    place: NDArray[np.int64]
    run: NDArray[np.float32]

    @property
    def starts(self) -> NDArray[np.int64]:
        """int64[n + 1]: where each beat's places begin."""
        return np.searchsorted(self.beat, np.arange(self.n + 1))


@dataclass(frozen=True, slots=True)
class Kernel:
    """How alike beats are, and how much more a longer run counts; chosen on valid (weights in harmonizer.py)."""

    near: float = 0.5  # likeness of beats whose first pitch alone agrees; without that it is none
    decay: float = 0.8  # of a run's further beats
    sharp: float = 0.7  # a vote is exp(sharp * run)
    known: float = 8.0  # what a known pitch that agrees is worth, in beats
    minor: float = 2.0  # taken off a run, in beats, when the modes differ
    voters: int = 48  # how many vote for a beat, and those that are as alike as the last of them


@dataclass(frozen=True, slots=True)
class Mixing:
    """The memory's share beside a network: ``most`` when its match is far above ``half`` beats, half of that at
    ``half``; ``known`` where all around is known; ``inside`` beats. Chosen on valid."""

    most: float = 0.45
    known: float = 0.8
    half: float = 4.5
    slope: float = 1.0
    inside: float = 0.3

    def share(self, match: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Of float32[n] matches and what is known of bool[n, 3] notes."""
        share = self.most / (1 + np.exp(-self.slope * (match - self.half)))
        return np.asarray(share + (self.known - share) * _around(known), np.float32)

    def both(self, near: Votes, far: Votes, known: NDArray[np.bool_]) -> Votes:
        """The mean of votes of short and of long runs; where the notes around are known, they tell more than the
        melody far away does, and the short ones' count alone."""
        share = ((1 - _around(known)) / 2).astype(np.float32)[:, None]
        voices = near.voices + share[..., None] * (far.voices - near.voices)
        return Votes(voices, near.chords + share * (far.chords - near.chords), near.match)


@dataclass(frozen=True, slots=True)
class Memory:
    """``frames`` int64[M, 4, 4] beats of pieces one after the other, each [frame, voice] (relative pitches);
    ``first`` bool[M]: where a piece begins; ``minor`` bool[M]; ``weight`` float32[M]: a voter's log weight."""

    frames: NDArray[np.int64]
    first: NDArray[np.bool_]
    minor: NDArray[np.bool_]
    weight: NDArray[np.float32]
    _pitches: NDArray[np.int16] = field(init=False, repr=False, compare=False)  # [M, 4], of the first frames
    _sung: NDArray[np.int16] = field(init=False, repr=False, compare=False)  # [3, M + 2], of the lower voices
    _words: NDArray[np.int64] = field(init=False, repr=False, compare=False)  # [M], what the melody does in the beat
    _begins: NDArray[np.float32] = field(init=False, repr=False, compare=False)  # [M], 0 where a piece does, else 1
    _ends: NDArray[np.float32] = field(init=False, repr=False, compare=False)
    _by_pitch: dict[int, NDArray[np.int64]] = field(init=False, repr=False, compare=False)  # which beats begin on it

    def __post_init__(self) -> None:
        last = np.append(self.first[1:], True)[: len(self.first)]
        melody = np.ascontiguousarray(self.frames[:, :, 0]).reshape(-1)
        pitches = self.frames[:, 0].astype(np.int16)
        by_pitch = {int(pitch): np.flatnonzero(pitches[:, 0] == pitch) for pitch in np.unique(pitches[:, 0])}
        object.__setattr__(self, "_pitches", pitches)
        sung = np.pad(pitches[:, 1:].T, ((0, 0), (1, 1)), constant_values=_NONE)
        object.__setattr__(self, "_sung", sung)
        object.__setattr__(self, "_words", _words(melody, last))
        object.__setattr__(self, "_begins", (~self.first).astype(np.float32))
        object.__setattr__(self, "_ends", (~last).astype(np.float32))
        object.__setattr__(self, "_by_pitch", by_pitch)

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

    def passages(self, soprano: NDArray[np.int64], minor: bool, kernel: Kernel, apart: slice | None = None) -> Passages:
        """Where the beats of int64[T] were heard: those that begin on the same pitch, all where there is none.

        ``apart``: beats that are left out, such as those of the very piece that is asked for.
        """
        everywhere = np.arange(len(self.first))
        asked = [self._by_pitch.get(int(pitch), everywhere) for pitch in soprano[::BEAT]]
        if apart is not None:
            outside = np.ones(len(self.first), bool)
            outside[apart] = False
            asked = [places[outside[places]] if outside[places].any() else everywhere[outside] for places in asked]
        alike = []
        for places, pitch, word in zip(asked, soprano[::BEAT], _words(soprano), strict=True):
            likeness = np.float32(kernel.near) * (self._pitches[places, 0] == pitch)
            likeness[self._words[places] == word] = 1.0
            alike.append(likeness)
        left = self._runs(asked, alike, -1, np.float32(kernel.decay) * self._begins)
        right = self._runs(asked[::-1], alike[::-1], 1, np.float32(kernel.decay) * self._ends)[::-1]
        place = np.concatenate([*asked, np.empty(0, np.int64)])
        run = np.concatenate([*left, np.empty(0, np.float32)]) + np.concatenate([*right, np.empty(0, np.float32)])
        run -= np.concatenate([*alike, np.empty(0, np.float32)])
        run -= np.float32(kernel.minor) * (self.minor[place] != minor)
        beat = np.repeat(np.arange(len(asked)), [len(places) for places in asked])
        return Passages(len(asked), beat, place, run.astype(np.float32))

    def _runs(
        self,
        asked: Sequence[NDArray[np.int64]],
        alike: Sequence[NDArray[np.float32]],
        way: int,
        goes_on: NDArray[np.float32],
    ) -> list[NDArray[np.float32]]:
        """For each place how long the run is that it ends, coming from the place that lies ``way`` of it."""
        before = np.zeros(
            len(self.first) + 1, np.float32
        )  # one more, which the last beat's next and the first's last is
        found: list[NDArray[np.float32]] = []
        for at, (places, likeness) in enumerate(zip(asked, alike, strict=True)):
            found.append(likeness * (1 + goes_on[places] * before[places + way]))
            if at:
                before[asked[at - 1]] = 0
            before[places] = found[-1]
        return found

    def votes(
        self,
        passages: Passages,
        chords: NDArray[np.int64],
        n_chords: int,
        kernel: Kernel,
        known: NDArray[np.int64] | None = None,
    ) -> Votes:
        """What the memory would have sung below a melody of these passages, where ``known`` int64[n, 3] (-2 unknown)
        is sung. ``chords`` int64[M]: the class, of ``n_chords``, of each of the memory's beats."""
        run = passages.run if known is None else passages.run + self._agreement(passages, known, kernel)
        beat, voter, weight = self._voters(passages, run, kernel)
        sung = tokens.index_of(self._pitches[voter, 1:].astype(np.int64))
        voices = [_counted(beat, sung[:, voice], weight, passages.n, N_PITCHES) for voice in range(3)]
        match = np.maximum.reduceat(passages.run, passages.starts[:-1]) if len(passages.run) else np.zeros(passages.n)
        said = _counted(beat, chords[voter], weight, passages.n, n_chords)
        return Votes(np.stack(voices, 1), said, match.astype(np.float32))

    def moves(self, passages: Passages, beats: NDArray[np.int64], kernel: Kernel) -> NDArray[np.float32]:
        """float32[B, 3 frames, 3 voices, N_PITCHES], what the memory would sing inside beats int64[B, 4, 4] whose
        first frames are decided, moving as it moved from its own first frames."""
        known = beats[:, 0, 1:]
        run = passages.run + self._agreement(passages, known, kernel)
        beat, voter, weight = self._voters(passages, run, kernel)
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

    def _agreement(self, passages: Passages, known: NDArray[np.int64], kernel: Kernel) -> NDArray[np.float32]:
        """float32[K]: what it is worth, in beats, that the memory sang ``known`` pitches: those of a beat, and half as
        much those of its neighbours."""
        agreeing = np.zeros(len(passages.run), np.int16)  # in halves
        counts = np.diff(passages.starts)
        for voice in range(3):
            wanted = np.pad(known[:, voice].astype(np.int16), 1, constant_values=tokens.UNKNOWN)
            sung = self._sung[voice]
            for way, halves in ((0, 2), (-1, 1), (1, 1)):
                there = np.repeat(wanted[1 + way :][: passages.n], counts)
                agreeing += np.int16(halves) * (there == sung[1 + way :][passages.place])
        return agreeing * np.float32(kernel.known / 2)

    def _voters(
        self, passages: Passages, run: NDArray[np.float32], kernel: Kernel
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Who votes: of each vote, the beat, the memory's beat and its weight; a beat's weights are 1 in all."""
        strength = np.float32(kernel.sharp) * run + self.weight[passages.place]
        least = np.empty(passages.n, np.float32)
        for at, (start, end) in enumerate(pairwise(passages.starts)):
            # those as strong as the last vote, too, so that it is no matter in which order they are remembered
            voters = min(kernel.voters, end - start)
            least[at] = np.partition(strength[start:end], -voters)[-voters]
        kept = np.flatnonzero(strength >= least[passages.beat])
        beat, strength = passages.beat[kept], strength[kept]
        first = np.flatnonzero(np.diff(beat, prepend=-1))
        weight = np.exp((strength - np.maximum.reduceat(strength, first)[beat]).astype(float))
        return beat, passages.place[kept], weight / np.bincount(beat, weight, passages.n)[beat]


def _around(known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """float64[n], 0..1: how much is known of bool[n, 3], at a beat and its neighbours."""
    here = np.pad(known.mean(1), 1)
    return np.asarray((here[:-2] + here[1:-1] + here[2:]) / 3)


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
