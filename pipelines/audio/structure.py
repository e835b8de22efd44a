"""Sections of a piece: where bars begin to sound unlike those before, and which sections sound alike.

Novelty along the diagonal of the bars' self-similarity (J. Foote, 2000). Beats and bars come from beats.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.beats import Beats
from pipelines.audio.spectrum import Frames

_SHORTEST = 7.0  # s
_KERNEL = 9.0  # s compared on either side of a boundary
_ALIKE = 0.62  # sections whose means lie nearer than this share of the piece's spread bear one letter
_BAR = 2.0  # s, where there is no beat


@dataclass(frozen=True, slots=True)
class Sections:
    boundaries: NDArray[np.float64]  # [n + 1] s, first 0, last the duration
    labels: tuple[str, ...]  # [n] A, B, A ...


def divide(frames: Frames, beats: Beats) -> Sections:
    """Sections of at least about seven seconds that begin on downbeats (every two seconds where there are none)."""
    duration = frames.n_samples / frames.sample_rate
    edges = _bar_edges(beats, duration)
    if len(edges) < 6:
        return Sections(np.array([0.0, duration]), ("A",))
    bars = _describe(frames, edges)
    inner = _boundaries(bars, edges)
    starts = np.concatenate([[0], inner, [len(bars)]])
    labels = _label(bars, starts)
    # Neighbours with one letter are one section.
    keep = [0] + [i for i in range(1, len(labels)) if labels[i] != labels[i - 1]]
    boundaries = np.concatenate([[0.0], edges[starts[keep[1:]]], [duration]])
    return Sections(boundaries, _alphabetical([labels[i] for i in keep]))


def _bar_edges(beats: Beats, duration: float) -> NDArray[np.float64]:
    """Bar lines over the whole piece, continued evenly before the first downbeat and after the last."""
    lines = beats.downbeats
    if len(lines) < 2:
        n = max(1, round(duration / _BAR))
        return np.linspace(0, duration, n + 1)
    bar = float(np.median(np.diff(lines)))
    before = lines[0] - bar * np.arange(int(lines[0] / bar), 0, -1)
    after = lines[-1] + bar * np.arange(1, int((duration - lines[-1]) / bar) + 1)
    edges = np.concatenate([before, lines, after])
    edges = edges[(edges > bar / 2) & (edges < duration - bar / 2)]
    return np.concatenate([[0.0], edges, [duration]])


def _describe(frames: Frames, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n_bars, d] timbre (cosine transform of the mel levels), harmony, loudness and busyness, each of like weight."""
    from scipy.fft import dct

    mel_db = frames.mel_db
    timbre = dct(mel_db, type=2, norm="ortho", axis=1)[:, 1:14]
    chroma = np.sqrt(frames.chroma / np.maximum(frames.chroma.sum(axis=1, keepdims=True), 1e-12))
    loud = mel_db.mean(axis=1, keepdims=True)
    rise = np.maximum(np.diff(mel_db, axis=0, prepend=mel_db[:1]), 0).mean(axis=1, keepdims=True)
    at = np.clip(np.round(edges * frames.rate).astype(np.int64), 0, len(mel_db))
    groups = [(timbre, 1.0), (chroma, 0.7), (loud, 0.6), (rise, 0.5)]
    parts = []
    for series, weight in groups:
        bars = _means(series, at)
        bars = bars - bars.mean(axis=0)
        spread = np.sqrt((bars**2).sum(axis=1).mean())
        parts.append(weight * bars / spread if spread > 1e-6 else np.zeros_like(bars))
    return np.concatenate(parts, axis=1)


def _means(series: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.float64]:
    sums = np.concatenate([np.zeros((1, series.shape[1])), np.cumsum(series, axis=0, dtype=np.float64)])
    return np.asarray((sums[at[1:]] - sums[at[:-1]]) / np.maximum(np.diff(at), 1)[:, None])


def _boundaries(bars: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers of the bars at which a section begins, without the first."""
    from scipy.signal import find_peaks

    n = len(bars)
    lengths = (bars**2).sum(axis=1)
    # As a product: the differences themselves would be 700 MB for an hour.
    distance = np.sqrt(np.maximum(lengths[:, None] + lengths[None, :] - 2 * bars @ bars.T, 0))
    likeness = np.exp(-distance / max(float(np.median(distance)), 1e-9))
    bar = float(np.median(np.diff(edges)))
    reach = int(np.clip(round(_KERNEL / bar), 2, max(2, n // 4)))
    offset = np.arange(-reach, reach) + 0.5
    taper = np.exp(-0.5 * (offset / (reach / 2)) ** 2)
    kernel = np.outer(np.sign(offset) * taper, np.sign(offset) * taper)
    padded = np.pad(likeness, reach, mode="edge")
    novelty = np.array([(padded[i : i + 2 * reach, i : i + 2 * reach] * kernel).sum() for i in range(n)])
    spacing = max(2, int(np.ceil(_SHORTEST / bar)))
    peaks, _ = find_peaks(novelty, distance=spacing, prominence=0.6 * novelty.std(), height=0.9 * novelty.mean())
    peaks = peaks.astype(np.int64)
    return np.asarray(peaks[(edges[peaks] >= _SHORTEST * 0.7) & (edges[peaks] <= edges[-1] - _SHORTEST * 0.7)])


def _label(bars: NDArray[np.float64], starts: NDArray[np.int64]) -> list[int]:
    """Clusters of sections by their mean bars (average linkage)."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(starts) < 3:
        return [0] * (len(starts) - 1)
    means = np.array([bars[a:b].mean(axis=0) for a, b in pairwise(starts)])
    spread = float(np.sqrt((bars**2).sum(axis=1).mean()))
    tree = linkage(means, method="average")
    return [int(x) for x in fcluster(tree, _ALIKE * spread, criterion="distance")]


def _alphabetical(labels: list[int]) -> tuple[str, ...]:
    """Letters in order of appearance; after Z, A1, B1 ..."""
    order = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    names = [ascii_uppercase[i % 26] + (str(i // 26) if i >= 26 else "") for i in range(len(order))]
    return tuple(names[order[label]] for label in labels)
