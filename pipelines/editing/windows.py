"""The pieces of shots that may be shown: usable stretches of each shot, cut into windows and described.

The same for every pattern. The music's side is left to grid.py, how well a piece suits a slot to heads.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.video.analysis import VideoFeatures

Floats = NDArray[np.float32]

ACCENT_RATE = 25.0  # values a second
MAX_WINDOWS = 900  # pairwise matrices stay below 10 MB
MIN_WINDOW = 0.25  # s
MIN_STRETCH = 0.5  # s: shorter ones flash by
BLACK = 0.05
FROZEN = 1e-3  # shot score, of which noise alone gives several times as much: a repeated frame, not a quiet scene
FROZEN_FOR = 0.4  # s
IDLE = 0.15  # share of a shot's lively motion (its 90th percentile) below which it idles
FADED = 0.75  # share of the shot's usual brightness at which a fade counts as over


@dataclass(frozen=True, slots=True)
class Windows:
    """Pieces of shots, in order of clip and time; those of one run follow each other without a gap."""

    clip: NDArray[np.int32]  # [n]
    shot: NDArray[np.int32]  # [n], within the clip
    run: NDArray[np.int32]  # [n]
    start: NDArray[np.float64]  # [n] s
    end: NDArray[np.float64]  # [n] s
    position: Floats  # [n], 0..1 within the clip
    motion: Floats  # [n]
    liveliness: Floats  # [n], 0..1: 0 where nothing happens in a shot in which something does at other times
    brightness: Floats  # [n]
    histogram: Floats  # [n, n_bins], each row sums to 1
    spread: Floats  # [n], largest Hellinger distance of a sample in or beside the window to its histogram
    direction: Floats  # [n, 2]
    accents: Floats  # [n, n_steps]


def number_shots(clip: NDArray[np.int32], shot: NDArray[np.int32]) -> NDArray[np.int64]:
    """[n] shots numbered over all clips, from each window's clip and shot within it."""
    return np.unique(np.stack([clip, shot], axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def usable_stretches(clip: VideoFeatures) -> list[tuple[int, float, float]]:
    """(shot, start s, end s) of what may be shown: no black, fade or frozen picture, a frame off each boundary."""
    if clip.n_frames == 0:
        return []
    frame = 1.0 / clip.fps
    ends = np.append(clip.frame_times[1:], clip.frame_times[-1] + frame)
    bad = (clip.brightness < BLACK) | _lasting(
        (clip.motion == 0) & (clip.shot_scores < FROZEN), max(2, round(FROZEN_FOR * clip.fps))
    )
    bounds = [0, *(int(b) for b in clip.shot_boundaries), clip.n_frames]
    out = []
    for shot, (a, b) in enumerate(pairwise(bounds)):
        good = ~bad[a:b] & ~_fading(clip.brightness[a:b])
        edges = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(np.int8), [0]])))
        for first, last in edges.reshape(-1, 2):
            begin, end = float(clip.frame_times[a + first]) + frame, float(ends[a + last - 1]) - frame
            if end - begin >= MIN_STRETCH:
                out.append((shot, begin, end))
    return out


def _lasting(flags: NDArray[np.bool_], at_least: int) -> NDArray[np.bool_]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))).reshape(-1, 2)
    out = np.zeros(flags.size, bool)
    for a, b in edges[(edges[:, 1] - edges[:, 0]) >= at_least]:
        out[a:b] = True
    return out


def _fading(brightness: Floats) -> NDArray[np.bool_]:
    """The way up from black at a shot's start and down to black at its end."""
    usual = float(np.median(brightness))
    out = np.zeros(brightness.size, bool)
    if usual < 2 * BLACK:
        return out
    lit = np.flatnonzero(brightness >= FADED * usual)
    if brightness[0] < 2 * BLACK:
        out[: lit[0]] = True
    if brightness[-1] < 2 * BLACK:
        out[lit[-1] + 1 :] = True
    return out


