"""The tone of a sound: how its low end and its top end stand against its mids, and two shelves that move them.

How far they may go is a preset's; both are measured over the whole sound and set once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.mastering.presets import Tone

LOW_BAND, MID_BAND, HIGH_BAND = (30.0, 150.0), (300.0, 3000.0), (6000.0, 14000.0)  # Hz
SUBSONIC_HZ = 18.0  # below it is nothing to hear and much that takes headroom, such as an offset
_LFE = {"LFE", "LFE2"}
_NOTHING = 30.0  # dB below the wanted level: such a band is empty, and lifting it would lift noise
_RESOLUTION = 6.0  # Hz
_EDGE = 0.45  # of the sample rate: what lies above is the converter's filter


@dataclass(frozen=True, slots=True)
class Balance:
    """Level per octave against the mids in dB; None where there is no such band or nothing in the mids."""

    low_db: float | None
    high_db: float | None


class Spectrograph:
    """Mean power spectrum of a sound taken block by block: all channels summed, Hann, half overlapped."""

    def __init__(self, sample_rate: int) -> None:
        self.n_fft = int(2 ** np.ceil(np.log2(max(sample_rate / _RESOLUTION, 256))))
        self.sample_rate = sample_rate
        self._window = np.hanning(self.n_fft + 1)[:-1].astype(np.float32)
        self._power = np.zeros(self.n_fft // 2 + 1)
        self._rest: NDArray[np.float32] | None = None
        self._count = 0

    def push(self, block: NDArray[np.float32]) -> None:
        """``block`` [n_channels, n]."""
        wave = block if self._rest is None else np.concatenate([self._rest, block], axis=1)
        n = max(0, (wave.shape[1] - self.n_fft) // (self.n_fft // 2) + 1)
        self._add(wave, n)
        self._rest = wave[:, n * (self.n_fft // 2) :].copy()

    def power(self) -> NDArray[np.float64]:
        """[n_fft / 2 + 1] mean power of a bin; a sound shorter than a window is filled up with zeros."""
        if not self._count and self._rest is not None and self._rest.size:
            self._add(np.pad(self._rest, ((0, 0), (0, self.n_fft - self._rest.shape[1]))), 1)
        return self._power / max(self._count, 1)

    @property
    def hz(self) -> NDArray[np.float64]:
        return np.arange(len(self._power)) * self.sample_rate / self.n_fft

    def balance(self) -> Balance:
        power, hz = self.power(), self.hz
        mid = _per_octave(power, hz, MID_BAND, self.sample_rate)
        if mid is None:
            return Balance(None, None)
        low, high = (_per_octave(power, hz, band, self.sample_rate) for band in (LOW_BAND, HIGH_BAND))
        return Balance(None if low is None else low - mid, None if high is None else high - mid)

    def _add(self, wave: NDArray[np.float32], n: int) -> None:
        from scipy.fft import rfft

        for channel in wave if n else ():
            frames = np.lib.stride_tricks.sliding_window_view(channel, self.n_fft)[:: self.n_fft // 2][:n]
            spectra = rfft(frames * self._window, axis=1)
            self._power += (spectra.real**2 + spectra.imag**2).sum(axis=0, dtype=np.float64)
        self._count += n


def tonal(channels: Sequence[str]) -> list[int]:
    """Which channels have a tone to speak of: all but the LFE, unless there is nothing else."""
    return [i for i, name in enumerate(channels) if name.upper() not in _LFE] or list(range(len(channels)))


def gains(found: Balance, tone: Tone) -> tuple[float, float]:
    """(low, high) dB of the shelves that go ``tone.strength`` of the way from ``found`` to the wanted balance."""
    return _gain(found.low_db, tone.low_db, tone), _gain(found.high_db, tone.high_db, tone)


def sections(low_db: float, high_db: float, tone: Tone, sample_rate: int) -> NDArray[np.float64]:
    """[k, 6] second-order sections: a subsonic high-pass, then the shelves (RBJ's Audio EQ Cookbook, S = 1).

    A high shelf whose corner does not fit below the sample rate's edge is left out.
    """
    chain = [_high_pass(SUBSONIC_HZ, sample_rate)]
    if low_db:
        chain.append(_shelf(low_db, tone.low_hz, sample_rate, high=False))
    if high_db and tone.high_hz < _EDGE * sample_rate:
        chain.append(_shelf(high_db, tone.high_hz, sample_rate, high=True))
    return np.array(chain)


def _gain(found: float | None, wanted: float, tone: Tone) -> float:
    if found is None or found < wanted - _NOTHING:
        return 0.0
    return float(np.clip(tone.strength * (wanted - found), -tone.bound_db, tone.bound_db))


def _per_octave(
    power: NDArray[np.float64], hz: NDArray[np.float64], band: tuple[float, float], sample_rate: int
) -> float | None:
    low, high = band[0], min(band[1], _EDGE * sample_rate)
    if high < low * 2**0.5:  # half an octave is the least that tells anything
        return None
    total = float(power[(hz >= low) & (hz < high)].sum())
    return 10 * np.log10(total / np.log2(high / low)) if total > 1e-12 else None


def _shelf(gain_db: float, hz: float, sample_rate: int, *, high: bool) -> list[float]:
    a = 10 ** (gain_db / 40)
    w = 2 * np.pi * hz / sample_rate
    # The high shelf is the low shelf with the cosine's sign turned, and so are the signs of b1 and a1.
    c = -np.cos(w) if high else np.cos(w)
    sign = -1.0 if high else 1.0
    root = 2 * np.sqrt(a) * np.sin(w) / 2 * np.sqrt(2)
    b = [a * ((a + 1) - (a - 1) * c + root), sign * 2 * a * ((a - 1) - (a + 1) * c), a * ((a + 1) - (a - 1) * c - root)]
    d = [(a + 1) + (a - 1) * c + root, sign * -2 * ((a - 1) + (a + 1) * c), (a + 1) + (a - 1) * c - root]
    return [b[0] / d[0], b[1] / d[0], b[2] / d[0], 1.0, d[1] / d[0], d[2] / d[0]]


def _high_pass(hz: float, sample_rate: int) -> list[float]:
    """Second-order Butterworth by the bilinear transform."""
    k = np.tan(np.pi * hz / sample_rate)
    a0 = 1 + np.sqrt(2) * k + k * k
    return [1 / a0, -2 / a0, 1 / a0, 1.0, 2 * (k * k - 1) / a0, (1 - np.sqrt(2) * k + k * k) / a0]
