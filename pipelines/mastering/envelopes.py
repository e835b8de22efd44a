"""Control signals: one value for each cell of about 0.7 ms, since a gain need not change faster than that.

What reduces the gain, and by how much, is decided in compressor.py and limiter.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RATE = 1500  # cells a second, about


def cell_size(sample_rate: int) -> int:
    """Samples a cell: a power of two, 32 at 44.1 and 48 kHz."""
    return int(2 ** round(np.log2(max(sample_rate / _RATE, 2))))


def falling(values: NDArray[np.float64], cells: float) -> NDArray[np.float64]:
    """y[n] = max(x[n], y[n - 1] exp(-1 / cells)): rises at once and falls exponentially. ``values`` >= 0, [n].

    In logarithms the fall is a straight line, which turns the recursion into a running maximum.
    """
    line = np.arange(len(values)) / cells
    with np.errstate(divide="ignore"):
        level = np.log(values)
    level += line
    np.maximum.accumulate(level, out=level)
    level -= line
    return np.asarray(np.exp(level))


def smoothed(values: NDArray[np.float64], cells: float) -> NDArray[np.float64]:
    """One-pole low-pass with a time constant of ``cells``, settled at the first value."""
    from scipy.signal import lfilter

    if not len(values):
        return values
    keep = np.exp(-1 / max(cells, 1e-3))
    return np.asarray(lfilter([1 - keep], [1, -keep], values, zi=[keep * values[0]])[0])


def along(nodes: NDArray[np.float64], cell: int, start: int, n: int) -> NDArray[np.float32]:
    """[n] gains of samples ``start`` (a cell's first) to start + n: straight lines between the ``nodes``.

    Node j lies at sample j * cell, so a stretch never exceeds the higher of its two ends.
    """
    first = start // cell
    ends = nodes[first : first + -(-n // cell) + 1].astype(np.float32)
    ramp = np.arange(cell, dtype=np.float32) / cell
    gains = ends[:-1, None] + np.diff(ends)[:, None] * ramp
    return np.asarray(gains.reshape(-1)[:n])
