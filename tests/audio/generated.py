"""Music made by code, whose beats and bars are therefore known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Piece:
    samples: NDArray[np.float32]  # [n]
    sample_rate: int
    beats: NDArray[np.float64]
    downbeats: NDArray[np.float64]


def beat_times(
    bpm: float, seconds: float, *, start: float = 0.5, jitter: float = 0.0, seed: int = 0
) -> NDArray[np.float64]:
    times = np.arange(start, seconds - 0.3, 60 / bpm)
    return times + jitter * np.random.default_rng(seed).standard_normal(len(times))


def clicks(
    bpm: float, *, meter: int = 4, seconds: float = 30.0, sample_rate: int = 44100, accent: float = 2.5
) -> Piece:
    """A metronome: 1 kHz blips of 30 ms, the first of each bar higher and louder."""
    beats = beat_times(bpm, seconds)
    out = np.zeros(int(seconds * sample_rate))
    for i, at in enumerate(beats):
        first = i % meter == 0
        _add(
            out,
            sample_rate,
            at,
            _tone(sample_rate, 1500 if first and accent > 1 else 1000, 0.03) * (accent if first else 1) * 0.25,
        )
    return Piece(out.astype(np.float32), sample_rate, beats, beats[::meter])


def drums(
    bpm: float,
    *,
    meter: int = 4,
    seconds: float = 30.0,
    sample_rate: int = 44100,
    jitter: float = 0.0,
    chords: bool = True,
    noise: float = 0.002,
    seed: int = 0,
) -> Piece:
    """Kick, snare and hats in eighths (waltz: kick, snare, snare), a bass and a chord that changes every bar."""
    rng = np.random.default_rng(seed)
    beats = beat_times(bpm, seconds, jitter=jitter, seed=seed)
    out = noise * rng.standard_normal(int(seconds * sample_rate))
    hat = rng.standard_normal(int(0.04 * sample_rate)) * np.exp(
        -np.arange(int(0.04 * sample_rate)) / (0.008 * sample_rate)
    )
    hat = np.diff(hat, prepend=0.0)
    n = int(0.15 * sample_rate)
    snare = rng.standard_normal(n) * np.exp(-np.arange(n) / (0.03 * sample_rate)) + _tone(sample_rate, 190, 0.15) * 0.7
    t = np.arange(int(0.2 * sample_rate)) / sample_rate
    kick = np.sin(2 * np.pi * (45 * t + 60 * 0.04 * (1 - np.exp(-t / 0.04)))) * np.exp(-t / 0.07)
    roots = [48, 53, 55, 45]
    for i, at in enumerate(beats):
        place = i % meter
        if place == 0 or (meter == 4 and place == 2):
            _add(out, sample_rate, at, kick * 0.7)
        else:
            _add(out, sample_rate, at, snare * 0.25)
        for half in (0, 0.5):
            _add(out, sample_rate, at + half * 60 / bpm, hat * 0.12)
        if chords and place == 0:
            root = roots[i // meter % 4]
            for note in (root - 12, root, root + 4, root + 7):
                hz = 440 * 2 ** ((note - 69) / 12)
                _add(
                    out, sample_rate, at, _tone(sample_rate, hz, meter * 60 / bpm * 0.97, attack=0.01, decay=2.0) * 0.08
                )
    return Piece((out * 0.8).astype(np.float32), sample_rate, beats, beats[::meter])


def _tone(
    sample_rate: int, hz: float, seconds: float, *, attack: float = 0.001, decay: float | None = None
) -> NDArray[np.float64]:
    t = np.arange(int(seconds * sample_rate)) / sample_rate
    return np.sin(2 * np.pi * hz * t) * np.minimum(1, t / attack) * np.exp(-t / (decay or seconds / 4))


def _add(out: NDArray[np.float64], sample_rate: int, at: float, sound: NDArray[np.float64]) -> None:
    start = round(at * sample_rate)
    end = min(start + len(sound), len(out))
    if 0 <= start < end:
        out[start:end] += sound[: end - start]


def f_measure(found: NDArray[np.float64], true: NDArray[np.float64], tolerance: float = 0.07) -> float:
    """Share of beats found and right (harmonic mean), each used once, within ``tolerance`` s."""
    if not len(found) or not len(true):
        return 0.0
    hits, free = 0, np.ones(len(found), bool)
    for t in true:
        near = np.flatnonzero(free & (np.abs(found - t) <= tolerance))
        if len(near):
            free[near[np.argmin(np.abs(found[near] - t))]] = False
            hits += 1
    return 2 * hits / (len(found) + len(true))
