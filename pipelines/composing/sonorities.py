"""What a chord is worth by its pitch classes and its place in the melody: false relations, clusters, first and last.

Tables over all 4,096 pitch-class sets, tonic-relative, so that a whole piece's candidates are looked up at once. What
the costs are is weights.py's; parallels, crossing and ranges are voice_leading.py's.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.tokens import BEAT, REST
from pipelines.composing.weights import Weights

ANYWHERE, PICKUP, OPENING, APPROACH, CLOSING, LAST = range(6)  # a beat's place
NO_BASS: Final = 12  # the bass that rests, among pitch classes
_LONG_CLOSE = 8  # beats: a last pitch that is longer is a pedal, and what leads to it no cadence
_CLOSING_BEATS = 4
_STRONG = 3  # a bar's first beat, among grid.py's levels
# The letters of the twelve notes of C major and C minor: five flats or sharps that Bach needs there, D flat in minor.
_LETTERS: Final = {False: "CCDEEFFGAABB", True: "CDDEEFFGAABB"}
_ALL: Final = np.arange(1 << 12)
_HEARD: Final = (_ALL[:, None] >> np.arange(12)) & 1 == 1  # bool[4096, 12]


def places(
    soprano: NDArray[np.int64], level: NDArray[np.int8] | None = None, first: bool = True, last: bool = True
) -> NDArray[np.int64]:
    """int64[B]: what each beat of a melody int64[4 B] (-1 rests) is for its harmony.

    The first bar's first beat opens and what is before it is its pick-up, or, without ``level`` int8[B], the first beat
    opens. The beats of the last pitch close it (four of them at most), the one before approaches the close.
    """
    begun = soprano[::BEAT]
    found = np.full(len(begun), ANYWHERE)
    sounding = np.flatnonzero(begun >= 0)
    if not sounding.size:
        return found
    if first:
        start = int(sounding[0])
        strong = start
        if level is not None:
            bars = np.flatnonzero(np.asarray(level)[start : start + 2 * BEAT] == _STRONG)
            strong = start + int(bars[0]) if bars.size else start
        found[start] = PICKUP
        found[strong] = OPENING
    if last:
        end = int(sounding[-1])
        others = np.flatnonzero((soprano[: BEAT * (end + 1)] != begun[end]) & (soprano[: BEAT * (end + 1)] != REST))
        close = int(others[-1]) // BEAT + 1 if others.size else 0
        close = min(close, end)  # a melody whose last beat moves closes in it
        if end - close < _LONG_CLOSE:
            if close:
                found[close - 1] = APPROACH
            found[max(close, end + 1 - _CLOSING_BEATS) : end] = CLOSING
        found[end] = LAST
    return found


@functools.lru_cache(maxsize=2)
def false_relations(minor: bool) -> NDArray[np.bool_]:
    """bool[4096]: two notes of one letter sound together (B and B flat), or a root with
    its major and its minor third. Of the beats of the training chorales 2 in 1,000 are so."""
    found = np.zeros(len(_ALL), bool)
    for low in range(12):
        high = (low + 1) % 12
        if _LETTERS[minor][low] == _LETTERS[minor][high]:
            found |= _HEARD[:, low] & _HEARD[:, high]
        found |= _HEARD[:, low] & _HEARD[:, (low + 3) % 12] & _HEARD[:, (low + 4) % 12]
    return found


@functools.lru_cache(maxsize=2)
def against(minor: bool) -> NDArray[np.int64]:
    """int64[12]: as bits, the pitch classes that have the letter of each and are not it."""
    letters = _LETTERS[minor]
    return np.array([sum(1 << b for b in range(12) if b != a and letters[a] == letters[b]) for a in range(12)])


@functools.lru_cache(maxsize=1)
def seconds() -> NDArray[np.int64]:
    """int64[4096]: how many pairs of its notes stand a second apart, modulo the octave: none in a triad, one in a
    seventh chord. In 96 of 100 beats of the training chorales there is one at most."""
    semitones, tones = (_HEARD & np.roll(_HEARD, -step, axis=1) for step in (1, 2))
    found: NDArray[np.int64] = semitones.sum(axis=1) + tones.sum(axis=1)
    return found


@functools.lru_cache(maxsize=1)
def hollow() -> NDArray[np.bool_]:
    """bool[4096]: one note, or two that stand a fifth apart: a chord without its third. In 7 of 1,000 beats."""
    found = np.zeros(len(_ALL), bool)
    for root in range(12):
        found[[1 << root, 1 << root | 1 << (root + 7) % 12]] = True
    return found


@functools.lru_cache(maxsize=1)
def thirds() -> NDArray[np.int64]:
    """int64[4096]: 2 r + 1 for a triad or seventh chord upon r with a major third, 2 r with a minor one; -1 for others.

    Two such numbers 2 r and 2 r + 1 are one root whose third has changed.
    """
    found = np.full(len(_ALL), -1)
    for root in range(12):
        for major, shapes in ((0, ((0, 3, 7), (0, 3, 7, 10), (0, 3))), (1, ((0, 4, 7), (0, 4, 7, 10), (0, 4)))):
            for shape in shapes:
                found[sum(1 << (root + interval) % 12 for interval in shape)] = 2 * root + major
    return found


@functools.lru_cache(maxsize=32)
def costs(weights: Weights, minor: bool) -> NDArray[np.float32]:
    """float32[6 places, 4096 x 13]: of a chord by its place and 13 times its set plus its bass's class (12: rests)."""
    bass = np.arange(13)
    found = np.zeros((6, len(_ALL), len(bass)), np.float32)
    found += (weights.false_relation * false_relations(minor))[:, None]
    found += (weights.cluster * np.maximum(seconds() - 1, 0))[:, None]
    found += (weights.hollow * hollow())[:, None]
    for root in range(12):  # a second in the third's place falls to no third: it is the bass that would have to move
        found[:, 1 << root | 1 << (root + 2) % 12 | 1 << (root + 7) % 12, root] += weights.hollow
    tonic = _within(0, 3 if minor else 4, 7)
    dominant = _within(7, 11, 2)
    seventh = _within(7, 11, 2, 5) & _HEARD[:, 11]
    subdominant = _within(5, 8 if minor else 9, 0, 2) & _HEARD[:, 5]
    home = tonic[:, None] & (bass == 0)
    picardy = (_within(0, 4, 7) & _HEARD[:, 4])[:, None] & (bass == 0) & minor

    half = dominant[:, None] & (bass == 7)
    near = (tonic | dominant)[:, None] | half
    far = np.where(_within(*((0, 2, 3, 5, 7, 8, 10, 11) if minor else (0, 2, 4, 5, 7, 9, 11))), 0.8, 1.0)[:, None]
    found[OPENING] += weights.opening * np.where(home, 0.0, np.where(near, 0.5, far))
    found[PICKUP] += weights.opening * np.where(home | half, 0.0, np.where(near, 0.5, far))

    leading = seventh[:, None] & np.isin(bass, (7, 11, 2))
    modal = (_within(7, 10, 2, 5) & _HEARD[:, 10])[:, None] & np.isin(bass, (7, 10)) & minor
    plagal = (subdominant[:, None] & np.isin(bass, (5, 2))) | modal
    fifth_degree = seventh[:, None] & (bass == 7)
    approach = np.where(fifth_degree, 0.0, np.where(leading, 0.5, np.where(plagal, 0.6, 1.0)))
    found[APPROACH] += weights.approach * approach

    last = np.where(home, 0.0, np.where(half, 0.3, 1.0))
    for place, weight in ((CLOSING, weights.closing), (LAST, weights.last)):
        found[place] += np.where(picardy, weights.picardy, weight * last)
    return found.reshape(6, -1)


def _within(*pitch_classes: int) -> NDArray[np.bool_]:
    """bool[4096]: the set holds nothing else."""
    allowed = sum(1 << pitch_class for pitch_class in pitch_classes)
    inside: NDArray[np.bool_] = (_ALL & ~allowed) == 0
    return inside
