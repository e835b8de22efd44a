"""The music grid: times of the excerpt where a cut may lie, and what the song does between them.

The same for every pattern. The pictures' side is left to windows.py; choosing among the times is left to rhythm.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.lyrics.analysis import LyricsFeatures

Floats = NDArray[np.float32]

MIN_BPM_CONFIDENCE = 0.15  # below it beats are used only if their spacing changes smoothly (rubato)
EVEN_STEP = 0.5  # s, the grid of music without beats
SLOWEST_PULSE, FASTEST_PULSE = 0.8, 0.35  # s
OFFBEAT = 0.0  # strength of a half beat between two felt ones
MIN_HALF_BEAT = 0.2  # s
MIN_RANGE = 0.05  # of energy; music that changes less has no loud and quiet parts
LOUD = 0.75  # energy rank above which half beats join the grid


@dataclass(frozen=True, slots=True)
class Grid:
    """Times where a cut may lie, in seconds of the excerpt, and what happens between them."""

    times: NDArray[np.float64]  # [n + 1]
    strength: Floats  # [n + 1]
    energy: Floats  # [n], 0..1, rank within the excerpt; 0.5 throughout when the music hardly changes
    section: NDArray[np.int32]  # [n]
    phrase: NDArray[np.int32]  # [n]
    pulse: float  # s


def rank(values: NDArray[np.floating], weights: NDArray[np.floating] | None = None) -> Floats:
    """Ranks scaled to 0..1, ties sharing their mean rank; 0.5 throughout when all are equal.

    ``weights`` say how much each value counts among the others (its duration, say).
    """
    _, same = np.unique(values, return_inverse=True)
    counts = np.bincount(same, weights=weights).astype(np.float64)
    middle = np.cumsum(counts) - counts / 2
    if middle.size < 2 or middle[-1] <= middle[0]:
        return np.full(values.size, 0.5, np.float32)
    return np.asarray(((middle - middle[0]) / (middle[-1] - middle[0]))[same], np.float32)


def music_grid(music: MusicFeatures, lyrics: LyricsFeatures | None, *, start: float, duration: float) -> Grid:
    """Beats of ``[start, start + duration)``, gaps filled, halved where slow or loud; an even grid without beats."""
    beats = np.unique(music.beats[(music.beats > start - 2) & (music.beats < start + duration + 2)]) - start
    followed = _can_follow(beats, music.bpm_confidence)
    period = float(np.median(np.diff(beats))) if followed else EVEN_STEP
    times, strength = _filled(beats, period, duration) if followed else _even(duration)
    strength = _accented(times, strength, music, start) if followed else strength
    pulse = period
    while pulse > SLOWEST_PULSE:
        times, strength = _halved(times, strength, np.ones(times.size - 1, bool), 0.3)
        pulse /= 2
    if followed and pulse == period and period / 2 >= MIN_HALF_BEAT:
        times, strength = _halved(times, strength, _slot_energy(music, times, start) > LOUD, OFFBEAT)
    while pulse < FASTEST_PULSE:
        pulse *= 2
    times[0], times[-1] = 0.0, duration
    middle = (times[:-1] + times[1:]) / 2
    section, edges = _sections(music, times, start)
    strength[edges] = 1.0
    return Grid(
        times=times,
        strength=np.clip(strength, 0, 1).astype(np.float32),
        energy=_slot_energy(music, times, start),
        section=section,
        phrase=_phrases(lyrics, middle + start),
        pulse=pulse,
    )


def _can_follow(beats: NDArray[np.float64], confidence: float) -> bool:
    if beats.size < 4:
        return False
    gaps = np.diff(beats)
    change = np.abs(np.log2(gaps[1:] / gaps[:-1]))
    return confidence >= MIN_BPM_CONFIDENCE or (float(np.median(change)) < 0.15 and 0.2 < float(np.median(gaps)) < 2)


def _even(duration: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n = max(1, round(duration / EVEN_STEP))
    times = np.linspace(0, duration, n + 1)
    return times, np.where(np.arange(n + 1) % 4 == 0, 0.5, 0.3)


def _filled(
    beats: NDArray[np.float64], period: float, duration: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Beats inside (0, duration) with both ends; a gap of several beats is filled evenly, weakly."""
    inside = beats[(beats > 0.3 * period) & (beats < duration - 0.3 * period)]
    marks = np.concatenate([[0.0], inside, [duration]])
    times, strength = [0.0], [0.5]
    for a, b in pairwise(marks.tolist()):
        n = max(1, round((b - a) / period)) if b - a > 1.7 * period else 1
        times += [a + (b - a) * k / n for k in range(1, n + 1)]
        strength += [0.2] * (n - 1) + [0.5]
    return np.array(times), np.array(strength)


def _accented(
    times: NDArray[np.float64], strength: NDArray[np.float64], music: MusicFeatures, start: float
) -> NDArray[np.float64]:
    strength = strength.copy()
    strength[_near(times, music.downbeats - start, 0.06)] += 0.3
    for at, value in zip(music.onsets - start, music.onset_strengths, strict=True):
        k = int(np.argmin(np.abs(times - at)))
        if abs(times[k] - at) < 0.06:
            strength[k] += 0.2 * float(value)
    return strength


def _near(times: NDArray[np.float64], marks: NDArray[np.float64], within: float) -> NDArray[np.bool_]:
    if marks.size == 0:
        return np.zeros(times.size, bool)
    return np.asarray(np.min(np.abs(times[:, None] - marks[None, :]), axis=1) < within)


def _halved(
    times: NDArray[np.float64], strength: NDArray[np.float64], where: NDArray[np.bool_], value: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    at = np.flatnonzero(where)
    return (
        np.insert(times, at + 1, (times[at] + times[at + 1]) / 2),
        np.insert(strength, at + 1, value),
    )


def _slot_energy(music: MusicFeatures, times: NDArray[np.float64], start: float) -> Floats:
    if music.energy.size == 0:
        return rank(np.zeros(times.size - 1))
    total = np.concatenate([[0.0], np.cumsum(music.energy, dtype=np.float64)]) / music.energy_rate
    at = np.interp(times + start, np.arange(total.size) / music.energy_rate, total)
    step = np.diff(times)
    mean = np.round(np.diff(at) / step, 4)
    # By time, not by slot: half beats must not make loud passages look usual.
    return rank(mean if float(np.ptp(mean)) > MIN_RANGE else np.zeros(mean.size), step)


def _sections(
    music: MusicFeatures, times: NDArray[np.float64], start: float
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    inner = music.section_boundaries[1:-1] - start
    inner = inner[(inner > times[0]) & (inner < times[-1])]
    edges = np.unique([int(np.argmin(np.abs(times - t))) for t in inner]).astype(np.intp)
    edges = edges[(edges > 0) & (edges < times.size - 1)]
    return np.searchsorted(edges, np.arange(times.size - 1), side="right").astype(np.int32), edges


def _phrases(lyrics: LyricsFeatures | None, at: NDArray[np.float64]) -> NDArray[np.int32]:
    phrase = np.full(at.size, -1, np.int32)
    if lyrics is not None:
        for k, (a, b) in enumerate(zip(lyrics.starts, lyrics.ends, strict=True)):
            phrase[(at >= a) & (at < b)] = k
    return phrase
