"""The key of a melody that is still being played: a guess after each beat, which changes its mind only for a reason.

The weights are learned by live_training.py from beginnings of the training chorales; of whole melodies the key is
key.py's.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.piece import Key

SHIPPED = Path(__file__).with_name("live.json")
N_FEATURES = 7
MOST_NOTES = 96  # that are looked back at: about 24 bars
SURE = 0.55  # probability from which another key takes the place of the one that is
MAJOR = 0.7  # nats for major: half of the chorales are in minor, of the tunes that people play a third, about
CLEARLY = 1.5  # and by how many times it must be the likelier one
_TURNED = (np.arange(12)[:, None] + np.arange(12)) % 12  # [tonic, degree] -> pitch class


@dataclass(frozen=True, slots=True)
class LiveModel:
    """What live.json holds. ``key`` float64[2, N_FEATURES, 12] (major, minor; by degree) and ``minor``: its bias;
    ``first`` float64[2, 12, 26] and ``second`` float64[2, 12, 7, 26]: counts of foresight.py."""

    key: NDArray[np.float64]
    minor: float
    first: NDArray[np.float64]
    second: NDArray[np.float64]


@cache
def shipped() -> LiveModel:
    held = json.loads(SHIPPED.read_text(encoding="utf-8"))
    first, second = (np.array(held[name], np.float64) for name in ("first", "second"))
    return LiveModel(np.array(held["key"], np.float64), float(held["minor"]), first, second)


def features(pitches: NDArray[np.int64], beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[N_FEATURES, 12] by pitch class of n >= 1 notes that last so many beats: how much each sounds (its share,
    and the share by how much was heard), the first and the last note, the long notes, whether it sounds at all."""
    classes = pitches % 12
    weights = np.sqrt(np.clip(beats, 0.05, 4.0))
    heard = float(weights.sum())
    share = np.bincount(classes, weights, minlength=12) / heard
    evidence = np.log1p(heard)
    first, last = np.eye(12)[classes[0]], np.eye(12)[classes[-1]]
    long = beats >= 1.9 * np.median(beats)
    held = np.bincount(classes[long], minlength=12) * (np.log1p(long.sum()) / max(long.sum(), 1))
    return np.stack([share, share * evidence, first, first * evidence / 3, last, held, (share > 0).astype(float)])


def turned(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """`features` [..., N_FEATURES, 12] seen from each tonic: [..., N_FEATURES, 12 tonics, 12 degrees]."""
    return np.asarray(found[..., _TURNED])


def probabilities(pitches: NDArray[np.int64], beats: NDArray[np.float64], model: LiveModel) -> NDArray[np.float64]:
    """float64[24]: C major to B major, C minor to B minor."""
    seen = turned(features(pitches, beats))
    scores = np.einsum("ftd,mfd->mt", seen, model.key)
    scores[1] += model.minor - MAJOR
    chances = np.exp(scores - scores.max()).ravel()
    return np.asarray(chances / chances.sum())


class KeyTracker:
    """Notes in, a key out; ``given`` never changes."""

    def __init__(self, given: Key | None = None) -> None:
        self.given = given
        self.key = given
        self._pitches: deque[int] = deque(maxlen=MOST_NOTES)
        self._beats: deque[float] = deque(maxlen=MOST_NOTES)

    def heard(self, pitch: int, beats: float) -> None:
        """A note that has lasted so many beats."""
        self._pitches.append(pitch)
        self._beats.append(beats)

    def look(self, sounding: tuple[int, float] | None = None) -> Key | None:
        """The key by now, with the note that still sounds (pitch, beats so far); None before the first note."""
        if self.given is not None:
            return self.given
        pitches, beats = list(self._pitches), list(self._beats)
        if sounding is not None:
            pitches.append(sounding[0])
            beats.append(sounding[1])
        if not pitches:
            return None
        chances = probabilities(np.array(pitches), np.array(beats), shipped())
        best = int(chances.argmax())
        if self.key is None:
            self.key = Key(best % 12, best >= 12)
        now = chances[self.key.tonic + 12 * self.key.minor]
        # With little heard no key is sure, and holding on to the first guess would be no better than another.
        if chances[best] > CLEARLY * now and (chances[best] >= SURE or len(pitches) < 16):
            self.key = Key(best % 12, best >= 12)
        return self.key
