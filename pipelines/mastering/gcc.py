"""How well two sounds match at each lag: GCC-PHAT (Knapp and Carter, 1976) by bands, whose sizes are added.

Only this correlation lives here; where to listen is left to listening.py, lines over windows to drift.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 8000  # Hz, of every sound here
STEP = 0.002  # s between the lags of `search`: the size of a band of 250 Hz changes no faster
FINE_STEP = 0.0005  # s between the lags of `look`
_LOWEST, _WIDTH, _N_BANDS = 100, 250, 15  # Hz: 100 to 3850
_WHITEN = 0.85  # 1 is PHAT; a little less trusts bins that stand out of noise more
_CAP = 12.0  # times chance; chance itself reaches it once in 160,000
_BLOCK = 10  # Hz that `response` takes together: it then reaches +-50 ms


@dataclass(frozen=True, slots=True)
class Match:
    """Strength at each lag, the mean over bands; 1 is what chance gives.

    ``capped`` counts no band above 12: what one chord or one drum gives by accident falls away against what the whole
    band of frequencies says.
    """

    strength: NDArray[np.float32]  # [n_lags]
    capped: NDArray[np.float32]  # [n_lags]


def cut(sound: NDArray[np.float32], start: int, n: int) -> NDArray[np.float32]:
    """[n] samples from ``start`` on; zeros where the sound has none."""
    out = np.zeros(n, np.float32)
    first, last = max(start, 0), min(start + n, len(sound))
    if first < last:
        out[first - start : last - start] = sound[first:last]
    return out


def search(inst: NDArray[np.float32], vocal: NDArray[np.float32], start: int, n: int, reach: float) -> Match:
    """Lags -reach .. reach, `STEP` apart, of ``vocal[start : start + n]`` in ``inst``.

    The bands' correlations are made complex and their sizes added: a stem that was filtered, turned in polarity or
    panned keeps its peak, which a plain sum over frequencies can lose.
    """
    from scipy.fft import ifft, next_fast_len

    pad = round(reach * RATE)
    size = 160 * next_fast_len(-(-(n + 2 * pad) // 160))
    cross = _whitened(cut(inst, start - pad, n + 2 * pad), cut(vocal, start, n), size)
    count = round(2 * reach / STEP) + 1
    bands = np.abs(ifft(cross, 2 * cross.shape[1], axis=1)[:, :count]) ** 2
    bands /= np.maximum(bands.mean(axis=1, keepdims=True), 1e-30)
    return Match(np.asarray(bands.mean(axis=0), np.float32), np.asarray(np.minimum(bands, _CAP).mean(axis=0)))


def whitened_pair(
    inst: NDArray[np.float32], vocal: NDArray[np.float32], start: int, n: int, shift: int, slope: float
) -> NDArray[np.complex64]:
    """[15, n * 250 / 8000] cross-spectrum of n samples (a multiple of 160), ``shift`` samples apart in their middle.

    Its phase tells what lag remains. Both are faded in and out, since their ends may hold other music. ``slope`` (s of
    lag a second) is followed by whole samples: at most 63 us of blur, where 120 ppm would blur 8 s by 1 ms.
    """
    from scipy.signal.windows import tukey

    fade = tukey(n, 0.25).astype(np.float32)
    bend = np.rint((np.arange(n) - n / 2) * slope).astype(np.int64)
    margin = int(np.abs(bend[[0, -1]]).max())
    there = cut(inst, start + shift - margin, n + 2 * margin)
    if margin:
        there = there[np.arange(n) + bend + margin]
    return _whitened(there * fade, cut(vocal, start, n) * fade, n)


def look(cross: NDArray[np.complex64], n: int, reach: float) -> NDArray[np.float32]:
    """[n_lags] strength at the remaining lags -reach .. reach, `FINE_STEP` apart; 1 is what chance gives."""
    half = round(reach / FINE_STEP)
    lags = np.arange(-half, half + 1) * FINE_STEP
    hz = np.arange(cross.shape[1]) * (RATE / n)
    turn = np.exp(2j * np.pi * np.outer(hz, lags)).astype(np.complex64)
    chance = np.maximum((np.abs(cross) ** 2).sum(axis=1, keepdims=True), 1e-30)
    return np.asarray((np.abs(cross @ turn) ** 2 / chance).mean(axis=0), np.float32)


def narrowed(cross: NDArray[np.complex64], n: int, remaining: float) -> NDArray[np.complex64]:
    """[375] the cross-spectrum with ``remaining`` s of lag taken out, in blocks of 10 Hz: windows can then be added."""
    flat = cross.ravel()
    hz = _LOWEST + np.arange(len(flat)) * (RATE / n)
    straight = flat * np.exp(2j * np.pi * hz * remaining)
    edges = np.searchsorted(hz, np.arange(_LOWEST, _LOWEST + _WIDTH * _N_BANDS, _BLOCK) - 1e-9)
    return np.asarray(np.add.reduceat(straight, edges), np.complex64)


def response(spectrum: NDArray[np.complex64], reach: float, step: float) -> NDArray[np.float32]:
    """[n_lags] size of the impulse response from vocal to instrumental at -reach .. reach, from `narrowed` spectra."""
    half = round(reach / step)
    hz = _LOWEST + _BLOCK * (np.arange(len(spectrum)) + 0.5)
    turn = np.exp(2j * np.pi * np.outer(np.arange(-half, half + 1) * step, hz))
    return np.asarray(np.abs(turn @ spectrum), np.float32)


def peak_of(strength: NDArray[np.floating], index: int) -> float:
    """Index of the top of the parabola through a maximum and its neighbours."""
    if not 0 < index < len(strength) - 1:
        return float(index)
    left, top, right = (float(v) for v in strength[index - 1 : index + 2])
    bend = left - 2 * top + right
    return float(index) if bend >= 0 else index + float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5))


def _whitened(inst: NDArray[np.float32], vocal: NDArray[np.float32], size: int) -> NDArray[np.complex64]:
    """[15, size * 250 / 8000]; ``size`` is a multiple of 160, so that bands begin on bins."""
    from scipy.fft import rfft

    first, width = _LOWEST * size // RATE, _WIDTH * size // RATE
    used = slice(first, first + width * _N_BANDS)
    cross = rfft(inst, size)[used] * np.conj(rfft(vocal, size)[used])
    magnitude = np.abs(cross)
    floor = max(float(magnitude.mean()) * 1e-9, 1e-30)  # bins of digital silence stay silent
    return np.asarray((cross / (magnitude + floor) ** _WHITEN).reshape(_N_BANDS, width), np.complex64)