def cut_windows(clips: Sequence[VideoFeatures]) -> Windows:
    """Equal pieces of every usable stretch, a quarter of a second or longer when there is much material.

    Raises BadInput when there is none.
    """
    stretches = [(c, *s) for c, clip in enumerate(clips) for s in usable_stretches(clip)]
    if not stretches:
        raise BadInput(
            f"{len(clips)} clip{'s' * (len(clips) != 1)}",
            f"hold no moving picture of {MIN_STRETCH} s or more (black, frozen and too short shots are left out)",
            "give longer or more clips",
        )
    piece = max(MIN_WINDOW, sum(end - start for *_, start, end in stretches) / MAX_WINDOWS)
    rows = []
    for run, (c, shot, start, end) in enumerate(stretches):
        n = max(1, int((end - start) / piece + 1e-9))
        edges = np.linspace(start, end, n + 1)
        rows += [(c, shot, run, edges[k], edges[k + 1]) for k in range(n)]
    clip, shots, runs, starts, ends = (np.array(column) for column in zip(*rows, strict=True))
    steps = max(1, int(np.ceil(float(np.max(ends - starts)) * ACCENT_RATE)))
    parts = [_describe(video, starts[clip == c], ends[clip == c], steps) for c, video in enumerate(clips)]
    position, motion, liveliness, brightness, histogram, spread, direction, accents = (
        np.concatenate([part[k] for part in parts]).astype(np.float32) for k in range(8)
    )
    return Windows(
        clip.astype(np.int32), shots.astype(np.int32), runs.astype(np.int32), starts, ends,
        position, motion, liveliness, brightness, histogram, spread, direction, accents,
    )  # fmt: skip


def _describe(
    clip: VideoFeatures, starts: NDArray[np.float64], ends: NDArray[np.float64], steps: int
) -> tuple[NDArray[np.floating], ...]:
    """Per window of one clip: position, motion, liveliness, brightness, histogram, spread, direction, accents."""
    first = np.searchsorted(clip.frame_times, starts, side="right") - 1
    last = np.maximum(np.searchsorted(clip.frame_times, ends, side="left"), first + 1)

    def mean(values: Floats) -> NDArray[np.float64]:
        total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return np.asarray((total[last] - total[first]) / (last - first))

    at = clip.frame_times[clip.sample_frames]
    low = np.maximum(np.searchsorted(at, starts, side="right") - 1, 0)
    high = np.maximum(np.minimum(np.searchsorted(at, ends, side="left"), at.size - 1), low)
    shot_of = np.searchsorted(clip.shot_boundaries, clip.sample_frames, side="right")
    shot = np.searchsorted(clip.shot_boundaries, first, side="right")
    histogram = np.empty((starts.size, clip.histograms.shape[1]))
    spread, direction = np.zeros(starts.size), np.zeros((starts.size, 2))
    for k in range(starts.size):
        beside = np.arange(low[k], high[k] + 1)
        own = beside[shot_of[beside] == shot[k]]
        own = own if own.size else beside
        histogram[k] = clip.histograms[own].mean(axis=0)
        overlap = np.sqrt(clip.histograms[own]) @ np.sqrt(histogram[k])
        spread[k] = np.sqrt(np.maximum(0.0, 1 - overlap)).max()
        direction[k] = clip.flow_direction[own].mean(axis=0)
    lively = np.array([np.quantile(part, 0.9) for part in np.split(clip.motion, clip.shot_boundaries)])
    motion = mean(clip.motion)
    rise = np.maximum(0.0, np.diff(clip.motion, prepend=clip.motion[:1]))
    rise = np.clip(rise / max(float(np.quantile(rise, 0.98)), 1e-6), 0, 1)
    moments = starts[:, None] + np.arange(steps) / ACCENT_RATE
    frame = np.clip(np.searchsorted(clip.frame_times, moments, side="right") - 1, 0, clip.n_frames - 1)
    accents = np.where(moments < ends[:, None], rise[frame], 0.0)
    return (
        (starts + ends) / 2 / max(clip.duration, 1e-6),
        motion, np.clip(motion / np.maximum(IDLE * lively[shot], 1e-9), 0, 1),
        mean(clip.brightness), histogram, spread, direction, accents,
    )  # fmt: skip
