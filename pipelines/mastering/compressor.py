"""A feed-forward compressor over the loudness of the channels together: levels of cells in, reductions in dB out.

Gain computer and decoupled detector as in Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design"
(JAES 60, 2012). Applying the reductions is left to chain.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.biquads import filter_blocks
from pipelines.audio.loudness import channel_weights, k_weighting, lufs
from pipelines.mastering.envelopes import cell_size, falling, smoothed
from pipelines.mastering.presets import Compressor

_WINDOW = 0.010  # s over which power is averaged before the gain computer: a period of 100 Hz
_DEAF_HZ = 100.0  # the detector hardly hears below: a bass drum shall not pull the voices down with it
_GATE = 10.0  # LU below the integrated loudness: what is softer does not count in the mean reduction
_LEAST_RATIO = 1.5  # of a preset that does not compress, when a reduction is asked for all the same


class Detector:
    """Loudness of each cell, K-weighted, channels summed by BS.1770-5, taken block by block."""

    def __init__(self, sample_rate: int, channels: int | Sequence[str]) -> None:
        weights = channel_weights(channels)
        self._heard = np.flatnonzero(weights)
        self._weights = weights[self._heard]
        self._cell = cell_size(sample_rate)
        self._sections = np.concatenate([k_weighting(sample_rate), _deaf(sample_rate)])
        self._state = np.zeros((len(self._sections), len(self._heard), 2))
        self._powers: list[NDArray[np.float64]] = []

    def push(self, block: NDArray[np.float32]) -> None:
        """``block`` [n_channels, n], n a multiple of the cell for all but the last."""
        filtered, self._state = filter_blocks(self._sections, block[self._heard], self._state)
        squares = self._weights @ np.square(filtered)
        missing = -len(squares) % self._cell
        self._powers.append(np.pad(squares, (0, missing)).reshape(-1, self._cell).mean(axis=1))

    def levels(self) -> NDArray[np.float64]:
        """[n_cells] LUFS; silence is -120."""
        power = np.concatenate(self._powers) if self._powers else np.zeros(0)
        return np.asarray(lufs(np.maximum(power, 1e-12)))


def reductions(
    levels: NDArray[np.float64], integrated: float, settings: Compressor, cells_per_second: float
) -> NDArray[np.float64]:
    """[n_cells] dB >= 0 for ``levels`` in LUFS of a sound whose loudness is ``integrated``."""
    if settings.ratio == 1.0:
        return np.zeros(len(levels))
    power = smoothed(10 ** (levels / 10), _WINDOW * cells_per_second)
    over = 10 * np.log10(np.maximum(power, 1e-12)) - integrated - settings.threshold_lu
    knee = max(settings.knee_db, 1e-3)
    bent = np.square(np.maximum(over + knee / 2, 0)) / (2 * knee)
    wanted = (1 - 1 / settings.ratio) * np.where(over < knee / 2, bent, over)
    held = falling(wanted, settings.release_ms / 1000 * cells_per_second)
    return smoothed(held, settings.attack_ms / 1000 * cells_per_second)


def mean_reduction(reduction: NDArray[np.float64], levels: NDArray[np.float64], integrated: float) -> float:
    """dB, over what is not much softer than the sound as a whole; 0 for silence."""
    heard = levels > integrated - _GATE
    return float(reduction[heard].mean()) if heard.any() else 0.0


def reaching(
    mean_db: float, levels: NDArray[np.float64], integrated: float, settings: Compressor, cells_per_second: float
) -> Compressor:
    """``settings`` with the threshold at which the mean reduction is ``mean_db`` (within 0.02 dB, if it can be)."""
    if mean_db <= 0:
        return replace(settings, ratio=1.0)
    settings = replace(settings, ratio=max(settings.ratio, _LEAST_RATIO))
    low, high = -40.0, 30.0  # LU; the mean falls as the threshold rises
    for _ in range(14):
        middle = (low + high) / 2
        tried = reductions(levels, integrated, replace(settings, threshold_lu=middle), cells_per_second)
        if mean_reduction(tried, levels, integrated) > mean_db:
            low = middle
        else:
            high = middle
    return replace(settings, threshold_lu=(low + high) / 2)


def _deaf(sample_rate: int) -> NDArray[np.float64]:
    from scipy.signal import butter

    return np.asarray(butter(2, _DEAF_HZ, "highpass", fs=sample_rate, output="sos"))
