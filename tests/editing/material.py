"""Music, clips and lyrics made of numbers alone, for tests of the shared features and the solver."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures
from pipelines.editing.patterns import Query
from pipelines.editing.plan import Edit, Source
from pipelines.editing.shared import SharedFeatures
from pipelines.editing.solver import solve
from pipelines.lyrics.analysis import EMOTIONS, LyricsFeatures
from pipelines.video.analysis import VideoFeatures
from pipelines.video.colour import N_BINS

TAGS = ("sea", "night", "dance", "rabbit", "street", "flowers", "rain", "smile", "train", "snow")
FPS = Fraction(25)


def song(duration: float = 60.0, bpm: float = 120.0, *, seed: int = 0, confidence: float = 0.95) -> MusicFeatures:
    """Beats at ``bpm`` (0: none), four to a bar, sections of 16 beats, energy rising and falling with them."""
    rng = np.random.default_rng(seed)
    beats = np.arange(0.2, duration, 60 / bpm) if bpm else np.zeros(0)
    period = 60 / bpm if bpm else 0.5
    inner = np.arange(0.2 + 16 * period, duration - 4 * period, 16 * period)
    bounds = np.concatenate([[0.0], inner, [duration]])
    levels = rng.uniform(0, 1, bounds.size - 1)
    times = np.arange(int(duration * 10)) / 10
    level = levels[np.clip(np.searchsorted(bounds, times, side="right") - 1, 0, levels.size - 1)]
    energy = np.clip(0.8 * level + 0.2 * np.sin(times / 3) ** 2, 0, 1).astype(np.float32)
    return MusicFeatures(
        duration=duration, sample_rate=44100, bpm=bpm, bpm_confidence=confidence if bpm else 0.0,
        beats=beats, downbeats=beats[::4], beats_per_bar=4,
        section_boundaries=bounds, section_labels=tuple("AB"[k % 2] for k in range(levels.size)),
        energy=energy, energy_rate=10.0, onsets=beats,
        onset_strengths=rng.uniform(0.3, 1, beats.size).astype(np.float32),
        vector=np.zeros(1, np.float32), names=("none",), loudness_lufs=-14.0, loudness_range=6.0, true_peak_dbtp=-1.0,
    )  # fmt: skip


def clip(duration: float = 12.0, shots: int = 3, *, fps: Fraction = FPS, seed: int = 0) -> VideoFeatures:
    """Shots of about equal length, each with its own colours, motion and brightness."""
    rng = np.random.default_rng([seed, 7])
    n = max(1, round(duration * fps))
    bounds = np.sort(rng.choice(np.arange(1, n), shots - 1, replace=False)) if shots > 1 else np.zeros(0, np.int64)
    shot = np.searchsorted(bounds, np.arange(n), side="right")
    samples = np.arange(0, n, max(1, round(fps / 4)))
    colours = rng.dirichlet(np.full(N_BINS, 0.03), shots)
    histograms = colours[shot[samples]] + rng.uniform(0, 0.0005, (samples.size, N_BINS))
    motion = rng.uniform(0.02, 0.4, shots)[shot] * rng.uniform(0.7, 1.3, n)
    heading = rng.normal(0, 0.05, (shots, 2))
    return VideoFeatures(
        fps=float(fps), fps_fraction=(fps.numerator, fps.denominator), n_frames=n, duration=float(n / fps),
        width=1280, height=720, frame_times=np.arange(n) / float(fps), shot_boundaries=bounds.astype(np.int64),
        shot_scores=np.where(np.isin(np.arange(n), bounds), 0.9, 0.02).astype(np.float32),
        motion=motion.astype(np.float32),
        brightness=rng.uniform(0.3, 0.8, shots)[shot].astype(np.float32), sharpness=np.full(n, 0.5, np.float32),
        sample_frames=samples.astype(np.int64),
        histograms=(histograms / histograms.sum(axis=1, keepdims=True)).astype(np.float32),
        flow_direction=heading[shot[samples]].astype(np.float32), faces=np.zeros(samples.size, np.float32),
        shot_tags=tuple((TAGS[int(k)],) for k in rng.integers(0, len(TAGS), shots)),
    )  # fmt: skip


def words(duration: float = 60.0, n: int = 12, *, timed: bool = True, seed: int = 0) -> LyricsFeatures:
    """``n`` phrases sung one after another, each about one of TAGS."""
    rng = np.random.default_rng([seed, 9])
    texts = tuple(TAGS[int(k)] for k in rng.integers(0, len(TAGS), n))
    starts = np.linspace(0.1 * duration, 0.9 * duration, n)
    times = starts if timed else np.full(n, np.nan)
    return LyricsFeatures(
        language="en", timed=timed, texts=texts, starts=times, ends=times + 0.7 * duration / n,
        emotions=rng.dirichlet(np.ones(len(EMOTIONS)), n).astype(np.float32),
        valence=rng.uniform(-1, 1, n).astype(np.float32), arousal=rng.uniform(0, 1, n).astype(np.float32),
        keywords=tuple((t,) for t in texts), embeddings=embed(texts), warnings=(),
    )  # fmt: skip


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors in which equal words lie close, without a model."""
    rows = [
        np.sum([np.random.default_rng(zlib.crc32(w.encode())).normal(size=64) for w in text.split(", ")], axis=0)
        for text in texts
    ]
    table = np.array(rows).reshape(-1, 64)
    return np.asarray(table / np.linalg.norm(table, axis=1, keepdims=True), np.float32)


def sources(clips: Sequence[VideoFeatures]) -> list[Source]:
    return [
        Source(f"clip{k}.mp4", f"{k:064x}", c.duration, c.fps_fraction, c.n_frames, c.width, c.height)
        for k, c in enumerate(clips)
    ]


def answer(
    shared: SharedFeatures, query: Query, clips: Sequence[VideoFeatures], *, fps: Fraction = FPS, seed: int = 0
) -> Edit:
    tune = Source("song.ogg", "f" * 64, shared.music_start + shared.duration)
    return solve(shared, query, music=tune, clips=sources(clips), fps=fps, width=1280, height=720, seed=seed)
