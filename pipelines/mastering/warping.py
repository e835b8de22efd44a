"""The second witness: do the stems make music together? Chroma and onsets, ten times a second, warped onto each other.

It needs no sound that both stems hold, and tells the lag to some 10 ms where the rhythm is common. Finer lags are
left to matching.py, which needs such sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.spectrum import chroma_filters, mel_filters
from pipelines.mastering.gcc import RATE, cut, peak_of

WARP_RATE = 10  # rows of the warping a second
RHYTHM_RATE = 100  # onset strengths a second
_ONSET_SIZE, _CHROMA_SIZE = 256, 2048  # samples: 32 ms hears attacks, 256 ms tells semitones from A2 on
_N_MELS = 20
_LONGEST = 3600.0  # s: the middle of a longer vocal is enough for a witness, and needs no gigabytes
_LONGEST_RHYTHM = 600.0  # s: over more, 50 ppm of drift blur a correlation of 10 ms steps
_BEND = 4.0  # cost of each step off the diagonal, in standard deviations of similarity
_CHUNK = 4096  # frames at once


@dataclass(frozen=True, slots=True)
class Warped:
    """``lags`` is the warping path as a lag for each tenth of a second of the vocal; NaN where it is silent."""

    start: float  # s of the vocal at which the path begins; 0 unless it is longer than an hour
    lags: NDArray[np.float32]  # [n] s, on a grid of 0.1
    lag: float  # s, their median
    straight: float  # 0..1 share of the path within 0.15 s of its median
    gain: float  # similarity along the path, standard deviations above that of all lags
    rhythm_lag: float  # s, where onsets coincide most
    rhythm_peak: float  # standard deviations above the mean of all lags
    rhythm_margin: float  # peak over the next best more than 0.05 s away


@dataclass(frozen=True, slots=True)
class _Heard:
    onsets: NDArray[np.float32]  # [n at 100 a second] strength, mean removed
    rows: NDArray[np.float32]  # [n at 10 a second, 14] chroma and onset, each of unit variance
    loud: NDArray[np.bool_]  # [n at 10 a second]


def warp(inst: NDArray[np.float32], vocal: NDArray[np.float32], max_lag_s: float) -> Warped:
    """Compares ``inst`` and ``vocal`` (both [n] at 8 kHz) by what they play; lags within ``max_lag_s``."""
    reach = round(max_lag_s * WARP_RATE)
    first = max((len(vocal) - round(_LONGEST * RATE)) // 2, 0) // RATE * RATE  # whole seconds
    if first:
        size = round(_LONGEST * RATE)
        inst, vocal = cut(inst, first, size + reach * RATE // WARP_RATE), vocal[first : first + size]
    there, here = _listen(inst), _listen(vocal)
    similarity = _similarity(there, here, reach)
    path = _path(similarity)
    lags = np.where(here.loud, (path - reach) / WARP_RATE, np.nan).astype(np.float32)
    heard = path[here.loud]
    middle = float(np.median(heard)) if len(heard) else float(reach)
    straight = float((np.abs(heard - middle) <= 1.5).mean()) if len(heard) else 0.0
    by_lag = similarity[here.loud].mean(axis=0) if here.loud.any() else np.zeros(2 * reach + 1)
    along = float(similarity[here.loud, heard].mean()) if len(heard) else 0.0
    gain = along / max(float(by_lag.std()), 1e-6)
    rhythm_lag, peak, margin = _rhythm(there.onsets, here.onsets, max_lag_s)
    return Warped(first / RATE, lags, (middle - reach) / WARP_RATE, straight, gain, rhythm_lag, peak, margin)


def _listen(sound: NDArray[np.float32]) -> _Heard:
    hop = RATE // RHYTHM_RATE
    mel = np.concatenate([p @ mel_filters(RATE, _ONSET_SIZE, _N_MELS) for p in _power(sound, _ONSET_SIZE, hop)])
    reference = np.maximum(np.percentile(mel, 95, axis=0), max(float(mel.max()) * 1e-6, 1e-12))
    height = np.log1p(30 * mel / reference)
    rise = np.zeros_like(height)
    rise[2:] = np.maximum(height[2:] - height[:-2], 0)
    onsets = _level(np.sqrt(rise.mean(axis=1)))
    chroma = np.concatenate(
        [p @ chroma_filters(RATE, _CHROMA_SIZE) for p in _power(sound, _CHROMA_SIZE, RATE // WARP_RATE)]
    )
    loudness = chroma.sum(axis=1)
    loud = loudness > float(loudness.max(initial=0.0)) * 1e-4
    pitch = np.sqrt(chroma / np.maximum(loudness[:, None], 1e-12))
    pitch -= pitch[loud].mean(axis=0) if loud.any() else 0.0
    pitch[~loud] = 0.0
    n = len(chroma)
    step = RHYTHM_RATE // WARP_RATE
    padded = np.pad(onsets, (step // 2, max(n * step - len(onsets), 0)))[: n * step]
    beats = np.stack([padded.reshape(n, step).max(axis=1), padded.reshape(n, step).mean(axis=1)], axis=1)
    beats -= beats.mean(axis=0)
    rows = [part / max(float(np.sqrt((part**2).sum(axis=1).mean())), 1e-6) for part in (pitch, beats)]
    return _Heard(onsets, np.concatenate(rows, axis=1).astype(np.float32), loud)


def _power(sound: NDArray[np.float32], size: int, hop: int) -> Iterator[NDArray[np.float32]]:
    """Power spectra [frames, size / 2 + 1] of centred Hann frames, ``hop`` samples apart."""
    from scipy.fft import rfft

    window = np.hanning(size + 1)[:-1].astype(np.float32)
    padded = np.pad(sound, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    for i in range(0, len(frames), _CHUNK):
        spectrum = rfft(frames[i : i + _CHUNK] * window, axis=1)
        yield np.asarray(spectrum.real**2 + spectrum.imag**2, np.float32)


def _level(strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """Less its surroundings of a second, so that loud passages and quiet ones count alike; variance 1."""
    from scipy.ndimage import uniform_filter1d

    rest = strength - uniform_filter1d(strength, RHYTHM_RATE)
    around = np.sqrt(uniform_filter1d(rest**2, 4 * RHYTHM_RATE))
    flat = rest / np.maximum(around, max(0.1 * float(around.max(initial=0.0)), 1e-6))
    return np.asarray(flat, np.float32)


def _similarity(there: _Heard, here: _Heard, reach: int) -> NDArray[np.float32]:
    """[n_rows, 2 * reach + 1] of each row of the vocal with the instrumental's at each lag; row means are 0."""
    n = len(here.rows)
    padded = np.zeros((n + 2 * reach, here.rows.shape[1]), np.float32)
    count = min(len(there.rows), n + reach)
    padded[reach : reach + count] = there.rows[:count]
    out = np.empty((n, 2 * reach + 1), np.float32)
    for k in range(2 * reach + 1):
        out[:, k] = np.einsum("ij,ij->i", here.rows, padded[k : k + n])
    out -= out.mean(axis=1, keepdims=True)
    out /= max(float(out.std()), 1e-6)
    out[~here.loud] = 0.0
    return out


