"""Where notes begin: the onset envelope of the shared mel frames, its peaks, and exact times from the fine cells.

Which of them are beats is left to beats.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.spectrum import FINE, Frames, mel_corners

_LOW, _HIGH = 180.0, 2500.0  # Hz: kick and bass lie below, cymbals and consonants above
_WEIGHTS = (1.0, 1.0, 0.5)  # of low, middle and high: hats mark eighths more often than beats


@dataclass(frozen=True, slots=True)
class Envelope:
    """Strength of the onset at each frame, 0 where nothing begins; about 1 at a clear one."""

    rate: float  # frames a second
    strength: NDArray[np.float32]  # [n_frames]
    low: NDArray[np.float32]  # [n_frames] of it, below 180 Hz


@dataclass(frozen=True, slots=True)
class Onsets:
    times: NDArray[np.float64]  # [n] s
    strengths: NDArray[np.float32]  # [n] 0..1


def envelope(frames: Frames) -> Envelope:
    """Rises of the compressed mel bands (each against its own loud moments), less their surroundings."""
    from scipy.ndimage import uniform_filter1d

    mel = frames.mel
    loud = np.percentile(mel, 98, axis=0)
    # A band 60 dB below the loudest holds dither, not notes.
    reference = np.maximum(loud, max(float(loud.max()) * 1e-6, 1e-8))
    level = np.log1p(mel * (100 / reference).astype(np.float32))
    lag = max(1, round(0.02 * frames.rate))
    rise = np.zeros_like(level)
    rise[lag:] = np.maximum(level[lag:] - level[:-lag], 0)
    centre = mel_corners(frames.sample_rate)[1:-1]
    groups = [centre < _LOW, (centre >= _LOW) & (centre < _HIGH), centre >= _HIGH]
    parts = [rise[:, g].mean(axis=1) if g.any() else np.zeros(len(rise), np.float32) for g in groups]
    total = sum((w * p for w, p in zip(_WEIGHTS, parts, strict=True)), np.zeros(len(rise), np.float32))
    width = max(3, round(0.8 * frames.rate))
    prominent = np.maximum(total - uniform_filter1d(total, width), 0)
    scale = float(np.percentile(prominent, 98)) if len(prominent) else 0.0
    if scale < 0.02:  # nothing begins anywhere: silence, a drone
        return Envelope(frames.rate, np.zeros(len(total), np.float32), np.zeros(len(total), np.float32))
    low = np.maximum(parts[0] - uniform_filter1d(parts[0], width), 0)
    low_scale = max(float(np.percentile(low, 98)), 0.02)
    return Envelope(frames.rate, np.asarray(prominent / scale, np.float32), np.asarray(low / low_scale, np.float32))


def detect(frames: Frames, onsets: Envelope) -> Onsets:
    """Peaks of the envelope that stand out over 60 ms, with times exact to a few ms."""
    from scipy.signal import find_peaks

    height = 0.15
    peaks, _ = find_peaks(onsets.strength, height=height, distance=max(1, round(0.06 * onsets.rate)))
    strengths = np.minimum(onsets.strength[peaks] / 1.5, 1.0).astype(np.float32)
    times, _ = attack_times(frames, peaks / onsets.rate)
    order = np.argsort(times, kind="stable")
    return Onsets(np.maximum.accumulate(times[order]), strengths[order])


def attack_times(
    frames: Frames, near: NDArray[np.float64], reach: float = 0.05
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The steepest rise of energy within ``reach`` s of each time: (times s, rises in natural-log units).

    The wave is differentiated first (spectrum.Frames.attack), so that a held bass does not hide a stroke. Where
    nothing rises by half, the time given is returned with a rise of 0.
    """
    rate = frames.rate * FINE
    cells = frames.attack
    if not len(near) or len(cells) < 4:
        return near.astype(np.float64), np.zeros(len(near))
    sums = np.concatenate([[0.0], np.cumsum(cells, dtype=np.float64)])
    floor = max(float(np.percentile(cells, 95)) * 1e-2, 1e-9)
    at = np.clip(
        np.round(near[:, None] * rate + np.arange(-round(reach * rate), round(reach * rate) + 1)), 0, len(cells)
    )
    at = at.astype(np.int64)
    after, before = max(1, round(0.012 * rate)), max(1, round(0.02 * rate))
    end, begin = np.minimum(at + after, len(cells)), np.maximum(at - before, 0)
    rise = np.log(((sums[end] - sums[at]) / after + floor) / ((sums[at] - sums[begin]) / before + floor))
    best = rise.argmax(axis=1)
    rows = np.arange(len(near))
    found, strength = at[rows, best] / rate, rise[rows, best]
    clear = strength > np.log(1.5)
    return np.where(clear, found, near), np.where(clear, strength, 0.0)
