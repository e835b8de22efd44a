"""The rules of four voices as detectors: consecutive fifths and octaves, hidden ones, crossing, gaps, leaps, ranges.

They say what is so, for whole pieces at once; what it costs is weights.py's, how often Bach does it metrics.py's.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SOPRANO, ALTO, TENOR, BASS = range(4)
# Every pair of voices, the upper first.
UPPER: Final = np.array([0, 0, 0, 1, 1, 2])
LOWER: Final = np.array([1, 2, 3, 2, 3, 3])
# The lowest and highest MIDI pitch of each voice: 99.9 % of the notes of the 229 training chorales lie within.
LOWEST: Final = np.array([57, 52, 46, 36])
HIGHEST: Final = np.array([81, 74, 69, 64])
# The widest distance to the voice below, in semitones: an octave between the upper voices; the bass may be further off.
WIDEST: Final = np.array([12, 12, 19])
# By interval in semitones modulo 12: 1 is a perfect fifth, 2 a unison or octave, 0 neither.
PERFECT: Final = np.array([2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], dtype=np.int8)


def perfect_intervals(chords: NDArray[np.int64]) -> NDArray[np.int8]:
    """[..., 4] pitches to [..., 6] pairs: 1 where two voices stand a fifth apart, 2 a unison or octave, 0 otherwise."""
    found = np.empty((6, *chords.shape[:-1]), np.int8)  # a plane a pair: numpy is quick along planes
    for pair, (upper, lower) in enumerate(zip(UPPER, LOWER, strict=True)):
        above, below = chords[..., upper], chords[..., lower]
        PERFECT.take((above - below) % 12, out=found[pair, ...], mode="wrap")
        found[pair, ...] *= (above >= 0) & (below >= 0)
    return np.moveaxis(found, 0, -1)


def consecutives(before: NDArray[np.int64], after: NDArray[np.int64], *, contrary: bool = False) -> NDArray[np.bool_]:
    """Where two voices move from one perfect interval to another of its class: [..., 6] for chords [..., 4].

    Both voices go to another pitch, in the same direction; with ``contrary``, in any (from an octave to a unison,
    or from a twelfth to a fifth, which theory calls consecutives by contrary motion). A rest (-1) is no interval.
    """
    was, now = perfect_intervals(before), perfect_intervals(after)
    same: NDArray[np.bool_] = (was > 0) & (was == now)
    motion = [np.sign(after[..., voice] - before[..., voice]) for voice in range(4)]
    for pair, (upper, lower) in enumerate(zip(UPPER, LOWER, strict=True)):
        together = motion[upper] * motion[lower]
        same[..., pair] &= (together != 0) if contrary else (together > 0)
    return same


def consecutive_counts(
    before: NDArray[np.int64], after: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """How many pairs of voices of chords [..., 4] move in consecutives: in one direction, and apart (see above)."""
    return _counted(before, after, perfect_intervals(before), perfect_intervals(after))


def passing_counts(
    before: NDArray[np.int64], between: NDArray[np.int64], after: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """`consecutive_counts` of the way from chords to others and on to a third, together."""
    middle = perfect_intervals(between)
    there = _counted(before, between, perfect_intervals(before), middle)
    on = _counted(between, after, middle, perfect_intervals(after))
    return there[0] + on[0], there[1] + on[1]


def _counted(
    before: NDArray[np.int64], after: NDArray[np.int64], was: NDArray[np.int8], now: NDArray[np.int8]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    motion = [np.sign(after[..., voice] - before[..., voice]).astype(np.int8) for voice in range(4)]
    shape = np.broadcast_shapes(before.shape[:-1], after.shape[:-1])
    similar, apart = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
    for pair, (upper, lower) in enumerate(zip(UPPER, LOWER, strict=True)):
        same = (was[..., pair] == now[..., pair]) & (now[..., pair] > 0)
        together = motion[upper] * motion[lower]
        similar += same & (together > 0)
        apart += same & (together < 0)
    return similar, apart


def hidden(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[...] for chords [..., 4]: soprano and bass reach a fifth or octave in one direction, the soprano by a leap."""
    outer_before, outer_after = before[..., [SOPRANO, BASS]], after[..., [SOPRANO, BASS]]
    heard = (outer_before >= 0).all(-1) & (outer_after >= 0).all(-1)
    step = outer_after - outer_before
    perfect = PERFECT[(outer_after[..., 0] - outer_after[..., 1]) % 12] > 0
    found: NDArray[np.bool_] = heard & perfect & (step[..., 0] * step[..., 1] > 0) & (np.abs(step[..., 0]) > 2)
    return found


def parallels(frames: NDArray[np.int64], step: int, *, contrary: bool = False) -> NDArray[np.bool_]:
    """Consecutive fifths and octaves of a piece int64[T, 4] of sixteenths, seen every ``step`` frames: bool[n - 1, 6].

    A step of 4 sees beats, of 2 eighths. Divide by ``chord_changes`` for a rate.
    """
    seen = frames[::step]
    return consecutives(seen[:-1], seen[1:], contrary=contrary)


def chord_changes(frames: NDArray[np.int64], step: int) -> NDArray[np.bool_]:
    """bool[n - 1]: where any voice changes between two frames that lie ``step`` apart."""
    seen = frames[::step]
    changed: NDArray[np.bool_] = (seen[1:] != seen[:-1]).any(axis=1)
    return changed


def crossings(chords: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[..., 4] to [..., 3]: a voice lies above the one that should be above it."""
    above, below = chords[..., :3], chords[..., 1:]
    return (above >= 0) & (below > above)


def gaps(chords: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[..., 4] to [..., 3]: neighbouring voices stand further apart than ``WIDEST``."""
    above, below = chords[..., :3], chords[..., 1:]
    return (above >= 0) & (below >= 0) & (above - below > WIDEST)


def out_of_range(chords: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[..., 4] to [..., 4]: a pitch beyond the voice's range."""
    return (chords >= 0) & ((chords < LOWEST) | (chords > HIGHEST))


def awkward_leaps(before: NDArray[np.int64], after: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[..., 4] to [..., 4]: a tritone, a seventh, or more than an octave in one voice."""
    leap = np.where((before >= 0) & (after >= 0), np.abs(after - before), 0)
    found: NDArray[np.bool_] = (leap == 6) | (leap == 10) | (leap == 11) | (leap > 12)
    return found
