"""Beats and tempo, from the onset envelope: candidates by autocorrelation, each tracked, the best one kept.

Dynamic programming after D. Ellis, "Beat tracking by dynamic programming" (2007). Bars are left to bars.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.bars import find_bars
from pipelines.audio.onsets import Envelope, attack_times
from pipelines.audio.spectrum import Frames

SLOWEST, FASTEST = 40.0, 240.0  # BPM
_USUAL, _SPREAD = 120.0, 1.0  # BPM, octaves: how often people call a tempo theirs
_TIGHTNESS = 100.0  # what a beat off its time costs, against the envelope's standard deviations (Ellis)
_NEAR = 0.045  # s within which an onset belongs to a beat
_LEAST = 0.05  # confidence below which there is no beat
_LEAST_CLEAR = 0.3  # share of beats with an attack below which there is none: drones, vibrato


@dataclass(frozen=True, slots=True)
class Beats:
    times: NDArray[np.float64]  # [n] s, empty if there is no beat
    downbeats: NDArray[np.float64]  # a subset of times
    beats_per_bar: int  # 3 or 4
    bpm: float  # slope of the line through the beats; 0 if there is none
    confidence: float  # 0..1


NONE = Beats(np.zeros(0), np.zeros(0), 4, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Tracked:
    bpm: float
    frames: NDArray[np.int64]
    periodic: float  # how much of the envelope comes again after one to four beats
    explained: float  # share of the onsets' strength that lies on beats
    hits: float  # how strongly a beat is played, on average
    score: float


def track(frames: Frames, onsets: Envelope, *, bpm: float | None = None) -> Beats:
    """Beats of a piece. ``bpm`` is a person's value: it decides the octave, the sound decides the rest."""
    strength = onsets.strength
    if len(strength) < 3 * onsets.rate * 60 / FASTEST or strength.std() == 0:
        return NONE
    correlation = _autocorrelation(strength)
    candidates = _candidates(correlation, onsets.rate, bpm)
    tracked = [t for t in (_try(onsets, *c, given=bpm is not None) for c in candidates) if t is not None]
    if not tracked:
        return NONE
    best = max(tracked, key=lambda t: t.score)
    times, clear, jitter = _refine(frames, _trim(best.frames, strength, onsets.rate) / onsets.rate)
    if len(times) < 4 or clear < _LEAST_CLEAR:
        return NONE
    slope, unsteady = _line(times)
    rivals = [t.score / best.score for t in tracked if abs(np.log2(t.bpm / best.bpm)) > 0.1]
    doubt = 0.0 if bpm is not None else max(rivals, default=0.0)
    confidence = _confidence(_recurrence(correlation, onsets.rate * slope), clear, jitter, unsteady, doubt)
    if confidence < _LEAST:
        return NONE
    meter, first = find_bars(frames, onsets, times)
    return Beats(times, times[first], meter, 60 / slope, confidence)


def _recurrence(correlation: NDArray[np.float64], period: float) -> float:
    """The most that the envelope is like itself after 1, 2, 3, 4 or 8 beats: a pattern may be longer than a beat."""
    lags = [round(k * period) for k in (1, 2, 3, 4, 8) if k * period < len(correlation) - 3]
    return max((float(correlation[max(lag - 2, 1) : lag + 3].max()) for lag in lags), default=0.0)


def _confidence(recurrence: float, clear: float, jitter: float, unsteady: float, doubt: float) -> float:
    """0..1. Chance alone gives a recurrence of about .08; a band plays its beats within 10 ms, an orchestra in rubato
    within 25. The rival (twice or half the tempo, as a rule) answers the same question: it takes up to 40 %.
    """
    recurs = np.clip((recurrence - 0.08) / 0.35, 0, 1)
    even = 1 / (1 + (unsteady / 0.004) ** 2) / (1 + (jitter / 0.02) ** 2)
    return float(np.sqrt(recurs * even * clear) * (1 - 0.4 * doubt**2))


