"""Known changes to a sound, as data: what a mix may be like before it is mastered, and what may be wrong with it.

Each change is a value with its numbers, written to and read from JSON; the same value gives the same samples. Which
changes an item of the corpus has is drawn in recipes.py.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]  # [n_channels, n], full scale = 1


@dataclass(frozen=True, slots=True)
class Gain:
    kind: ClassVar[str] = "gain"
    db: float

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        return samples * np.float32(_ratio(self.db))


@dataclass(frozen=True, slots=True)
class Equal:
    """One second-order section of an equaliser: a low shelf, a high shelf or a bell."""

    kind: ClassVar[str] = "eq"
    shape: str  # low, high, bell
    hz: float
    db: float
    q: float = 0.707

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        return equalise([self], samples, sample_rate)

    def gains(self, hz: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
        """Linear, at each of ``hz``."""
        coefficients = biquad(self.shape, min(self.hz, 0.45 * sample_rate), self.db, self.q, sample_rate)
        z = np.exp(-2j * np.pi * hz / sample_rate)
        over, under = (c[0] + c[1] * z + c[2] * z * z for c in (coefficients[:3], coefficients[3:]))
        return np.asarray(np.abs(over / under))


@dataclass(frozen=True, slots=True)
class Squeeze:
    """A plain compressor with ratio ``ratio`` above ``threshold_db`` (of the level over about 10 ms), no make-up."""

    kind: ClassVar[str] = "squeeze"
    threshold_db: float
    ratio: float
    release_s: float = 0.15

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        from scipy.signal import lfilter

        hop = max(sample_rate // 200, 1)
        whole = -(-samples.shape[1] // hop) * hop
        power = np.square(np.pad(samples, ((0, 0), (0, whole - samples.shape[1])))).mean(axis=0)
        level = 10 * np.log10(power.reshape(-1, hop).mean(axis=1) + 1e-10)
        over = np.maximum(level - self.threshold_db, 0.0) * (1 - 1 / self.ratio)
        pole = np.exp(-hop / sample_rate / self.release_s)
        held = np.maximum(over, lfilter([1 - pole], [1, -pole], over))
        at = (np.arange(len(held)) + 0.5) * hop
        gain = np.interp(np.arange(samples.shape[1]), at, _ratio(-held)).astype(np.float32)
        return np.asarray(samples * gain)


@dataclass(frozen=True, slots=True)
class Swell:
    """A level that rises and falls by ``db`` in all, once in ``period_s``, as players do and faders."""

    kind: ClassVar[str] = "swell"
    period_s: float
    db: float

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        phase = 2 * np.pi * np.arange(samples.shape[1]) / (self.period_s * sample_rate)
        return np.asarray(samples * _ratio((np.cos(phase) - 1) * self.db / 2).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Pauses:
    """Silence for ``share`` of the time, once in ``period_s``, with edges of 20 ms, as between phrases."""

    kind: ClassVar[str] = "pauses"
    period_s: float
    share: float

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        phase = np.arange(samples.shape[1]) / sample_rate % self.period_s
        inside = np.minimum(phase, self.share * self.period_s - phase)
        return np.asarray(samples * np.clip(1 - inside / 0.02, 0, 1).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Width:
    """The sides (left - right) louder or quieter against the middle; a sound that is not stereo stays as it is."""

    kind: ClassVar[str] = "width"
    side_db: float

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        if len(samples) != 2:
            return samples
        middle, side = (samples[0] + samples[1]) / 2, (samples[0] - samples[1]) / 2 * np.float32(_ratio(self.side_db))
        return np.stack([middle + side, middle - side])


@dataclass(frozen=True, slots=True)
class Noise:
    """Steady noise ``snr_db`` below the sound's own level: white, pink (-3 dB an octave) or a hum of 50 Hz."""

    kind: ClassVar[str] = "noise"
    colour: str  # white, pink, hum
    snr_db: float
    seed: int

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        noise = _noise(self.colour, samples.shape, sample_rate, self.seed)
        level = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
        own = np.sqrt(np.mean(np.square(noise, dtype=np.float64)))
        return samples + noise * np.float32(level / max(own, 1e-12) * _ratio(-self.snr_db))


