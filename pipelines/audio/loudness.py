"""Loudness by EBU R 128 / ITU-R BS.1770-5: integrated, range, momentary, short-term, true peak.

Measured on the channels as they are; a downmix beforehand would read low. Gain changes are left to mastering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.biquads import filter_blocks
from pipelines.audio.true_peak import TruePeakMeter
from pipelines.media.audio import USUAL_CHANNELS

SILENCE = float("-inf")
ABSOLUTE_GATE = -70.0  # LUFS, BS.1770-5 annex 1
_CELLS = 100  # a second. 10 ms cells keep the maxima within 0.05 LU wherever a sound starts (Tech 3341, cases 10, 13)
_STEP = 10  # cells: windows of the gated measures move by 100 ms, 75 % overlap of 400 ms (BS.1770-5)
_MOMENTARY, _SHORT_TERM = 40, 300  # cells: 0.4 s and 3 s (Tech 3341, 2.2)
_BLOCK = 1 << 16  # samples filtered at once: half a MB for two channels, which stays in the cache

# BS.1770-5 table 4: +1.5 dB for what comes from the sides or behind; the LFE is not measured.
_SIDES = {"SL", "SR", "BL", "BR", "BC", "LS", "RS", "SDL", "SDR"}
_LFE = {"LFE", "LFE2"}


@dataclass(frozen=True, slots=True)
class Loudness:
    """All in LUFS unless said; ``-inf`` is silence.

    A sound shorter than a window is measured over the length that it has.
    """

    integrated: float  # gated, BS.1770-5
    range: float  # LU, EBU Tech 3342
    momentary: NDArray[np.float32]  # [n] 0.4 s windows; window i starts at 0.1 i s
    short_term: NDArray[np.float32]  # [n] 3 s windows; window i starts at 0.1 i s
    max_momentary: float  # over windows at every 10 ms
    max_short_term: float
    true_peak: float  # dBTP, four times oversampled
    sample_peak: float  # dBFS
    power: NDArray[np.float64]  # [n] weighted mean square of each 0.1 s, for curves with windows of one's own


def channel_weights(channels: int | Sequence[str]) -> NDArray[np.float64]:
    """Weights [n_channels] of BS.1770-5 for FFmpeg's channel names, or for the usual order of so many channels."""
    names = USUAL_CHANNELS.get(channels, ("FC",) * channels) if isinstance(channels, int) else tuple(channels)
    weigh = {**dict.fromkeys(_SIDES, 10**0.15), **dict.fromkeys(_LFE, 0.0)}
    return np.array([weigh.get(name.upper(), 1.0) for name in names])