def _autocorrelation(strength: NDArray[np.float32]) -> NDArray[np.float64]:
    """[n / 2] by lag in frames, 1 at lag 0, unbiased by the overlap."""
    from scipy.fft import irfft, next_fast_len, rfft

    n = len(strength)
    wave = strength.astype(np.float64) - strength.mean()
    size = next_fast_len(2 * n)
    raw = irfft(np.abs(rfft(wave, size)) ** 2, size)[: n // 2 + 1]
    raw = raw / (n - np.arange(len(raw))) * n
    return np.asarray(raw / raw[0])


def _prior(bpm: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * (np.log2(np.asarray(bpm) / _USUAL) / _SPREAD) ** 2))


def _candidates(correlation: NDArray[np.float64], rate: float, given: float | None) -> list[tuple[float, float]]:
    """(BPM, comb) worth tracking: peaks of a comb over the autocorrelation, and their relatives."""
    grid = np.exp2(np.arange(np.log2(SLOWEST), np.log2(FASTEST), 1 / 120))
    if given is not None:
        grid = given * np.exp2(np.linspace(-0.12, 0.12, 60))
    lag = rate * 60 / grid
    teeth = np.arange(1, 5)
    at = lag[:, None] * teeth
    values = np.interp(at.ravel(), np.arange(len(correlation)), correlation, right=0.0).reshape(at.shape)
    comb = values @ (1 / teeth) / (1 / teeth).sum()
    if given is not None:
        return [(float(grid[comb.argmax()]), float(comb.max()))]
    salience = comb * _prior(grid)
    inner = np.flatnonzero((salience[1:-1] >= salience[:-2]) & (salience[1:-1] > salience[2:])) + 1
    inner = inner[np.argsort(-salience[inner])][:3]
    tempi: list[tuple[float, float]] = []
    for peak in grid[inner]:
        for ratio in (1, 2, 0.5, 3, 1 / 3, 1.5, 2 / 3):
            near = (grid > peak * ratio * 0.97) & (grid < peak * ratio * 1.03)
            if not near.any():
                continue
            tempo = float(grid[near][comb[near].argmax()])
            if comb[near].max() > 0 and all(abs(np.log2(tempo / t)) > 0.06 for t, _ in tempi):
                tempi.append((tempo, float(comb[near].max())))
    return tempi


def _try(onsets: Envelope, bpm: float, periodic: float, *, given: bool) -> _Tracked | None:
    beats = _path(onsets.strength, onsets.rate * 60 / bpm)
    if len(beats) < 4:
        return None
    reach = max(1, round(_NEAR * onsets.rate))
    peaks = _local_maxima(onsets.strength)
    weights = np.minimum(onsets.strength[peaks], 1.0)
    nearest = np.abs(
        peaks[:, None] - beats[np.clip(np.searchsorted(beats, peaks)[:, None] + [-1, 0], 0, len(beats) - 1)]
    )
    explained = float(weights[nearest.min(axis=1) <= reach].sum() / max(weights.sum(), 1e-9))
    around = np.clip(beats[:, None] + np.arange(-reach, reach + 1), 0, len(onsets.strength) - 1)
    hits = float(np.minimum(onsets.strength[around].max(axis=1), 1.0).mean())
    score = periodic * explained * hits**2 * (1.0 if given else float(_prior(bpm)))
    return _Tracked(bpm, beats, periodic, explained, hits, score)


def _local_maxima(strength: NDArray[np.float32]) -> NDArray[np.int64]:
    peaks = np.flatnonzero((strength[1:-1] >= strength[:-2]) & (strength[1:-1] > strength[2:])) + 1
    return peaks[strength[peaks] > 0.1]


def _path(strength: NDArray[np.float32], period: float) -> NDArray[np.int64]:
    """Frames of the beats that best join strong onsets at about ``period`` frames (dynamic programming).

    A beat depends on none nearer than half a period, so half a period of frames is computed at once.
    """
    n = len(strength)
    value = strength / strength.std()
    near, far = max(1, int(period / 2)), int(np.ceil(period * 2))
    gaps = np.arange(far, near - 1, -1)
    cost = _TIGHTNESS * np.log(gaps / period) ** 2
    total = np.full(n + far, -np.inf)  # `far` frames before the first: no beat can lie there
    before = np.full(n, -1, np.int64)
    for start in range(0, n, near):
        end = min(start + near, n)
        windows = np.lib.stride_tricks.sliding_window_view(total[start : end + far - near], len(gaps))
        options = windows[: end - start] - cost
        choice = options.argmax(axis=1)
        best = options[np.arange(end - start), choice]
        joined = best > 0  # else a beat that begins anew
        before[start:end] = np.where(joined, np.arange(start, end) - gaps[choice], -1)
        total[start + far : end + far] = value[start:end] + np.where(joined, best, 0.0)
    beat = int(total[far:].argmax())
    path = []
    while beat >= 0:
        path.append(beat)
        beat = int(before[beat])
    return np.array(path[::-1], np.int64)


