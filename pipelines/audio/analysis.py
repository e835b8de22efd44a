"""Everything the product knows about a piece of music, in one value and from one decode.

The parts come from features.py, beats.py, structure.py and onsets.py; here they are only put together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput

_T = TypeVar("_T", bound=np.generic)

VERSION = "1"  # raise it when the same sound gives another result

ENERGY_RATE = 10.0  # values a second
_ENERGY_WINDOW = 3.0  # s, short-term loudness (EBU Tech 3341)


@dataclass(frozen=True, slots=True)
class MusicFeatures:
    """Times in seconds from the start of the file; arrays are read-only.

    ``energy`` is short-term loudness mapped to 0..1 over the piece's own range, at ``energy_rate`` values a second.
    ``beats`` may be empty (no beat found: ``bpm`` 0, ``bpm_confidence`` 0).
    """

    duration: float
    sample_rate: int
    bpm: float
    bpm_confidence: float  # 0..1
    beats: NDArray[np.float64]  # [n_beats]
    downbeats: NDArray[np.float64]  # [n_bars], a subset of beats
    beats_per_bar: int
    section_boundaries: NDArray[np.float64]  # [n_sections + 1], first 0, last the duration
    section_labels: tuple[str, ...]  # [n_sections], A, B, A ...: the same letter for what sounds alike
    energy: NDArray[np.float32]  # [n], 0..1
    energy_rate: float  # values a second
    onsets: NDArray[np.float64]  # [n_onsets]
    onset_strengths: NDArray[np.float32]  # [n_onsets], 0..1
    vector: NDArray[np.float32]  # [n_dim], the feature vector of audio.features
    names: tuple[str, ...]  # [n_dim]
    loudness_lufs: float  # integrated; -inf when silent
    loudness_range: float  # LU
    true_peak_dbtp: float


def analyse(path: Path | str, *, bpm: float | None = None, max_hours: float = 4.0) -> MusicFeatures:
    """Analyses a music file (or a video's sound) in one decode, block by block.

    ``bpm`` is a person's value: it decides between a tempo and its double; the exact tempo is still measured.
    Raises BadInput for a ``bpm`` outside 20..400 and as `pipelines.media.audio.stream` does.
    """
    from pipelines.audio import beats, features, onsets, structure
    from pipelines.media.audio import stream

    if bpm is not None and not 20 <= bpm <= 400:
        raise BadInput(path, f"has a bpm of {bpm:g}, outside 20 to 400", "correct it, or leave it out")
    measured = features.measure_blocks(stream(path, max_hours=max_hours))
    frames, loudness = measured.frames, measured.loudness
    described = features.summarise(measured)
    envelope = onsets.envelope(frames)
    found = onsets.detect(frames, envelope)
    pulse = beats.track(frames, envelope, bpm=bpm)
    sections = structure.divide(frames, pulse)
    return MusicFeatures(
        duration=measured.duration,
        sample_rate=frames.sample_rate,
        bpm=pulse.bpm,
        bpm_confidence=pulse.confidence,
        beats=_fixed(pulse.times),
        downbeats=_fixed(pulse.downbeats),
        beats_per_bar=pulse.beats_per_bar,
        section_boundaries=_fixed(sections.boundaries),
        section_labels=sections.labels,
        energy=_fixed(energy(loudness.power, measured.duration)),
        energy_rate=ENERGY_RATE,
        onsets=_fixed(found.times),
        onset_strengths=_fixed(found.strengths),
        vector=_fixed(described.vector),
        names=described.names,
        loudness_lufs=loudness.integrated,
        loudness_range=loudness.range,
        true_peak_dbtp=loudness.true_peak,
    )


def energy(power: NDArray[np.float64], duration: float) -> NDArray[np.float32]:
    """[ceil(duration * 10)] 0..1: loudness of the 3 s around each tenth of a second.

    0 is the 5th and 1 the 95th percentile of what is not silent, so that a single breath or crash does not flatten the
    rest. A piece whose loudness moves by less than 3 LU is not stretched beyond that: level music lies about 0.5.
    """
    from pipelines.audio.loudness import ABSOLUTE_GATE, lufs

    n = int(np.ceil(duration * ENERGY_RATE - 1e-9))
    if not len(power) or not n:
        return np.zeros(n, np.float32)
    half = round(_ENERGY_WINDOW * ENERGY_RATE / 2)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    centre = np.minimum(np.arange(n), len(power))
    start, end = np.maximum(centre - half, 0), np.minimum(centre + half, len(power))
    level = lufs(np.maximum(sums[end] - sums[start], 0) / np.maximum(end - start, 1))
    heard = level[level > ABSOLUTE_GATE]
    if not len(heard):
        return np.zeros(n, np.float32)
    low, high = np.percentile(heard, [5, 95])
    missing = max(0.0, 3.0 - (high - low)) / 2
    low, high = low - missing, high + missing
    return np.asarray(np.clip((np.maximum(level, low) - low) / (high - low), 0, 1), np.float32)


def _fixed(array: NDArray[_T]) -> NDArray[_T]:
    array.flags.writeable = False
    return array