def _path(similarity: NDArray[np.float32]) -> NDArray[np.int64]:
    """[n_rows] the lag's index along the best warping path.

    Dynamic time warping with the steps (1, 1), (1, 2) and (1, 0) (Sakoe and Chiba, 1978), written with the lag as
    the second axis: a step off the diagonal is a step of the lag by one, and a row needs only the row before.
    """
    n, width = similarity.shape
    came = np.zeros((n, width), np.int8)
    best = similarity[0].copy()
    for i in range(1, n):
        left, right = np.full(width, -np.inf, np.float32), np.full(width, -np.inf, np.float32)
        left[1:], right[:-1] = best[:-1] - _BEND, best[1:] - _BEND
        step = came[i]
        step[left > best] = -1
        top = np.maximum(left, best)
        step[right > top] = 1
        best = np.maximum(right, top) + similarity[i]
    path = np.empty(n, np.int64)
    at = int(best.argmax())
    for i in range(n - 1, -1, -1):
        path[i] = at
        at += int(came[i, at])
    return path


def _rhythm(there: NDArray[np.float32], here: NDArray[np.float32], max_lag_s: float) -> tuple[float, float, float]:
    """(lag, peak, margin) of the onsets' correlation, each lag weighed by how much of the vocal it leaves inside."""
    from scipy.signal import fftconvolve

    reach = round(max_lag_s * RHYTHM_RATE)
    most = round(_LONGEST_RHYTHM * RHYTHM_RATE)
    first = max((len(here) - most) // 2, 0)
    part = here[first : first + most]
    padded = np.zeros(len(part) + 2 * reach, np.float32)
    low, high = max(first - reach, 0), min(first + len(part) + reach, len(there))
    if low < high:
        padded[low - first + reach : high - first + reach] = there[low:high]
    shared = fftconvolve(padded, part[::-1], mode="valid")
    energy = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)])
    inside = energy[len(part) :] - energy[: len(energy) - len(part)]
    values = shared / np.sqrt(np.maximum(inside, 0.25 * max(float(inside.max()), 1e-9)) * max(float(part @ part), 1e-9))
    top = int(values.argmax())
    spread = max(float(values.std()), 1e-9)
    far = np.abs(np.arange(len(values)) - top) > 0.05 * RHYTHM_RATE
    peak = float(values[top] - values.mean()) / spread
    margin = float(values[top]) / max(float(values[far].max()), 1e-3 * spread) if far.any() else 1.0
    return (peak_of(values, top) - reach) / RHYTHM_RATE, peak, margin
