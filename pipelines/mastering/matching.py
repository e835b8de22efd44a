"""What two stems share as waveforms (the one's bleed in the other): lag and drift from many windows.

The correlation is gcc.py's, lines are drift.py's. Stems that share nothing are left to warping.py, verdicts to
judging.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.mastering import gcc
from pipelines.mastering.drift import Fit, Line, Sum, add_along_lines, along, fit
from pipelines.mastering.elsewhere import Repetition, Stray, repetition, stray
from pipelines.mastering.gcc import FINE_STEP, RATE, STEP
from pipelines.mastering.listening import sounding

_WINDOW, _HOP, _MOST = 16.0, 8.0, 40  # s, s and number of the windows searched for any lag
_MOST_PPM = 300.0  # the worst crystals and tape decks; beyond it stems were stretched
_LOOKS = 64  # windows that then tell lag and drift
_NEAR = 0.04  # s on either side of what is expected
TOLERANCE = 0.003  # s from the line within which a window agrees with it
_PLAIN, _HIGH = 9.0, 5.0  # times its median: a response that tells an arrival
_ARRIVAL = 0.55  # of the highest peak: an earlier arrival that high is the direct sound


@dataclass(frozen=True, slots=True)
class Windows:
    """One row a window, in order of time."""

    times: NDArray[np.float64]  # [n] s of the vocal, the middle of each
    lags: NDArray[np.float64]  # [n] s
    peaks: NDArray[np.float64]  # [n] times chance
    agrees: NDArray[np.bool_]  # [n] within `TOLERANCE` of the line


@dataclass(frozen=True, slots=True)
class Matched:
    line: Line
    windows: Windows
    fit: Fit
    peak: float  # of all windows together, standard deviations above the mean of all lags; no band counts over 12
    margin: float  # the peak over the next best that lies more than 20 ms away, both less the mean
    repetition: Repetition | None
    coherence: float  # 0..1 rough share of the sound that both hold
    response_peak: float  # of the shared impulse response, over its median
    arrivals: float  # s from its first high peak to its last; 0 for one arrival
    heard: float  # share of the vocal's seconds in which it sounds
    overlap: float  # s of sounding vocal that lie within the instrumental
    stray: Stray | None


def match(inst: NDArray[np.float32], vocal: NDArray[np.float32], max_lag_s: float) -> Matched:
    """Finds the line lag(t) along which the windows of ``vocal`` match ``inst`` best (both [n] at 8 kHz)."""
    active = sounding(vocal)
    found, peak, margin, moved = _search(inst, vocal, active, max_lag_s)
    start = Line(float(found.total.argmax() * STEP - max_lag_s) - found.slope * found.centre, found.slope)
    looks = _look(inst, vocal, active, start, found.centre)
    line, coherence, response_peak, arrivals = _arrive(looks)
    lags = looks.lags + (line.lag - looks.fit.line.lag)
    strongest = looks.times[np.argsort(-np.where(looks.fit.inliers, looks.peaks, 0), kind="stable")]
    again = repetition(inst, vocal, line, strongest, looks.size / RATE, max_lag_s)
    order = np.argsort(looks.times)
    windows = Windows(looks.times[order], lags[order], looks.peaks[order], looks.fit.inliers[order])
    seconds = np.flatnonzero(active) + 0.5
    where = seconds + line.lag + line.slope * seconds
    overlap = float(((where > 0) & (where < len(inst) / RATE)).sum())
    return Matched(
        line=line,
        windows=windows,
        fit=looks.fit,
        peak=peak,
        margin=margin,
        coherence=coherence,
        response_peak=response_peak,
        arrivals=arrivals,
        heard=float(active.mean()),
        overlap=overlap,
        repetition=again,
        stray=moved,
    )


def _search(
    inst: NDArray[np.float32], vocal: NDArray[np.float32], active: NDArray[np.bool_], reach: float
) -> tuple[Sum, float, float, Stray | None]:
    """(the sum along the best line, its peak in standard deviations, margin, what matches elsewhere)."""
    duration = len(vocal) / RATE
    window = min(_WINDOW, duration)
    starts = _starts(duration, window, _HOP)
    used = _densest([s for s in starts if active[int(s) : int(np.ceil(s + window))].any()])
    n = round(window * RATE)
    matches = [gcc.search(inst, vocal, round(s * RATE), n, reach) for s in used]
    times = np.array(used) + window / 2
    strengths = np.stack([m.strength for m in matches])
    found = add_along_lines(strengths, times, STEP, _MOST_PPM)
    capped = along(np.stack([m.capped for m in matches]), found.shifts)
    top = int(found.total.argmax())
    near = slice(max(top - 1, 0), top + 2)
    far = np.abs(np.arange(len(capped)) - top) > 0.02 / STEP
    if not far.any():
        return found, 0.0, 1.0, None
    spread = max(float(capped[far].std()), 1e-9)
    peak = (float(capped[near].max()) - float(capped.mean())) / spread
    level = float(found.total.mean())
    margin = (float(found.total[top]) - level) / max(float(found.total[far].max()) - level, 1e-9)
    return found, peak, margin, stray(strengths, found, times, window, reach)


def _starts(duration: float, length: float, hop: float) -> list[float]:
    """Every ``hop`` s, and a last window that reaches the end."""
    last = max(duration - length, 0.0)
    starts = [float(s) for s in np.arange(0, last + 1e-6, hop)]
    if len(starts) > 1 and last - starts[-1] < hop / 4:
        return [*starts[:-1], last]
    return starts if last == starts[-1] else [*starts, last]


def _densest(starts: list[float]) -> list[float]:
    """At most `_MOST` windows, those that follow each other most closely (a line's slope must not blur their sum)."""
    if len(starts) <= _MOST:
        return starts
    spans = [starts[i + _MOST - 1] - starts[i] for i in range(len(starts) - _MOST + 1)]
    first = int(np.argmin(spans))
    return starts[first : first + _MOST]


@dataclass(frozen=True, slots=True)
class _Looks:
    times: NDArray[np.float64]
    lags: NDArray[np.float64]
    peaks: NDArray[np.float64]
    fit: Fit
    crosses: list[tuple[NDArray[np.complex64], float]]  # with the lag that each has taken out
    size: int


def _look(
    inst: NDArray[np.float32], vocal: NDArray[np.float32], active: NDArray[np.bool_], line: Line, centre: float
) -> _Looks:
    """Windows over the whole vocal, those nearest to ``centre`` first; the line is drawn anew as they come in."""
    duration = len(vocal) / RATE
    length = float(np.clip(duration / 8, 1.0, 8.0))
    size = 160 * round(length * RATE / 160)
    starts = _starts(duration, length, max(length / 2, (duration - length) / (_LOOKS - 1)))
    shares = [float(active[int(s) : max(int(np.ceil(s + length)), 1)].mean()) for s in starts]
    # Half full, or where the vocal is a few calls: as full as there are.
    heard = [s for s, share in zip(starts, shares, strict=True) if share >= min(0.5, max(shares))]
    within = [s for s in heard if 0 <= s + line.at(s) + length / 2 <= len(inst) / RATE]
    ordered = sorted(within or heard, key=lambda s: abs(s + length / 2 - centre))
    times, lags, peaks, strengths = [], [], [], []
    crosses = []
    drawn: Fit | None = None
    for i, s in enumerate(ordered):
        middle = s + length / 2
        shift = round(line.at(middle) * RATE)
        cross = gcc.whitened_pair(inst, vocal, round(s * RATE), size, shift, line.slope)
        strength = gcc.look(cross, size, _NEAR)
        top = int(strength.argmax())
        times.append(middle)
        lags.append(shift / RATE + gcc.peak_of(strength, top) * FINE_STEP - _NEAR)
        peaks.append(float(strength[top]))
        strengths.append((strength, shift / RATE))
        crosses.append((cross, shift / RATE))
        if i % 8 == 7 or i == len(ordered) - 1:
            drawn = _draw(np.array(times), np.array(lags), np.array(peaks), strengths, line)
            line = drawn.line
    assert drawn is not None
    return _Looks(np.array(times), np.array(lags), np.array(peaks), drawn, crosses, size)


def _draw(
    times: NDArray[np.float64],
    lags: NDArray[np.float64],
    peaks: NDArray[np.float64],
    strengths: list[tuple[NDArray[np.float32], float]],
    line: Line,
) -> Fit:
    """The line through the windows, begun where their strengths add up highest about the line so far."""
    steps = [round((shift - line.at(t)) / FINE_STEP) for (_, shift), t in zip(strengths, times, strict=True)]
    total = along(np.stack([s for s, _ in strengths]), -np.array(steps, np.int64))
    middle = line.lag + gcc.peak_of(total, int(total.argmax())) * FINE_STEP - _NEAR
    close = np.abs(lags - middle - line.slope * times) <= 2 * TOLERANCE
    if close.sum() < 3 or close.mean() < 0.2:  # single windows say little: keep what they say together
        best = Line(middle, line.slope)
        rest = np.abs(lags - middle - line.slope * times)
        return Fit(best, rest <= TOLERANCE, float(np.median(rest)), np.inf)
    drawn = fit(times[close], lags[close], np.maximum(peaks[close] - 2, 0.05), TOLERANCE)
    inliers = np.abs(lags - drawn.line.lag - drawn.line.slope * times) <= TOLERANCE
    return Fit(drawn.line, inliers, drawn.spread, drawn.ppm_error)


def _arrive(looks: _Looks) -> tuple[Line, float, float, float]:
    """(line moved to the first arrival, coherence, height of the response's peak over its median, s between arrivals).

    The windows that agree are added with their phases into the impulse response between the stems. One peak: it is
    sharper than any window's. Several (a stem with reverb, delay or widening): the one at the quiet end, since echoes
    come after the sound and never before.
    """
    fitted = looks.fit
    total = np.zeros(1, np.complex64)
    for (cross, taken), time in zip(looks.crosses, looks.times, strict=True):
        block = gcc.narrowed(cross, looks.size, fitted.line.at(float(time)) - taken)
        scale = max(float(np.sqrt(np.mean(np.abs(cross) ** 2))), 1e-30)
        total = total + block / scale
    n = len(looks.crosses)
    bins = looks.crosses[0][0].size / len(total)
    coherence = float(np.clip(np.abs(total).mean() / (n * bins), 0, 1))
    ratio = np.abs(total) ** 2 / (n * bins)  # 1 is what chance gives
    total = total * np.clip(1 - 2 / np.maximum(ratio, 1e-9), 0, 1)
    reach, step = _NEAR, 1 / (4 * RATE)
    size = gcc.response(np.asarray(total, np.complex64), reach, step)
    height = _height(size)
    if height < _PLAIN:  # noise hides it: let the blocks that rise above the noise count alike
        size = gcc.response(np.asarray(total / np.sqrt(ratio + 1), np.complex64), reach, step)
        height = _height(size)
    if height < _HIGH:
        return fitted.line, coherence, height, 0.0
    inner = np.flatnonzero((size[1:-1] >= size[:-2]) & (size[1:-1] > size[2:])) + 1
    high = inner[size[inner] >= max(_ARRIVAL, _HIGH / height) * size.max()]
    top = int(size.argmax())
    if len(high) > 1:
        guard = round(0.0005 / step)
        before, after = size[: max(high[0] - guard, 0)], size[high[-1] + guard :]
        quieter = np.mean(before**2) / max(float(np.mean(after**2)), 1e-30) if len(before) and len(after) else 1.0
        if quieter < 1 / 1.5:
            top = int(high[0])
        elif quieter > 1.5:
            top = int(high[-1])
    moved = gcc.peak_of(size, top) * step - reach
    peaks = inner[size[inner] >= _ARRIVAL * size.max()]
    between = float(np.ptp(peaks)) * step
    return Line(fitted.line.lag + moved, fitted.line.slope), coherence, height, between


def _height(size: NDArray[np.float32]) -> float:
    return float(size.max() / max(float(np.median(size)), 1e-30))