@dataclass(frozen=True, slots=True)
class Cut:
    """A stretch of silence, as a dropped-out take leaves it, with edges of 5 ms."""

    kind: ClassVar[str] = "cut"
    start_s: float
    seconds: float

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        times = np.arange(samples.shape[1]) / sample_rate
        inside = np.minimum(times - self.start_s, self.start_s + self.seconds - times)
        return samples * np.clip(1 - inside / 0.005, 0, 1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Dull:
    """Nothing above ``hz``: a lossy copy, an old tape."""

    kind: ClassVar[str] = "dull"
    hz: float

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        from scipy.signal import butter, sosfilt

        if self.hz >= 0.45 * sample_rate:
            return samples
        return np.asarray(sosfilt(butter(6, self.hz, fs=sample_rate, output="sos"), samples, axis=1), np.float32)


@dataclass(frozen=True, slots=True)
class Clip:
    """Peaks cut off ``db`` below the highest."""

    kind: ClassVar[str] = "clip"
    db: float

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        most = np.float32(np.abs(samples).max(initial=0.0) * _ratio(-self.db))
        return np.clip(samples, -most, most)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A clock that runs ``ppm`` parts in a million apart: the sound at time t is that of t * (1 + ppm / 1e6)."""

    kind: ClassVar[str] = "stretch"
    ppm: float

    def apply(self, samples: Samples, sample_rate: int) -> Samples:
        n = samples.shape[1]
        times = np.arange(n)
        at = times * (1 + self.ppm * 1e-6)
        return np.stack([np.interp(at, times, channel) for channel in samples]).astype(np.float32)


Change = Gain | Equal | Squeeze | Swell | Pauses | Width | Noise | Cut | Dull | Clip | Stretch
_KINDS: dict[str, type[Any]] = {change.kind: change for change in get_args(Change)}


def apply(changes: Iterable[Change], samples: Samples, sample_rate: int) -> Samples:
    """``samples`` [n_channels, n] with all changes made, one after the other; the argument is left as it was."""
    for kind, run in itertools.groupby(changes, type):
        if kind is Equal:
            samples = equalise([change for change in run if isinstance(change, Equal)], samples, sample_rate)
            continue
        for change in run:
            samples = change.apply(samples, sample_rate)
    return samples


def equalise(sections: Sequence[Equal], samples: Samples, sample_rate: int) -> Samples:
    """All sections at once, without a shift in phase: one transform, which took a third of the filters' time."""
    from scipy.fft import irfft, next_fast_len, rfft

    n = samples.shape[1]
    length = next_fast_len(n + sample_rate // 5, real=True)  # what rings past either end falls into the zeros
    corners = np.concatenate([[0.0], np.geomspace(10, sample_rate / 2, 2000)])
    gains = np.prod([section.gains(corners, sample_rate) for section in sections], axis=0)
    bins = np.arange(length // 2 + 1) * (sample_rate / length)
    spectrum = rfft(samples, length, axis=1)
    spectrum *= np.interp(bins, corners, gains).astype(np.float32)
    return np.asarray(irfft(spectrum, length, axis=1)[:, :n], np.float32)


def to_json(change: Change) -> dict[str, Any]:
    return {"kind": change.kind, **dataclasses.asdict(change)}


def from_json(data: Mapping[str, Any]) -> Change:
    """The change that `to_json` wrote. KeyError or TypeError for anything else."""
    values = dict(data)
    change: Change = _KINDS[values.pop("kind")](**values)
    return change


def biquad(shape: str, hz: float, db: float, q: float, sample_rate: int) -> NDArray[np.float64]:
    """[6] b0, b1, b2, a0 = 1, a1, a2 of one section, after R. Bristow-Johnson, "Cookbook formulae for audio EQ
    biquad filter coefficients" (W3C note, 2021): shelves and peaking with A = 10^(db / 40), alpha = sin(w) / 2q."""
    a, w = 10 ** (db / 40), 2 * np.pi * hz / sample_rate
    cos, alpha = np.cos(w), np.sin(w) / (2 * q)
    if shape == "bell":
        over, under = [1 + alpha * a, -2 * cos, 1 - alpha * a], [1 + alpha / a, -2 * cos, 1 - alpha / a]
    else:
        sign = 1 if shape == "low" else -1
        root = 2 * np.sqrt(a) * alpha
        up, down, turn = a + 1, a - 1, sign * cos
        over = [a * (up - down * turn + root), 2 * a * sign * (down - up * turn), a * (up - down * turn - root)]
        under = [up + down * turn + root, -2 * sign * (down + up * turn), up + down * turn - root]
    return np.asarray(np.array([*over, *under]) / under[0])


def _ratio(db: Any) -> Any:
    return 10 ** (np.asarray(db) / 20)


def _noise(colour: str, shape: tuple[int, ...], sample_rate: int, seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    if colour == "hum":
        phase = 2 * np.pi * np.arange(round(sample_rate / 50)) * 50 / sample_rate
        partials = [np.sin(k * phase + rng.uniform(0, 6.28)) / k for k in (1, 2, 3, 5)]
        return np.broadcast_to(np.resize(np.sum(partials, axis=0), shape[1]), shape).astype(np.float32)
    white = rng.standard_normal(shape, np.float32)
    if colour == "white":
        return white
    from scipy.fft import irfft, next_fast_len, rfft

    length = next_fast_len(shape[1], real=True)
    spectrum = rfft(white, length, axis=1)
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1], dtype=np.float32), 20 * length / sample_rate))
    return np.asarray(irfft(spectrum, length, axis=1)[:, : shape[1]], np.float32)
