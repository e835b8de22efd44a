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
from pipelines.mastering.tape import BLOCK, Tape

_BEFORE, _AFTER = TAPS // 2, TAPS // 2  # samples around a cell that its inner points need
_ROWS = 512  # cells multiplied at once: few enough that OpenBLAS starts no threads


def oversampling(sample_rate: int) -> int:
    """Twice as fine as the meter that judges (true_peak.py): a point between its points may not slip through."""
    return 8 if sample_rate < 80_000 else 4 if sample_rate < 160_000 else 2


def cell_peaks(tape: Tape) -> NDArray[np.float64]:
    """[n_cells] highest absolute value over all channels, of the samples of a cell and of the wave around them."""
    cell = cell_size(tape.sample_rate)
    peaks = [
        _block_peaks(tape.read(start - _BEFORE, min(BLOCK, _whole(tape.n_samples - start, cell)) + TAPS), cell, tape)
        for start in range(0, tape.n_samples, BLOCK)
    ]
    return np.concatenate(peaks).astype(np.float64) if peaks else np.zeros(0)


def reductions(
    peaks: NDArray[np.float64], ceiling: float, settings: Limiter, cells_per_second: float
) -> NDArray[np.float64]:
    """[n_cells + 1] dB >= 0 at the cells' edges, with which no cell's peak (linear) exceeds ``ceiling`` (linear)."""
    from scipy.ndimage import correlate1d, maximum_filter1d

    if not len(peaks):
        return np.zeros(1)
    with np.errstate(divide="ignore"):
        over = np.maximum(20 * np.log10(peaks / ceiling), 0.0)
    if not over.any():
        return np.zeros(len(peaks) + 1)
    held = falling(over, settings.release_ms / 1000 * cells_per_second)
    edges = np.maximum(np.append(held, held[-1]), np.insert(held, 0, held[0]))
    half = max(1, round(settings.lookahead_ms / 1000 * cells_per_second))
    # Every value that the window averages is a maximum over a stretch that holds the peak, so the mean is no lower.
    highest = maximum_filter1d(edges, 2 * half + 1, mode="nearest")
    window = np.hanning(2 * half + 3)[1:-1]
    return np.asarray(correlate1d(highest, window / window.sum(), mode="nearest"))


def _whole(n: int, cell: int) -> int:
    return -(-n // cell) * cell


def _block_peaks(wave: NDArray[np.float32], cell: int, tape: Tape) -> NDArray[np.float32]:
    """``wave`` [n_channels, _BEFORE + n + _AFTER] -> [n / cell]."""
    matrix = _matrix(cell, oversampling(tape.sample_rate))
    n = (wave.shape[1] - TAPS) // cell
    samples = np.abs(wave[:, _BEFORE : _BEFORE + n * cell]).reshape(len(wave), n, cell).max(axis=(0, 2))
    for channel in wave:
        windows = np.lib.stride_tricks.sliding_window_view(channel, cell + TAPS)[::cell][:n]
        for start in range(0, n, _ROWS):
            points = windows[start : start + _ROWS] @ matrix
            found = np.maximum(points.max(axis=1), -points.min(axis=1))
            np.maximum(samples[start : start + _ROWS], found, out=samples[start : start + _ROWS])
    return np.asarray(samples)


@lru_cache(maxsize=8)
def _matrix(cell: int, factor: int) -> NDArray[np.float32]:
    """[cell + TAPS, (cell + 1) * (factor - 1)]: the points between samples, from just before a cell to just after."""
    taps = interpolator(factor)
    matrix = np.zeros((cell + TAPS, cell + 1, factor - 1), np.float32)
    for i in range(cell + 1):
        matrix[i : i + TAPS, i] = taps
    return matrix.reshape(len(matrix), -1)
