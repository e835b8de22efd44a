"""Bars: which beats are the first of one, and whether three or four make one. The beats come from beats.py."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.onsets import Envelope
from pipelines.audio.spectrum import Frames

_NEAR = 0.045  # s within which an onset belongs to a beat
_PHRASE = 2.5  # how much the beginning of a phrase counts for a bar's, in standard deviations of the other accents
_BROKEN_BAR = 14.0  # what a bar of another length must earn, likewise


def find_bars(frames: Frames, onsets: Envelope, times: NDArray[np.float64]) -> tuple[int, NDArray[np.bool_]]:
    """(beats per bar, which beats begin one): where bass, strokes and harmony change most, and phrases begin."""
    at = np.clip(np.round(times * onsets.rate).astype(np.int64), 0, len(onsets.strength) - 1)
    reach = max(1, round(_NEAR * onsets.rate))
    around = np.clip(at[:, None] + np.arange(-reach, reach + 1), 0, len(onsets.strength) - 1)
    chroma = np.sqrt(_between(frames.chroma, at))
    chroma /= np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    harmony = np.concatenate([[0.0], 1 - (chroma[1:] * chroma[:-1]).sum(axis=1)])
    low = onsets.low[around].max(axis=1)
    stroke = onsets.strength[around].max(axis=1)
    accent = (
        _standard(harmony) + _standard(low) + 0.7 * _standard(stroke) + _PHRASE * _phrases(_between(frames.mel_db, at))
    )
    best, meter = -np.inf, 4
    for candidate in (4, 3):
        for phase in range(candidate):
            on = accent[phase::candidate]
            off = np.delete(accent, np.arange(phase, len(accent), candidate))
            if not len(on) or not len(off):
                continue
            # Threes must be clearly better: most music is in fours.
            score = (on.mean() - off.mean()) * (1.0 if candidate == 4 else 0.85)
            if score > best + 1e-9:
                best, meter = score, candidate
    return meter, _first_of_bar(accent, meter)


def _first_of_bar(accent: NDArray[np.float64], meter: int) -> NDArray[np.bool_]:
    """The best sequence of bars of ``meter`` beats; a bar cut short or drawn out must earn `_BROKEN_BAR` (Viterbi)."""
    total = np.zeros(meter)  # by place in the bar of the beat before
    came = np.zeros((len(accent), meter), np.int64)
    for i, value in enumerate(accent):
        regular = (np.arange(meter) - 1) % meter
        best = int(total.argmax())
        broken = total[best] - _BROKEN_BAR > total[regular]
        came[i] = np.where(broken, best, regular)
        total = np.where(broken, total[best] - _BROKEN_BAR, total[regular])
        total[0] += value
    place = int(total.argmax())
    first = np.zeros(len(accent), np.bool_)
    for i in range(len(accent) - 1, -1, -1):
        first[i] = place == 0
        place = int(came[i, place])
    return first


def _phrases(levels: NDArray[np.float64], reach: int = 8) -> NDArray[np.float64]:
    """[n_beats] 0..1.5, above 0 where the eight beats after sound most unlike the eight before."""
    n = len(levels)
    sums = np.concatenate([np.zeros((1, levels.shape[1])), np.cumsum(levels, axis=0)])
    i = np.arange(n)
    width = np.maximum(np.minimum(np.minimum(reach, i), n - i), 1)
    change = (sums[np.minimum(i + width, n)] - 2 * sums[i] + sums[np.maximum(i - width, 0)]) / width[:, None]
    novelty = np.sqrt((change**2).mean(axis=1) * width / reach)
    novelty[:2] = 0
    around = np.lib.stride_tricks.sliding_window_view(np.pad(novelty, 4), 9).max(axis=1)
    scale = float(np.percentile(novelty, 95))
    return np.where((novelty == around) & (scale > 0.5), np.minimum(novelty / max(scale, 1e-9), 1.5), 0.0)


def _between(series: NDArray[np.float32], at: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n_beats, d] means of the frames from each beat to the next."""
    sums = np.concatenate([np.zeros((1, series.shape[1])), np.cumsum(series, axis=0, dtype=np.float64)])
    edges = np.append(at, len(series))
    lengths = np.maximum(np.diff(edges), 1)[:, None]
    return np.asarray((sums[edges[1:]] - sums[edges[:-1]]) / lengths)


def _standard(x: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float64]:
    spread = float(x.std())
    return np.asarray((np.minimum(x, x.mean() + 3 * spread) - x.mean()) / spread if spread > 1e-9 else np.zeros(len(x)))
