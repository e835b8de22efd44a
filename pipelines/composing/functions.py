"""The functions that chords have in a key (the states of the harmony model) and how often one follows another.

Counts come of the progression vocabulary (progressions.yaml) and of the chorales (harmony_counts.json, made by
harmony_counts.py); a composer's own are added by Transitions.learned. The model itself is progressions.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import chords
from pipelines.composing.piece import Chord, Key

MAJOR = ("I", "ii", "iii", "IV", "V", "V7", "vi", "viio", "bVII", "iv", "I7", "II7", "III7", "VI7")
MINOR = ("i", "iio", "III", "iv", "v", "V", "V7", "VI", "VII", "IV", "bII", "viio", "I7", "VII7")
QUALITIES = ("", "m", "dim", "7")  # of the states; richer chords are a matter of colour, not of function
N_STATES = len(MAJOR)
_VOCABULARY = Path(__file__).with_name("progressions.yaml")
# Share of the chorales' counts in the transitions; the rest is the vocabulary's. On the validation split the roots
# of the chorales are told better the more of them is taken in, but then four bars of pop sound like a hymn.
CHORALE_SHARE = 0.5
_PSEUDO = 0.02  # of every transition, so that none is impossible


@dataclass(frozen=True, slots=True)
class State:
    """``offset``: semitones of the root above the tonic; ``quality``: of QUALITIES."""

    numeral: str
    offset: int
    quality: str

    @property
    def intervals(self) -> tuple[int, ...]:
        """Pitch classes above the tonic."""
        return tuple((self.offset + interval) % 12 for interval in chords.QUALITIES[self.quality])

    def chord(self, key: Key) -> Chord:
        return chords.make_chord(key.tonic + self.offset, self.quality, key=key)


@cache
def states(minor: bool) -> tuple[State, ...]:
    """N_STATES of them, in the order of all arrays here."""
    key = Key(0, minor)
    found = [(numeral, chords.from_roman(numeral, key)) for numeral in (MINOR if minor else MAJOR)]
    return tuple(State(numeral, chord.root, chords.quality_of(chord)) for numeral, chord in found)


def state_of(chord: Chord, key: Key) -> int | None:
    """The state whose function ``chord`` has in ``key``; None when none stands on its root with its third."""
    held = {(pitch_class - key.tonic) % 12 for pitch_class in chord.pitch_classes}
    offset = (chord.root - key.tonic) % 12
    best, most = None, 1.85  # root and third at least, or root and fifth of a chord without a third
    for place, state in enumerate(states(key.minor)):
        if state.offset != offset:
            continue
        third = state.intervals[1]
        wrong = {(offset + 3) % 12, (offset + 4) % 12} - {third}
        if wrong & held and third not in held:
            continue
        fits = len(held & set(state.intervals)) - 0.1 * len(set(state.intervals) - held)
        if fits > most:
            best, most = place, fits
    return best


@dataclass(frozen=True, slots=True)
class Transitions:
    """``counts`` float64[2, N_STATES, N_STATES]: how often a chord is followed by another, major and minor; the
    diagonal is not used (how long a chord stays is the harmonic rhythm's)."""

    counts: NDArray[np.float64]

    def log_probabilities(self, minor: bool) -> NDArray[np.float64]:
        """float64[N_STATES, N_STATES] of the next chord, given that there is one; the diagonal is minus infinity."""
        counts = self.counts[int(minor)] + _PSEUDO
        np.fill_diagonal(counts, 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(counts / counts.sum(axis=1, keepdims=True)))

    def learned(self, progressions: Iterable[tuple[Sequence[Chord], Key]], weight: float = 1.0) -> Transitions:
        """With a composer's own chords counted in (the mean of a Dirichlet posterior whose prior is self).

        Each transition of theirs counts ``weight``; chords that are no state are passed over.
        """
        counts = self.counts.copy()
        for progression, key in progressions:
            named = [state for chord in progression if (state := state_of(chord, key)) is not None]
            for before, after in pairwise(named):
                if before != after:
                    counts[int(key.minor), before, after] += weight
        return Transitions(counts)


@cache
def shipped_transitions() -> Transitions:
    """What every composer begins with. A row's counts come to 10, so that about as many of a composer's own weigh
    as much as what was there."""
    from pipelines.composing.harmony_counts import shipped_counts

    return blended(shipped_counts().transitions, CHORALE_SHARE)


def blended(chorale_counts: NDArray[np.float64], share: float) -> Transitions:
    """Rows of the vocabulary's and the chorales' probabilities in the proportion of ``share``, 10 counts each."""
    rows = []
    for counts in (_vocabulary_counts(), chorale_counts):
        off_diagonal = (counts + 0.05) * (1 - np.eye(N_STATES))
        rows.append(off_diagonal / off_diagonal.sum(axis=-1, keepdims=True))
    return Transitions(10 * ((1 - share) * rows[0] + share * rows[1]))


@cache
def _vocabulary_counts() -> NDArray[np.float64]:
    import yaml

    loops: dict[str, list[dict[str, Any]]] = yaml.safe_load(_VOCABULARY.read_text(encoding="utf-8"))
    counts = np.zeros((2, N_STATES, N_STATES))
    for minor, mode in enumerate(("major", "minor")):
        numerals = MINOR if minor else MAJOR
        for loop in loops[mode]:
            places = [numerals.index(numeral) for numeral in loop["chords"].split()]
            for before, after in zip(places, [*places[1:], places[0]], strict=True):
                if before != after:
                    counts[minor, before, after] += loop["weight"]
    return counts