@lru_cache(maxsize=16)
def k_weighting(sample_rate: int) -> NDArray[np.float64]:
    """The pre-filter as second-order sections [2, 6].

    BS.1770-5 tables 1 and 2 give it at 48 kHz only; the analogue prototypes behind them (a shelf of +4 dB at 1682 Hz
    and a second-order high-pass at 38 Hz) are put through the bilinear transform at any rate.
    """
    gain, f0, q = 3.99984385397, 1681.9744509555319, 0.7071752369554193
    k, vh = np.tan(np.pi * f0 / sample_rate), 10 ** (gain / 20)
    vb = vh**0.499666774155
    a0 = 1 + k / q + k * k
    shelf = [
        (vh + vb * k / q + k * k) / a0,
        2 * (k * k - vh) / a0,
        (vh - vb * k / q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    f0, q = 38.13547087613982, 0.5003270373253953
    k = np.tan(np.pi * f0 / sample_rate)
    a0 = 1 + k / q + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    return np.array([shelf, high_pass])


class LoudnessMeter:
    """Takes a sound block by block, so that an hour needs no more memory than a minute: `push`, then `finish`."""

    def __init__(self, sample_rate: int, channels: int | Sequence[str], *, true_peak: bool = True) -> None:
        self._weights = channel_weights(channels)
        self._rate = sample_rate
        self._heard = np.flatnonzero(self._weights)
        self._sections = k_weighting(sample_rate)
        self._state = np.zeros((2, len(self._heard), 2))
        self._rest = np.zeros(0)  # weighted squares of the cell begun
        self._cells: list[NDArray[np.float64]] = []  # sums of squares
        self._n_cells = self._n_samples = 0
        self._peak = TruePeakMeter(sample_rate) if true_peak else None
        self._sample_peak = 0.0

    def push(self, samples: NDArray[np.float32]) -> None:
        """``samples`` [n_channels, n], any n."""
        for start in range(0, samples.shape[1], _BLOCK):
            self._push(samples[:, start : start + _BLOCK])

    def _push(self, block: NDArray[np.float32]) -> None:
        if self._peak is not None:
            self._peak.push(block)
        heard = block if len(self._heard) == len(block) else block[self._heard]
        filtered, self._state = filter_blocks(self._sections, heard, self._state)
        np.square(filtered, out=filtered)
        squares = self._weights[self._heard] @ filtered
        begun = len(self._rest)
        whole = np.concatenate([self._rest, squares])
        first = self._n_samples - begun  # the sample at which `whole` begins
        self._n_samples += block.shape[1]
        done = self._n_samples * _CELLS // self._rate
        if done > self._n_cells:
            edges = _edge(np.arange(self._n_cells, done + 1), self._rate) - first
            self._cells.append(np.add.reduceat(whole[: edges[-1]], edges[:-1]))
            whole, self._n_cells = whole[edges[-1] :], done
        self._rest = whole.copy()

    def finish(self) -> Loudness:
        cells = np.concatenate(self._cells) if self._cells else np.zeros(0)
        lengths = np.diff(_edge(np.arange(len(cells) + 1), self._rate)).astype(np.float64)
        if len(cells) < _MOMENTARY:  # the unfinished cell counts where every millisecond does
            cells, lengths = np.append(cells, self._rest.sum()), np.append(lengths, len(self._rest))
        fine, coarse = _windows(cells, lengths, _MOMENTARY, 1), _windows(cells, lengths, _SHORT_TERM, 1)
        momentary, short_term = fine[::_STEP], coarse[::_STEP]
        steps = _windows(cells, lengths, _STEP, _STEP)
        peak = self._peak
        return Loudness(
            integrated=integrated(momentary),
            range=loudness_range(short_term),
            momentary=lufs(momentary).astype(np.float32),
            short_term=lufs(short_term).astype(np.float32),
            max_momentary=float(lufs(fine.max(initial=0.0))),
            max_short_term=float(lufs(coarse.max(initial=0.0))),
            true_peak=SILENCE if peak is None else decibels(peak.peak),
            sample_peak=SILENCE if peak is None else decibels(peak.sample_peak),
            power=steps,
        )


def measure(
    samples: NDArray[np.float32],
    sample_rate: int,
    channels: Sequence[str] | None = None,
    *,
    true_peak: bool = True,
) -> Loudness:
    """Loudness of ``samples`` [n_channels, n] or [n]; without ``channels`` (FFmpeg's names), the usual order is meant.

    ``true_peak=False`` leaves both peaks at ``-inf`` and saves a third of the time.
    """
    samples = np.atleast_2d(samples)
    meter = LoudnessMeter(sample_rate, channels or samples.shape[0], true_peak=true_peak)
    meter.push(samples)
    return meter.finish()


def lufs(power: NDArray[np.float64] | np.float64 | float) -> NDArray[np.float64]:
    """Weighted mean square -> LUFS (BS.1770-5, equation 2); 0 gives -inf."""
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(power) - 0.691)


def decibels(amplitude: float) -> float:
    """Amplitude -> dB re full scale; 0 gives -inf."""
    return float(20 * np.log10(amplitude)) if amplitude > 0 else SILENCE


def integrated(powers: NDArray[np.float64]) -> float:
    """Gated loudness of the mean squares of 0.4 s windows (BS.1770-5, equations 4 to 7)."""
    loud = powers[lufs(powers) > ABSOLUTE_GATE]
    if not len(loud):
        return SILENCE
    relative_gate = lufs(loud.mean()) - 10
    return float(lufs(loud[lufs(loud) > relative_gate].mean()))


def loudness_range(powers: NDArray[np.float64]) -> float:
    """LU between the 10th and 95th percentile of gated 3 s windows (EBU Tech 3342); 0 where nothing passes."""
    loud = powers[lufs(powers) >= ABSOLUTE_GATE]
    if not len(loud):
        return 0.0
    levels = np.sort(lufs(loud))
    levels = levels[levels >= lufs(loud.mean()) - 20]
    low, high = (levels[round((len(levels) - 1) * share)] for share in (0.10, 0.95))
    return float(high - low)


def _edge(cell: NDArray[np.int64], sample_rate: int) -> NDArray[np.int64]:
    """The first sample of a cell; exact in the long run at any rate (11,025 Hz has 110.25 samples a cell)."""
    return -(-cell * sample_rate // _CELLS)


def _windows(cells: NDArray[np.float64], lengths: NDArray[np.float64], size: int, step: int) -> NDArray[np.float64]:
    """Mean square of every window of ``size`` cells; of the whole where that is shorter."""
    size = min(size, len(cells))
    sums, counts = (np.concatenate([[0.0], np.cumsum(x)]) for x in (cells, lengths))
    start = np.arange(0, len(cells) - size + 1, step)
    # A long sum minus a longer one can end a hair below zero in digital silence.
    return np.asarray(
        np.maximum(sums[start + size] - sums[start], 0.0) / np.maximum(counts[start + size] - counts[start], 1.0)
    )
