"""A look-ahead true-peak limiter: peaks of cells in, gains out. It only turns down, and never adds gain.

The gain falls before a peak and is never above what the peak allows; measuring the result is left to chain.py.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.true_peak import TAPS, interpolator
from pipelines.mastering.envelopes import cell_size, falling
from pipelines.mastering.presets import Limiter
from pipelines.mastering.tape import Tape

# s before the gain returns. It bridges the half waves of low notes, which would otherwise be bent: a tone of 30 Hz,
# 6 dB over the ceiling, has its distortion 41 dB below it without, and 137 dB below with it.
HOLD = 0.010
_ROWS = 64  # cells multiplied at once: from 128 on OpenBLAS starts threads, which took twenty times as long


def oversampling(sample_rate: int) -> int:
    """Twice as fine as the meter that judges (true_peak.py): a point between its points may not slip through."""
    return 8 if sample_rate < 80_000 else 4 if sample_rate < 160_000 else 2


class CellPeaks:
    """Takes a sound block by block; `finish` tells every cell's highest absolute value over all channels.

    Points between samples count as samples do, those just before and just after a cell with it.
    """

    def __init__(self, sample_rate: int) -> None:
        self._cell = cell_size(sample_rate)
        self._matrix = _matrix(self._cell, oversampling(sample_rate))
        self._wave: NDArray[np.float32] | None = None  # begins TAPS / 2 before the next cell
        self._peaks: list[NDArray[np.float32]] = []

    def push(self, block: NDArray[np.float32]) -> None:
        """``block`` [n_channels, n], any n."""
        wave = np.zeros((len(block), TAPS // 2), np.float32) if self._wave is None else self._wave
        wave = np.concatenate([wave, block], axis=1)
        n = max(0, (wave.shape[1] - TAPS) // self._cell)
        if n:
            self._peaks.append(self._highest(wave, n))
        self._wave = wave[:, n * self._cell :].copy()

    def finish(self) -> NDArray[np.float64]:
        """[n_cells], linear; the last cell may be a part of one."""
        if self._wave is not None:
            left = self._wave.shape[1] - TAPS // 2
            n = -(-left // self._cell)
            missing = n * self._cell - left + TAPS // 2
            if n:
                self._peaks.append(self._highest(np.pad(self._wave, ((0, 0), (0, missing))), n))
            self._wave = None
        return np.concatenate(self._peaks).astype(np.float64) if self._peaks else np.zeros(0)

    def _highest(self, wave: NDArray[np.float32], n: int) -> NDArray[np.float32]:
        """``wave`` [n_channels, TAPS / 2 + n cells + TAPS / 2 or more] -> [n]."""
        inside = wave[:, TAPS // 2 : TAPS // 2 + n * self._cell]
        peaks = np.abs(inside).reshape(len(wave), n, self._cell).max(axis=(0, 2))
        for channel in wave:
            windows = np.lib.stride_tricks.sliding_window_view(channel, self._cell + TAPS)[:: self._cell][:n]
            for start in range(0, n, _ROWS):
                # Copied, since BLAS takes no rows that overlap.
                points = np.ascontiguousarray(windows[start : start + _ROWS]) @ self._matrix
                found = np.maximum(points.max(axis=1), -points.min(axis=1))
                np.maximum(peaks[start : start + _ROWS], found, out=peaks[start : start + _ROWS])
        return np.asarray(peaks)


def cell_peaks(tape: Tape) -> NDArray[np.float64]:
    """`CellPeaks` of a whole tape."""
    cells = CellPeaks(tape.sample_rate)
    for block in tape.blocks():
        cells.push(block)
    return cells.finish()


def reductions(
    peaks: NDArray[np.float64], ceiling: float, settings: Limiter, cells_per_second: float, *, hold: float = HOLD
) -> NDArray[np.float64]:
    """[n_cells + 1] dB >= 0 at the cells' edges, with which no cell's peak (linear) exceeds ``ceiling`` (linear)."""
    from scipy.ndimage import correlate1d, maximum_filter1d

    if not len(peaks):
        return np.zeros(1)
    with np.errstate(divide="ignore"):
        over = np.maximum(20 * np.log10(peaks / ceiling), 0.0)
    if not over.any():
        return np.zeros(len(peaks) + 1)
    held_cells = round(hold * cells_per_second)
    over = maximum_filter1d(over, held_cells + 1, mode="constant", origin=held_cells // 2)  # of the cells before
    held = falling(over, settings.release_ms / 1000 * cells_per_second)
    edges = np.maximum(np.append(held, held[-1]), np.insert(held, 0, held[0]))
    half = max(1, round(settings.lookahead_ms / 1000 * cells_per_second))
    # Every value that the window averages is a maximum over a stretch that holds the peak, so the mean is no lower.
    highest = maximum_filter1d(edges, 2 * half + 1, mode="nearest")
    window = np.hanning(2 * half + 3)[1:-1]
    return np.asarray(correlate1d(highest, window / window.sum(), mode="nearest"))


@lru_cache(maxsize=8)
def _matrix(cell: int, factor: int) -> NDArray[np.float32]:
    """[cell + TAPS, (cell + 1) * (factor - 1)]: the points between samples, from just before a cell to just after."""
    taps = interpolator(factor)
    matrix = np.zeros((cell + TAPS, cell + 1, factor - 1), np.float32)
    for i in range(cell + 1):
        matrix[i : i + TAPS, i] = taps
    return matrix.reshape(len(matrix), -1)