def _trim(beats: NDArray[np.int64], strength: NDArray[np.float32], rate: float) -> NDArray[np.int64]:
    """Without the beats before the music begins and after it ends."""
    reach = max(1, round(_NEAR * rate))
    around = np.clip(beats[:, None] + np.arange(-reach, reach + 1), 0, len(strength) - 1)
    played = strength[around].max(axis=1)
    heard = np.flatnonzero(played > 0.2 * np.median(played))
    return beats[heard[0] : heard[-1] + 1] if len(heard) else beats[:0]


def _refine(frames: Frames, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, float]:
    """Frame times moved to the attacks and made even over their neighbours: a few ms instead of a frame.

    Also the share of beats with a clear attack, and how far (s) the attacks lie from the even times.
    """
    found, rises = attack_times(frames, times)
    if not (rises > 0).any():
        return times, 0.0, 0.0
    moved = times + float(np.median((found - times)[rises > 0]))
    found, rises = attack_times(frames, moved, reach=0.03)
    even = _smooth(found, np.minimum(rises, 3.0) + 0.01)
    clear = rises > 0
    jitter = float(np.median(np.abs(found - even)[clear])) if clear.any() else 0.0
    return np.maximum.accumulate(np.maximum(even, 0.0)), float(clear.mean()), jitter


def _smooth(times: NDArray[np.float64], weights: NDArray[np.float64], reach: int = 8) -> NDArray[np.float64]:
    """A straight line through each beat's neighbours, twice, the second time with less weight on what lay far off."""
    n = len(times)
    index = np.clip(np.arange(n)[:, None] + np.arange(-reach, reach + 1), 0, n - 1)
    distance = np.arange(-reach, reach + 1)[None, :]
    inside = (np.arange(n)[:, None] + distance >= 0) & (np.arange(n)[:, None] + distance < n)
    nearness = (1 - (np.abs(distance) / (reach + 1)) ** 3) ** 3 * inside
    trust = np.ones(n)
    smooth = times
    for _ in range(3):
        w = nearness * (weights * trust)[index]
        y = times[index]
        total = w.sum(axis=1)
        mean_x, mean_y = (w * distance).sum(axis=1) / total, (w * y).sum(axis=1) / total
        dx = distance - mean_x[:, None]
        slope = (w * dx * (y - mean_y[:, None])).sum(axis=1) / np.maximum((w * dx * dx).sum(axis=1), 1e-12)
        smooth = mean_y - slope * mean_x
        trust = 1 / (1 + ((times - smooth) / 0.008) ** 2)
    return smooth


def _line(times: NDArray[np.float64]) -> tuple[float, float]:
    """Seconds a beat of the straight line through the beats, and their typical distance from a local one.

    Beats are numbered by their distances, so that a beat missed or doubled does not bend the line.
    """
    gaps = np.diff(times)
    typical = float(np.median(gaps))
    number = np.concatenate([[0], np.cumsum(np.maximum(np.round(gaps / typical), 0))])
    weights = np.ones(len(times))
    slope, start = typical, times[0]
    for _ in range(10):
        mean_x, mean_y = np.average(number, weights=weights), np.average(times, weights=weights)
        slope = float(np.average((number - mean_x) * (times - mean_y), weights=weights))
        slope /= float(np.average((number - mean_x) ** 2, weights=weights))
        start = mean_y - slope * mean_x
        weights = 1 / (1 + np.abs(times - start - slope * number) / 0.01)
    local = np.abs(np.diff(gaps)) / 2 if len(gaps) > 1 else np.zeros(1)
    drift = np.median(np.abs(gaps / slope - 1)) * slope
    return slope, float(max(np.median(local), drift))
