"""Do the cuts fall on the beat, and if not, are they late by a constant or drifting away?

Beats come from the music's analysis and are placed where the song is *heard* in the rendered file; cuts are the
detected ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.editing.gates import Matching
from pipelines.editing.verdicts import Gate, Score, not_applicable

NOTICED = 0.045  # s: sound and picture further apart are noticed (ITU-R BT.1359-1, detectability threshold)
SLOWEST = 0.8  # s: slower beats are halved, since one moves to the pulse between them
N_SHIFTS = 200
TOO_DENSE = 0.9  # chance level from which a grid says nothing
LOCKED = 0.7  # share of cuts on a shifted grid from which the edit is locked to that wrong place
WORSE = 0.3  # ... if so much less lies on the true one
FEWEST = 8  # cuts, all of which must agree on a delay; by luck fewer than one in a thousand edits' do
FEW = 12  # cuts; of fewer, some share a wrong phase by luck (3 in 60 random edits of six)


@dataclass(frozen=True, slots=True)
class Beats:
    """In seconds of the rendered file, where they are heard."""

    times: NDArray[np.float64]
    period: float  # s, median distance

    @property
    def usable(self) -> bool:
        return self.times.size >= 4


def beats_of(times: NDArray[np.float64], start: float, late: float, duration: float) -> Beats:
    """``start``: the song's second at record frame 0; ``late``: how much later than that it is heard."""
    period = float(np.median(np.diff(times))) if times.size > 1 else 0.0
    while period > SLOWEST:
        times = np.sort(np.concatenate([times, (times[1:] + times[:-1]) / 2]))
        period /= 2
    moved = times - start + late
    return Beats(moved[(moved > -2 * period) & (moved < duration + 2 * period)], period)


def tolerance(fps: float) -> float:
    return max(NOTICED, 1 / fps)


def distances(times: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.float64]:
    """To the nearest of the sorted ``marks``, s."""
    after = np.clip(np.searchsorted(marks, times), 1, marks.size - 1) if marks.size > 1 else np.zeros(times.size, int)
    nearest = np.minimum(np.abs(times - marks[after]), np.abs(times - marks[np.maximum(after - 1, 0)]))
    return np.asarray(nearest)


def on_grid(cuts: NDArray[np.float64], beats: Beats, within: float, halves: bool) -> float:
    """Share of cuts on a beat; a cut on a half beat counts half, where the music's grid offers half beats."""
    hit = (distances(cuts, beats.times) <= within).astype(float)
    if halves:
        middles = (beats.times[1:] + beats.times[:-1]) / 2
        hit = np.maximum(hit, 0.5 * (distances(cuts, middles) <= within))
    return float(hit.mean())


def shifted(cuts: NDArray[np.float64], duration: float, seed: int) -> NDArray[np.float64]:
    """[N_SHIFTS, n]: every cut moved by a random time of its own, around the end.

    Moving all by one time would keep their common phase: then a fifth of the draws is as good as the best edit.
    """
    shifts = np.random.default_rng(seed).uniform(0, duration, (N_SHIFTS, cuts.size))
    return np.sort((cuts[None] + shifts) % duration, axis=1)


def sync(cuts: NDArray[np.float64], beats: Beats, fps: float, duration: float, halves: bool, seed: int) -> Score:
    """(p - p0) / (1 - p0): p the share of detected cuts on the beat, p0 its mean over 200 random shifts of the cuts."""
    if not beats.usable:
        return not_applicable("no beat was found in the music")
    if cuts.size == 0:
        return not_applicable("no cut was seen")
    within = tolerance(fps)
    p = on_grid(cuts, beats, within, halves)
    lucky = np.array([on_grid(at, beats, within, halves) for at in shifted(cuts, duration, seed)])
    p0 = float(lucky.mean())
    if p0 >= TOO_DENSE:
        return not_applicable(f"the beats are so dense that {p0:.0%} of any cuts lie on them")
    return Score(
        value=float(np.clip((p - p0) / (1 - p0), 0, 1)),
        raw=p,
        n=int(cuts.size),
        chance=p0,
        p_value=float((1 + np.sum(lucky >= p)) / (1 + N_SHIFTS)),
        applies=True,
        note=f"{p:.0%} of the cuts that are seen lie within {within * 1000:.0f} ms of a beat that is heard"
        + (" (half beats count half)" if halves else ""),
    )


def on_time(cuts: NDArray[np.float64], beats: Beats, fps: float) -> Gate:
    """Fails when the cuts are locked to the beat at a wrong distance: all late, or all early."""
    if not beats.usable or cuts.size < FEWEST:
        return Gate(None, "too few cuts or beats to tell a delay")
    within = tolerance(fps)
    lags = np.arange(-beats.period / 2, beats.period / 2, 0.005)
    shares = np.array([on_grid(cuts - lag, beats, within, False) for lag in lags])
    true = on_grid(cuts, beats, within, False)
    best = shares.max()
    around = np.exp(2j * np.pi * lags[shares == best] / beats.period).mean()
    lag = float(np.angle(around)) / (2 * np.pi) * beats.period
    if best >= (LOCKED if cuts.size >= FEW else 1.0) and best - true >= WORSE:
        return Gate(
            False, f"{best:.0%} of the cuts lie about {100 * abs(lag):.0f}0 ms off the beat, always the same way"
        )
    return Gate(True, "the cuts do not lag behind the music")


def drift(matching: Matching, n_planned: int, detected: NDArray[np.int64], beats: Beats, fps: float) -> Gate:
    """Fails when errors add up from shot to shot, against the plan or against the beats."""
    if detected.size < FEW:
        return Gate(None, "too few cuts to tell a drift")
    if matching.missed.size and detected.size >= 0.7 * n_planned:
        planned = np.sort(np.concatenate([matching.planned, matching.missed]))[: detected.size]
        late = np.sort(detected)[: planned.size] - planned
        order = np.arange(late.size)
        slope = float(np.polyfit(order, late, 1)[0])
        straight = abs(float(np.corrcoef(order, late)[0, 1])) if np.ptp(late) else 0.0
        if abs(slope) * late.size > 2 and straight > 0.95:
            return Gate(False, f"every shot is {abs(slope):.2f} frames too {_way(slope)}, so cuts drift from the plan")
    if beats.usable:
        slope, locked, plain = _drift_of_phase(detected / fps, beats)
        frames = slope * beats.period * fps
        if locked > 0.9 and locked - plain > WORSE and abs(frames) * detected.size > 2:
            return Gate(False, f"every shot is {abs(frames):.2f} frames too {_way(slope)}, so cuts drift from the beat")
    return Gate(True, "errors do not add up from shot to shot")


def _drift_of_phase(cuts: NDArray[np.float64], beats: Beats) -> tuple[float, float, float]:
    """Beats of drift per shot, and how well the phases agree with and without it (mean resultant lengths)."""
    number = np.interp(cuts, beats.times, np.arange(beats.times.size), left=math.nan, right=math.nan)
    order = np.flatnonzero(np.isfinite(number))
    if order.size < FEW:
        return 0.0, 0.0, 0.0
    phase = np.exp(2j * np.pi * number[order])
    slopes = np.linspace(-0.25, 0.25, 2001)
    agreement = np.abs(np.exp(-2j * np.pi * slopes[:, None] * order[None]) @ phase) / order.size
    best = int(np.argmax(agreement))
    return float(slopes[best]), float(agreement[best]), float(np.abs(phase.mean()))


def _way(slope: float) -> str:
    return "long" if slope > 0 else "short"
