"""Lines through what many windows say about the lag: the best one among all, and the slope with its error.

What a window says comes from gcc.py; what the line means for a pair of stems is left to alignment.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_PPM = 2.0  # below it, clocks count as equal: 0.5 ms in 4 minutes
_LEAST_SPAN = 5.0  # s, over which a slope may be told at all
_LEAST_MOVE = 0.00075  # s from the first window to the last; a change of the music moves the lag by as much


@dataclass(frozen=True, slots=True)
class Line:
    """lag(t) = lag + slope * t; t in s of the vocal, lag in s, slope in s per s (1e-6 is 1 ppm)."""

    lag: float
    slope: float

    def at(self, t: float) -> float:
        return self.lag + self.slope * t


@dataclass(frozen=True, slots=True)
class Sum:
    """What all windows say together, along the best slope."""

    total: NDArray[np.float64]  # [n_lags] mean strength; index as in a window, at the time ``centre``
    shifts: NDArray[np.int64]  # [n_windows] lags' steps by which each window was moved
    slope: float
    centre: float


def add_along_lines(strengths: NDArray[np.float32], times: NDArray[np.float64], step: float, most_ppm: float) -> Sum:
    """The slope within +-most_ppm along which the windows' strengths [n_windows, n_lags] add up to the highest peak.

    Slopes lie so close that the outermost windows move by one step at most (a search over a Radon transform).
    """
    centre = float((times.min() + times.max()) / 2)
    offset = times - centre
    span = float(np.abs(offset).max())
    count = min(int(most_ppm * 1e-6 * span / step), 400)
    best: Sum | None = None
    # From 0 outwards: of equal peaks the least slope stays.
    for i in sorted(range(-count, count + 1), key=abs):
        slope = i * step / span if span else 0.0
        shifts = np.rint(slope * offset / step).astype(np.int64)
        total = along(strengths, shifts)
        if best is None or total.max() > best.total.max():
            best = Sum(total, shifts, slope, centre)
    assert best is not None
    return best


def along(strengths: NDArray[np.float32], shifts: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n_lags] mean over the windows, each moved by its shift; 0 beyond the ends."""
    n = strengths.shape[1]
    total = np.zeros(n)
    for row, k in zip(strengths, shifts, strict=True):
        if k >= 0:
            total[: n - k] += row[k:]
        else:
            total[-k:] += row[:k]
    return total / len(strengths)


@dataclass(frozen=True, slots=True)
class Fit:
    line: Line
    inliers: NDArray[np.bool_]  # [n]
    spread: float  # s, robust standard deviation of the inliers about the line
    ppm_error: float  # standard error of the slope; infinite where it cannot be told


def fit(times: NDArray[np.float64], lags: NDArray[np.float64], weights: NDArray[np.float64], tolerance: float) -> Fit:
    """A line by Theil and Sen's median of slopes, then least squares over the points within ``tolerance`` s of it.

    The slope is taken for 0 unless it is four standard errors and 2 ppm away from it, and 0.75 ms over points that
    span 5 s: the lag at the start of the file would otherwise carry the slope's noise. ``weights`` are positive.
    """
    level = Line(_median(lags, weights), 0.0)
    if len(times) < 3 or np.ptp(times) <= 0:
        near = np.abs(lags - level.lag) <= tolerance
        return Fit(level, near, _spread(lags[near] - level.lag), np.inf)
    first, second = np.triu_indices(len(times), 1)
    far = np.abs(times[second] - times[first]) > 0.1 * np.ptp(times)
    first, second = first[far], second[far]
    slopes = (lags[second] - lags[first]) / (times[second] - times[first])
    slope = _median(slopes, weights[first] * weights[second])
    line = Line(_median(lags - slope * times, weights), slope)
    near, error = np.ones(len(times), bool), np.inf
    for _ in range(4):
        near = np.abs(lags - line.lag - line.slope * times) <= tolerance
        if near.sum() < 3 or np.ptp(times[near]) <= 0:
            break
        line, error = _least_squares(times[near], lags[near], weights[near])
    if near.sum() < 3:
        line, error = level, np.inf
    ppm_error = error * 1e6
    span = float(np.ptp(times[near])) if near.any() else 0.0
    ppm, moved = abs(line.slope) * 1e6, abs(line.slope) * span
    certain = ppm > max(4 * ppm_error, _LEAST_PPM) and moved > _LEAST_MOVE and span > _LEAST_SPAN
    if not certain:
        flat = Line(_median(lags[near], weights[near]) if near.any() else level.lag, 0.0)
        if span <= _LEAST_SPAN or (np.abs(lags[near] - flat.lag) <= tolerance).mean() > 0.9:
            line = flat
    near = np.abs(lags - line.lag - line.slope * times) <= tolerance
    rest = lags[near] - line.lag - line.slope * times[near]
    return Fit(line, near, _spread(rest), float(ppm_error))


def _least_squares(
    times: NDArray[np.float64], lags: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[Line, float]:
    """(line, standard error of its slope)."""
    share = weights / weights.sum()
    t0, y0 = float(share @ times), float(share @ lags)
    across = float(share @ (times - t0) ** 2)
    slope = float(share @ ((times - t0) * (lags - y0))) / across
    rest = lags - y0 - slope * (times - t0)
    # 20 us: the grid of lags itself is no finer, however well few points may lie on a line.
    variance = max(float(share @ rest**2) * len(times) / max(len(times) - 2, 1), (20e-6) ** 2)
    effective = 1 / float((share**2).sum())
    return Line(y0 - slope * t0, slope), float(np.sqrt(variance / (across * effective)))


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Weighted: half of the weight lies on either side."""
    order = np.argsort(values, kind="stable")
    heap = np.cumsum(weights[order])
    middle = heap[-1] / 2
    below = int(np.searchsorted(heap, middle * (1 - 1e-12)))
    above = int(np.searchsorted(heap, middle * (1 + 1e-12)))
    return float((values[order[below]] + values[order[min(above, len(values) - 1)]]) / 2)


def _spread(rest: NDArray[np.float64]) -> float:
    return float(1.4826 * np.median(np.abs(rest))) if len(rest) else 0.0
