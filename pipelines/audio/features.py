"""The feature vector of a sound: what mastering's models learn from, and one part of a piece's analysis.

It only sums up the series of spectrum.py and the loudness of loudness.py; nothing is transformed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.loudness import ABSOLUTE_GATE, Loudness, LoudnessMeter
from pipelines.audio.spectrum import N_CHROMA, N_MELS, Frames, Spectrum
from pipelines.media.audio import BLOCK, Audio, stream

PITCH_CLASSES = ("c", "cs", "d", "ds", "e", "f", "fs", "g", "gs", "a", "as", "b")
_SERIES = ("rms", "zcr", "centroid", "rolloff", "flux")
_FLOOR_DB = -100.0  # stands for the level of silence, so that every feature is a number


@dataclass(frozen=True, slots=True)
class AudioFeatures:
    vector: NDArray[np.float32]  # [n_dim], finite
    names: tuple[str, ...]  # [n_dim]
    stats: dict[str, float]  # what a person reads: duration_s, sample_rate, channels, lufs, lra, true_peak_dbtp ...


@dataclass(frozen=True, slots=True)
class Measured:
    """One pass over a sound: its series, its loudness and what its channels have in common."""

    frames: Frames
    loudness: Loudness
    n_channels: int
    correlation: float  # of the first two channels, 1 for mono
    side_db: float  # level of (left - right) / 2 below (left + right) / 2

    @property
    def duration(self) -> float:
        return float(self.frames.n_samples / self.frames.sample_rate)


def names() -> tuple[str, ...]:
    """Names of the vector's dimensions, in order."""
    mel = [f"mel_{stat}_{i:02d}" for stat in ("mean", "std") for i in range(N_MELS)]
    series = [f"{name}_{stat}" for name in _SERIES for stat in ("mean", "std")]
    level = ["lufs", "lra", "max_momentary", "max_short_term", "true_peak", "crest", "peak_to_loudness"]
    stereo = ["stereo_correlation", "side_level"]
    shape = [f"chroma_{p}" for p in PITCH_CLASSES] + ["chroma_peak", "rms_p10", "rms_p95", "dynamics", "silence"]
    return tuple(mel + series + level + stereo + shape)


def extract(path: Path | str, *, max_hours: float = 4.0) -> AudioFeatures:
    """The features of a file, decoded block by block: an hour needs hardly more memory than a minute.

    Raises BadInput as `pipelines.media.audio.stream` does.
    """
    return summarise(measure_blocks(stream(path, max_hours=max_hours)))


def vectorize(samples: NDArray[np.float32], sample_rate: int) -> AudioFeatures:
    """The features of ``samples`` [n_channels, n] or [n], full scale = 1, n >= 1, any rate from 4 kHz."""
    samples = np.atleast_2d(samples)
    pieces = (samples[:, i : i + BLOCK] for i in range(0, samples.shape[1], BLOCK))
    return summarise(measure_blocks(Audio(p, sample_rate, ()) for p in pieces))


def measure_blocks(blocks: Iterable[Audio]) -> Measured:
    """One pass over at least one block; all meters see each block while it is in the cache."""
    spectrum: Spectrum | None = None
    products = np.zeros(3)
    n_channels = 0
    for block in blocks:
        samples = np.asarray(block.samples, np.float32)
        if spectrum is None:
            n_channels = len(samples)
            spectrum = Spectrum(block.sample_rate)
            meter = LoudnessMeter(block.sample_rate, block.channels or n_channels)
        spectrum.push(_mean(samples))
        meter.push(samples)
        if n_channels > 1:
            left, right = samples[:2]
            products += (left @ left, right @ right, left @ right)
    if spectrum is None:
        raise ValueError("no block of sound")
    correlation, side = _stereo(products) if n_channels > 1 else (1.0, _FLOOR_DB)
    return Measured(spectrum.finish(), meter.finish(), n_channels, correlation, side)


def flux(mel_db: NDArray[np.float32]) -> NDArray[np.float32]:
    """[n_frames] mean rise of the mel bands in dB since the frame before (librosa's ``onset_strength``, unshifted)."""
    rise = np.diff(mel_db, axis=0, prepend=mel_db[:1])
    return np.asarray(np.maximum(rise, 0).mean(axis=1))


def summarise(measured: Measured) -> AudioFeatures:
    """The vector (see `names`): levels in dB, LUFS or LU, never below -100; frequencies in Hz; shares in 0..1."""
    frames, loud = measured.frames, measured.loudness
    mel_db = frames.mel_db
    # librosa shifts its onset strength by the lag and half a window, dropping as many frames at the end.
    shift = min(3, len(mel_db))
    rises = np.concatenate([np.zeros(shift, np.float32), flux(mel_db)[1 : len(mel_db) - shift + 1]])[: len(mel_db)]
    series = (frames.rms, frames.zero_crossings, frames.centroid, frames.rolloff, rises)
    rms = float(np.sqrt(np.mean(np.square(frames.rms, dtype=np.float64))))
    rms_db = 20 * np.log10(np.maximum(frames.rms, 1e-5))
    low, high = np.percentile(rms_db, [10, 95])
    crest = loud.sample_peak - 20 * np.log10(rms) if rms > 0 else 0.0
    chroma = frames.chroma.sum(axis=0, dtype=np.float64)
    chroma = chroma / chroma.sum() if chroma.sum() > 0 else np.full(N_CHROMA, 1 / N_CHROMA)
    lufs, momentary, short_term = (
        max(x, ABSOLUTE_GATE) for x in (loud.integrated, loud.max_momentary, loud.max_short_term)
    )
    peak = max(loud.true_peak, _FLOOR_DB)
    values = [
        *mel_db.mean(axis=0, dtype=np.float64),
        *mel_db.std(axis=0, dtype=np.float64),
        *(stat for s in series for stat in (s.mean(dtype=np.float64), s.std(dtype=np.float64))),
        *(lufs, loud.range, momentary, short_term, peak, crest, peak - lufs if rms > 0 else 0.0),
        *(measured.correlation, measured.side_db),
        *chroma,
        *(chroma.max(), low, high, high - low, np.mean(rms_db < -60)),
    ]
    stats = {
        "duration_s": measured.duration,
        "sample_rate": float(frames.sample_rate),
        "channels": float(measured.n_channels),
        "lufs": loud.integrated,
        "lra": loud.range,
        "max_momentary": loud.max_momentary,
        "max_short_term": loud.max_short_term,
        "true_peak_dbtp": loud.true_peak,
        "crest_db": float(crest),
    }
    return AudioFeatures(np.array(values, np.float32), names(), stats)


def _mean(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(samples) == 1:
        return np.asarray(samples[0])
    total = samples[0] + samples[1]  # numpy's own mean over a short first axis takes three times as long
    for channel in samples[2:]:
        total += channel
    total *= np.float32(1 / len(samples))
    return np.asarray(total)


def _stereo(products: NDArray[np.float64]) -> tuple[float, float]:
    """Correlation of left and right, and the side's level below the mid's in dB, from ll, rr and lr."""
    ll, rr, lr = products
    correlation = lr / np.sqrt(ll * rr) if ll > 0 and rr > 0 else 1.0
    mid, side = ll + rr + 2 * lr, ll + rr - 2 * lr
    if side <= 1e-10 * max(mid, 1e-30):
        return float(correlation), _FLOOR_DB
    return float(correlation), float(np.clip(10 * np.log10(side / max(mid, 1e-30)), _FLOOR_DB, -_FLOOR_DB))
