"""True peak (ITU-R BS.1770-5, annex 2): the highest point of the wave between its samples, by oversampling.

Only places that could hold the peak are oversampled. Limiting it is left to mastering.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

TAPS = 16  # a phase; annex 2 asks for 12, and 16 read a sine near fs/4 to within 0.02 dB
_CHUNK = 16  # samples that are interpolated or skipped together
_COARSE = 256  # samples that are looked at first: a maximum over so many is cheap, over 16 it is not
_ROWS = 512  # chunks multiplied at once: few enough that OpenBLAS starts no threads, which cost more than they save


@lru_cache(maxsize=4)
def interpolator(factor: int) -> NDArray[np.float32]:
    """[TAPS, factor - 1]: a Kaiser-windowed sinc for the points between sample TAPS/2 - 1 and the next."""
    between = np.arange(1, factor) / factor
    offset = np.arange(TAPS)[:, None] - (TAPS // 2 - 1) - between[None, :]
    window = np.i0(6.0 * np.sqrt(np.clip(1 - (offset / (TAPS / 2)) ** 2, 0, None))) / np.i0(6.0)
    taps = np.sinc(offset) * window
    return np.asarray(taps / taps.sum(axis=0), np.float32)  # a constant stays what it is


@lru_cache(maxsize=4)
def _matrix(factor: int) -> tuple[NDArray[np.float32], float]:
    """[_CHUNK + TAPS - 1, _CHUNK * (factor - 1)] that interpolates a whole chunk, and its greatest gain."""
    taps = interpolator(factor)
    matrix = np.zeros((_CHUNK + TAPS - 1, _CHUNK, factor - 1), np.float32)
    for i in range(_CHUNK):
        matrix[i : i + TAPS, i] = taps
    return matrix.reshape(len(matrix), -1), float(np.abs(taps).sum(axis=0).max())


class TruePeakMeter:
    """Takes a sound block by block; ``peak`` and ``sample_peak`` are the highest absolute values so far (linear)."""

    def __init__(self, sample_rate: int) -> None:
        self.factor = 4 if sample_rate < 80_000 else 2 if sample_rate < 160_000 else 1  # annex 2: to 192 kHz
        self.sample_peak = 0.0
        self._between = 0.0
        self._tail: NDArray[np.float32] | None = None

    @property
    def peak(self) -> float:
        if self._tail is not None:  # the wave rings on for half a filter after its last sample
            tail, self._tail = self._tail, None
            self._interpolate(np.concatenate([tail, np.zeros_like(tail)], axis=1))
            self._tail = tail
        return max(self.sample_peak, self._between)

    def push(self, block: NDArray[np.float32]) -> None:
        """``block`` [n_channels, n]."""
        self.sample_peak = max(self.sample_peak, float(block.max(initial=0.0)), -float(block.min(initial=0.0)))
        if self.factor == 1:
            return
        tail = np.zeros((len(block), TAPS - 1), np.float32) if self._tail is None else self._tail
        joined = np.concatenate([tail, block], axis=1)
        self._interpolate(joined)
        self._tail = joined[:, -(TAPS - 1) :]

    def _interpolate(self, wave: NDArray[np.float32]) -> None:
        n = max(1, -(-(wave.shape[1] - TAPS + 1) // _COARSE))
        missing = n * _COARSE + TAPS - 1 - wave.shape[1]
        wave = np.pad(wave, ((0, 0), (0, missing))) if missing else wave
        # A point between samples is at most `gain` times the highest sample that the filter touches there.
        height = np.abs(wave)
        highest = height[:, : n * _COARSE].reshape(len(wave), n, _COARSE).max(axis=2)
        after = np.append(highest[:, 1:], height[:, n * _COARSE :].max(axis=1, keepdims=True), axis=1)
        reach = _matrix(self.factor)[1] * np.maximum(highest, after)
        best = int(reach.argmax())  # the likeliest place first: it raises the bar for all others
        self._look_closer(wave, height, after, np.unravel_index([best], reach.shape))
        self._look_closer(wave, height, after, np.nonzero(reach > max(self.sample_peak, self._between)))

    def _look_closer(
        self,
        wave: NDArray[np.float32],
        height: NDArray[np.float32],
        after: NDArray[np.float32],
        places: tuple[NDArray[np.intp], ...],
    ) -> None:
        """Interpolates those chunks within the coarse ``places`` (channels, numbers) that could hold the peak."""
        matrix, gain = _matrix(self.factor)
        channel, coarse = places
        per = _COARSE // _CHUNK
        fine = height[:, : height.shape[1] - TAPS + 1].reshape(len(wave), -1, per, _CHUNK)[channel, coarse].max(axis=2)
        following = np.append(fine[:, 1:], after[channel, coarse][:, None], axis=1)
        row, inner = np.nonzero(gain * np.maximum(fine, following) > max(self.sample_peak, self._between))
        windows = np.lib.stride_tricks.sliding_window_view(wave, _CHUNK + TAPS - 1, axis=1)[:, ::_CHUNK]
        chosen = windows[channel[row], coarse[row] * per + inner]
        for start in range(0, len(chosen), _ROWS):
            points = chosen[start : start + _ROWS] @ matrix
            self._between = max(self._between, float(points.max()), -float(points.min()))
