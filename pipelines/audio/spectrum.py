"""The one short-time Fourier transform of a sound, block by block, and what is read off it frame by frame.

Features, beats, onsets and sections all start from these series; what they mean is left to those modules.
Frames are librosa's: centred, Hann, zeros beyond both ends, so frame t lies around t * hop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

N_MELS = 64
N_CHROMA = 12
FINE = 8  # energy cells a hop: 1.3 ms at 48 kHz, for times finer than a frame
ROLLOFF = 0.85  # librosa's default
_FRAMES = 128  # at once: 1 MB each for the windowed frames and their spectra, so both stay in the cache
_BLOCK = 1 << 16  # samples taken in at once
_GROUP = 8  # mel bands multiplied at once
_CHUNK = 32  # bins that the rolloff sums together before it looks closer
_CHROMA_RANGE = (110.0, 4200.0)  # Hz: below, a bin is wider than a semitone; above, it is mostly noise


@dataclass(frozen=True, slots=True)
class Frames:
    """Series of a mono sound; frame t is centred on t * hop / sample_rate seconds."""

    sample_rate: int
    n_fft: int
    hop: int
    n_samples: int
    mel: NDArray[np.float32]  # [n_frames, 64] power
    chroma: NDArray[np.float32]  # [n_frames, 12] power by pitch class, C first
    centroid: NDArray[np.float32]  # [n_frames] Hz
    rolloff: NDArray[np.float32]  # [n_frames] Hz
    rms: NDArray[np.float32]  # [n_frames]
    zero_crossings: NDArray[np.float32]  # [n_frames], share of samples
    attack: NDArray[np.float32]  # [n_cells] energy of the differentiated wave; cell c covers hop / FINE samples

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop

    @property
    def mel_db(self) -> NDArray[np.float32]:
        """[n_frames, 64] dB re 1, no more than 80 dB below the loudest (librosa's ``power_to_db``)."""
        level = 10 * np.log10(np.maximum(self.mel, np.float32(1e-10)))
        return np.asarray(np.maximum(level, level.max(initial=-100.0) - 80), np.float32)


def frame_size(sample_rate: int) -> tuple[int, int]:
    """(n_fft, hop): 2048 and 512 as in librosa from 16 to 64 kHz, and about as long in time at other rates."""
    scale = 1.0
    while sample_rate * scale < 16_000:
        scale *= 2
    while sample_rate * scale > 64_000:
        scale /= 2
    n_fft = max(int(2048 / scale), 256)
    return n_fft, n_fft // 4


def mel_corners(sample_rate: int, n_mels: int = N_MELS) -> NDArray[np.float64]:
    """[n_mels + 2] Hz, 0 to half the rate; band i lies around corner i + 1.

    Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, 200/3 Hz a mel; then a factor of 6.4 every 27 mel.
    """
    linear, per_log = 200 / 3, np.log(6.4) / 27
    nyquist = sample_rate / 2
    top = nyquist / linear if nyquist < 1000 else 15 + np.log(nyquist / 1000) / per_log
    mels = np.linspace(0, top, n_mels + 2)
    return np.where(mels < 15, mels * linear, 1000 * np.exp(per_log * (np.maximum(mels, 15) - 15)))


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, n_fft: int, n_mels: int = N_MELS) -> NDArray[np.float32]:
    """[n_fft / 2 + 1, n_mels] triangles of equal area, 0 Hz to half the rate."""
    corners = mel_corners(sample_rate, n_mels)
    bins = np.arange(n_fft // 2 + 1)[:, None] * sample_rate / n_fft
    low, mid, high = corners[:-2], corners[1:-1], corners[2:]
    triangles = np.maximum(0, np.minimum((bins - low) / (mid - low), (high - bins) / (high - mid)))
    return np.asarray(triangles * 2 / (high - low), np.float32)


@lru_cache(maxsize=8)
def chroma_filters(sample_rate: int, n_fft: int) -> NDArray[np.float32]:
    """[n_fft / 2 + 1, 12]: each bin's power goes to the two nearest pitch classes (A4 = 440 Hz)."""
    hz = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    heard = (hz >= _CHROMA_RANGE[0]) & (hz <= _CHROMA_RANGE[1])
    pitch = 69 + 12 * np.log2(np.maximum(hz, 1.0) / 440)
    distance = np.abs((pitch[:, None] - np.arange(12) + 6) % 12 - 6)
    return np.asarray(np.clip(1 - distance, 0, 1) * heard[:, None], np.float32)


@lru_cache(maxsize=8)
def _bands(sample_rate: int, n_fft: int) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """The filters cut into dense blocks (bins, columns, weights): a sixth of the full product's work.

    The blocks are also too small for OpenBLAS to start threads, which spun for as much CPU as the whole analysis.
    """
    mel = mel_filters(sample_rate, n_fft)
    groups = [(slice(i, i + _GROUP), mel[:, i : i + _GROUP]) for i in range(0, N_MELS, _GROUP)]
    groups.append((slice(N_MELS, N_MELS + N_CHROMA), chroma_filters(sample_rate, n_fft)))
    blocks = []
    for columns, weights in groups:
        used = np.flatnonzero(weights.any(axis=1))
        bins = slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)
        blocks.append((bins, columns, np.ascontiguousarray(weights[bins])))
    return blocks


