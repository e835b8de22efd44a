"""Where to cut: the best cut times of the music grid for a cutting style, by exact dynamic programming.

Which picture is shown between two cuts is left to solver.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.grid import OFFBEAT
from pipelines.editing.patterns import CuttingStyle
from pipelines.editing.shared import SharedFeatures

WHIM = 0.05  # how much the seed moves a cut's value; a plain beat against a downbeat is 0.1 to 0.3


@dataclass(frozen=True, slots=True)
class Lengths:
    """Bounds and scale of cut lengths in seconds; relaxed step by step when the material asks for it."""

    shortest: float
    longest: float
    target_at_most: float
    scale: float = 1.0


def frames_of(shared: SharedFeatures, fps: Fraction) -> NDArray[np.int64]:
    """[n_slots + 1] record frame of every grid time, each rounded from the start, so that errors never add up."""
    return np.rint(shared.grid * float(fps)).astype(np.int64)


def targets(shared: SharedFeatures, style: CuttingStyle, lengths: Lengths) -> NDArray[np.float64]:
    """[n_slots] wanted cut length in seconds: from calm to intense, on a log scale, as the energy rises."""
    octaves = np.log2(style.calm) * (1 - shared.slot_energy) + np.log2(style.intense) * shared.slot_energy
    wanted = 2.0 ** octaves.astype(np.float64) * shared.pulse * lengths.scale
    return np.asarray(np.clip(wanted, lengths.shortest, max(lengths.shortest, lengths.target_at_most)))


def cut_values(shared: SharedFeatures, style: CuttingStyle, seed: int) -> NDArray[np.float64]:
    """[n_slots + 1] worth of a cut at each grid time over one on a plain beat; 0 at both ends."""
    values = style.downbeat * (shared.grid_strength.astype(np.float64) - 0.5)
    values -= style.offbeat * (shared.grid_strength <= OFFBEAT)
    section, phrase = shared.slot_section, shared.slot_phrase
    values[1:-1] += style.section * (section[1:] != section[:-1])
    values[1:-1] += style.phrase * ((phrase[1:] != phrase[:-1]) & (phrase[1:] >= 0))
    values += WHIM * np.random.default_rng([seed, 1]).uniform(-1, 1, values.size)
    values[[0, -1]] = 0.0
    return values


def rhythm_score(
    cuts: NDArray[np.intp],
    shared: SharedFeatures,
    style: CuttingStyle,
    lengths: Lengths,
    seconds: NDArray[np.float64],
    seed: int,
) -> float:
    """What ``place_cuts`` maximises, for the grid indices ``cuts`` (first 0, last n_slots)."""
    worth, log_wanted = _wishes(shared, style, lengths, seed)
    a, b = cuts[:-1], cuts[1:]
    return float(np.sum(_gain(a, b, seconds, log_wanted, style.steadiness) + worth[b]) / seconds[-1])


def _wishes(
    shared: SharedFeatures, style: CuttingStyle, lengths: Lengths, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[n_slots + 1] worth of a cut, in seconds, and the wanted lengths' logarithms summed from the start."""
    wanted = targets(shared, style, lengths)
    worth = cut_values(shared, style, seed) * np.append(wanted, 0.0)
    return worth, np.concatenate([[0.0], np.cumsum(np.log2(wanted))])


def _gain(
    a: NDArray[np.intp],
    b: NDArray[np.intp] | int,
    seconds: NDArray[np.float64],
    log_wanted: NDArray[np.float64],
    steadiness: float,
) -> NDArray[np.float64]:
    length = seconds[b] - seconds[a]
    off = np.log2(length) - (log_wanted[b] - log_wanted[a]) / (b - a)
    return np.asarray(-steadiness * length * off**2)


def place_cuts(
    shared: SharedFeatures, style: CuttingStyle, lengths: Lengths, seconds: NDArray[np.float64], seed: int
) -> NDArray[np.intp] | None:
    """Grid indices of the segments' edges, first 0 and last n_slots, with the highest rhythm_score.

    ``seconds`` [n_slots + 1] are the grid times after rounding to frames. None when no sequence of allowed lengths
    fills the excerpt.
    """
    n = shared.slot_energy.size
    worth, log_wanted = _wishes(shared, style, lengths, seed)
    best = np.full(n + 1, -np.inf)
    best[0] = 0.0
    back = np.zeros(n + 1, np.intp)
    earliest = np.searchsorted(seconds, seconds - lengths.longest - 1e-6)
    latest = np.searchsorted(seconds, seconds - lengths.shortest + 1e-6, side="right")
    for b in range(1, n + 1):
        a = np.arange(earliest[b], latest[b])
        if a.size == 0:
            continue
        total = best[a] + _gain(a, b, seconds, log_wanted, style.steadiness) + worth[b]
        k = int(np.argmax(total))
        best[b], back[b] = total[k], a[k]
    if not np.isfinite(best[n]):
        return None
    cuts = [n]
    while cuts[-1] > 0:
        cuts.append(int(back[cuts[-1]]))
    return np.array(cuts[::-1], np.intp)


def segment_gains(
    shared: SharedFeatures, style: CuttingStyle, lengths: Lengths, seconds: NDArray[np.float64], seed: int
) -> list[list[tuple[int, float]]]:
    """For each grid index every end that a segment from there may have, with its share of the rhythm_score."""
    worth, log_wanted = _wishes(shared, style, lengths, seed)
    out: list[list[tuple[int, float]]] = []
    for a in range(seconds.size - 1):
        first = int(np.searchsorted(seconds, seconds[a] + lengths.shortest - 1e-6))
        last = int(np.searchsorted(seconds, seconds[a] + lengths.longest + 1e-6))
        ends = [b for b in range(first, last) if b > a]
        gains = [
            float(_gain(np.array([a]), b, seconds, log_wanted, style.steadiness)[0] + worth[b]) / float(seconds[-1])
            for b in ends
        ]
        out.append(list(zip(ends, gains, strict=True)))
    return out
