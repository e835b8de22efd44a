"""Which note a melody that is being played will sing on its next beat: as chorales go, and as this tune went before.

A tune repeats itself, so its own past is asked first, from the longest run that agrees (prediction by partial matching:
Cleary and Witten, Data Compression Using Adaptive Coding and Partial String Matching, 1984); the chorales' counts, made
by live_training.py, stand behind it.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.live_key import LiveModel, shipped
from pipelines.composing.piece import Key

REST = -1
REACH = 12  # semitones up or down to the next beat's note
N_OUTCOMES = 2 * REACH + 2  # from -12 to 12, and a rest
LONGEST = 6  # beats of a run that is looked for
MOST_RUNS = 20_000  # that are remembered: hours of playing
DOUBT = 4.0  # times a run must have been seen to count half; of 0.3 to 12, the fewest nats on valid
_SMALL = 3  # intervals before are told apart up to this many semitones
_PSEUDO = 4.0


def outcome(before: int, after: int) -> int:
    """Index of what a beat brings after one that began with ``before``."""
    if after == REST:
        return N_OUTCOMES - 1
    step = after - before
    while abs(step) > REACH:  # beyond an octave, the octave nearer
        step -= 12 * (1 if step > 0 else -1)
    return step + REACH


def small(interval: int) -> int:
    return max(-_SMALL, min(_SMALL, interval)) + _SMALL


class Foresight:
    """``look`` after each ``heard``. Memory is bounded however long is played."""

    def __init__(self, beats_in_bar: int, model: LiveModel | None = None) -> None:
        self._model = shipped() if model is None else model
        self._beats_in_bar = max(beats_in_bar, 1)
        self._past: list[int] = []  # the last beats' pitches, REST where there was none
        self._runs: OrderedDict[tuple[int, ...], NDArray[np.float32]] = OrderedDict()
        self._waiting: tuple[int | None, list[tuple[int, ...]]] = (None, [])
        self._beat = 0

    @property
    def pitch(self) -> int | None:
        """That of the newest beat that was not a rest."""
        return next((pitch for pitch in reversed(self._past) if pitch != REST), None)

    def heard(self, beat: int, pitch: int) -> None:
        """Beat ``beat`` (numbers rise) begins with ``pitch``, or REST; what is said of the newest beat again holds."""
        if beat == self._beat and self._past:
            self._past[-1] = pitch
            return
        self._learn()
        self._waiting = (self.pitch, self._contexts(beat))
        self._past = [*self._past, pitch][-LONGEST - 2 :]
        self._beat = beat

    def _learn(self) -> None:
        """What the newest beat brought, now that it is certain."""
        before, contexts = self._waiting
        if before is None:
            return
        came = outcome(before, self._past[-1])
        for run in contexts:
            counts = self._runs.pop(run, None)
            if counts is None:
                counts = np.zeros(N_OUTCOMES, np.float32)
            counts *= np.float32(0.9)  # what was played lately counts more
            counts[came] += 1
            self._runs[run] = counts
        while len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)

    def look(self, key: Key) -> NDArray[np.float64]:
        """float64[N_OUTCOMES]: probabilities of what the beat after the newest brings; even odds before any note."""
        before = self.pitch
        if before is None:
            return np.full(N_OUTCOMES, 1 / N_OUTCOMES)
        chances = self._as_in_chorales(before, key)
        for run in reversed(self._contexts(self._beat + 1)):  # shorter runs first
            counts = self._runs.get(run)
            if counts is not None:
                chances = (counts + DOUBT * chances) / (counts.sum() + DOUBT)
        return chances

    def _contexts(self, beat: int) -> list[tuple[int, ...]]:
        """Runs that end before ``beat``, the longest first; where in the bar they end belongs to them."""
        place = beat % self._beats_in_bar
        return [(place, *self._past[-n:]) for n in range(min(LONGEST, len(self._past)), 1, -1)]

    def _as_in_chorales(self, before: int, key: Key) -> NDArray[np.float64]:
        degree = (before - key.tonic) % 12
        sounded = [pitch for pitch in self._past if pitch != REST]
        first = self._model.first[int(key.minor), degree] + 0.02
        chances = first / first.sum()
        if len(sounded) > 1:
            counts = self._model.second[int(key.minor), degree, small(sounded[-1] - sounded[-2])]
            chances = (counts + _PSEUDO * chances) / (counts.sum() + _PSEUDO)
        return np.asarray(chances)