class Spectrum:
    """Takes a mono sound block by block: `push`, then `finish`. Holds the series and at most one block of samples."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.n_fft, self.hop = frame_size(sample_rate)
        n = np.arange(self.n_fft)
        self._window = np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * n / self.n_fft), np.float32)
        self._windowed = np.empty((_FRAMES, self.n_fft), np.float32)
        # Begins with the zeros that lie before the sound, so that the first frame is centred on sample 0.
        self._waiting = np.zeros(self.n_fft // 2, np.float32)
        self._cells_from = self.n_fft // 2  # where in _waiting the next hop of cells begins
        self._last = np.float32(0)  # the sample before it
        self._n_samples = 0
        self._frames: list[tuple[NDArray[np.float32], ...]] = []
        self._cells: list[tuple[NDArray[np.float32], ...]] = []
        self._within = np.tile(np.arange(_CHUNK, dtype=np.float32)[:, None], (1, 2))
        self._within[:, 0] = 1

    def push(self, mono: NDArray[np.float32]) -> None:
        """``mono`` [n], any n."""
        for start in range(0, len(mono), _BLOCK):
            self._push(mono[start : start + _BLOCK])

    def _push(self, mono: NDArray[np.float32]) -> None:
        if not self._n_samples and len(mono):
            self._last = np.float32(mono[0])
        self._n_samples += len(mono)
        self._waiting = np.concatenate([self._waiting, mono])
        self._measure_cells((len(self._waiting) - self._cells_from) // self.hop * self.hop)
        self._measure_frames((len(self._waiting) - self.n_fft) // self.hop + 1)

    def finish(self) -> Frames:
        """The series of all that was pushed (at least one sample)."""
        begun = len(self._waiting) - self._cells_from
        self._waiting = np.concatenate([self._waiting, np.zeros(self.n_fft // 2, np.float32)])
        if begun:
            self._measure_cells(self.hop, real=begun)
        n_frames = 1 + self._n_samples // self.hop
        done = sum(len(f[0]) for f in self._frames)
        self._measure_frames(n_frames - done)
        mel, centroid, rolloff = (np.concatenate(x) for x in zip(*self._frames, strict=True))
        squares, attack, crossings, at_start = (np.concatenate(x) for x in zip(*self._cells, strict=True))
        rms = np.sqrt(_over_hops(squares, n_frames) / self.n_fft)
        # librosa counts no crossing at a frame's own first sample.
        first = np.concatenate([[0, 0], at_start, [0, 0]])[:n_frames]
        crossed = (_over_hops(crossings, n_frames) - first) / self.n_fft
        return Frames(
            self.sample_rate,
            self.n_fft,
            self.hop,
            self._n_samples,
            mel[:, :N_MELS],
            mel[:, N_MELS:],
            centroid,
            rolloff,
            rms.astype(np.float32),
            crossed.astype(np.float32),
            attack,
        )

    def _measure_cells(self, length: int, real: int | None = None) -> None:
        """Energies and zero crossings of ``length`` samples (whole hops), of which ``real`` are sound."""
        if length <= 0:
            return
        real = length if real is None else real
        begin = self._cells_from
        wave = self._waiting[begin : begin + length]
        negative = np.empty(length + 1, np.bool_)
        # librosa takes |x| <= 1e-10 for zero, and zero for positive.
        np.less(wave, np.float32(-1e-10), out=negative[1:])
        negative[0] = self._last < -1e-10
        negative[real + 1 :] = negative[real]
        crossing = (negative[1:] != negative[:-1]).reshape(-1, self.hop)
        slope = np.empty(length, np.float32)
        np.subtract(wave[1:], wave[:-1], out=slope[1:])
        slope[0] = wave[0] - self._last
        slope[real:] = 0
        by_hop, by_cell = wave.reshape(-1, self.hop), slope.reshape(-1, self.hop // FINE)
        self._cells.append(
            (
                np.einsum("ij,ij->i", by_hop, by_hop),
                np.einsum("ij,ij->i", by_cell, by_cell),
                np.count_nonzero(crossing, axis=1).astype(np.float32),
                crossing[:, 0].astype(np.float32),
            )
        )
        self._last = wave[real - 1]
        self._cells_from += length

    def _measure_frames(self, n: int) -> None:
        from scipy.fft import rfft

        if n <= 0:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._waiting, self.n_fft)[:: self.hop]
        for start in range(0, n, _FRAMES):
            part = frames[start : min(start + _FRAMES, n)]
            windowed = np.multiply(part, self._window, out=self._windowed[: len(part)])
            self._frames.append(self._describe(np.asarray(rfft(windowed, axis=1), np.complex64)))
        used = n * self.hop
        self._waiting = self._waiting[used:].copy()
        self._cells_from -= used

    def _describe(self, spectrum: NDArray[np.complex64]) -> tuple[NDArray[np.float32], ...]:
        """[k, n_bins] complex -> mel and chroma power [k, 76], centroid [k], rolloff [k]."""
        magnitude = np.abs(spectrum)
        power = np.square(magnitude)
        bands = np.empty((len(power), N_MELS + N_CHROMA), np.float32)
        for bins, columns, weights in _bands(self.sample_rate, self.n_fft):
            bands[:, columns] = power[:, bins] @ weights
        k, n_chunks = len(magnitude), self.n_fft // 2 // _CHUNK
        body, top = magnitude[:, :-1].reshape(k, n_chunks, _CHUNK), magnitude[:, -1]
        sums = (body.reshape(-1, _CHUNK) @ self._within).reshape(k, n_chunks, 2)
        chunk, moment = sums[..., 0], sums[..., 1]
        total = chunk.sum(axis=1) + top
        bin_hz = np.float32(self.sample_rate / self.n_fft)
        weighed = chunk @ (np.arange(n_chunks, dtype=np.float32) * _CHUNK) + moment.sum(axis=1)
        weighed += top * np.float32(self.n_fft // 2)
        centroid = np.divide(weighed * bin_hz, total, out=np.zeros_like(total), where=total > 0)
        # The chunk in which 85 % is reached, then the bin within it.
        level = np.float32(ROLLOFF) * total
        upto = np.cumsum(chunk, axis=1)
        where = np.minimum((upto < level[:, None]).sum(axis=1), n_chunks - 1)
        rows = np.arange(k)
        before = upto[rows, where] - chunk[rows, where]
        inside = np.cumsum(body[rows, where], axis=1) + before[:, None] < level[:, None]
        rolloff = (where * _CHUNK + inside.sum(axis=1)).astype(np.float32) * bin_hz
        return bands, centroid, rolloff


def _over_hops(cells: NDArray[np.float32], n_frames: int) -> NDArray[np.float64]:
    """Sums over the four hops that a frame covers: two before its centre and two after."""
    sums = np.concatenate([np.zeros(3), np.cumsum(cells, dtype=np.float64)])
    sums = np.concatenate([sums, np.full(4, sums[-1])])
    return np.asarray(sums[4 : 4 + n_frames] - sums[:n_frames])
