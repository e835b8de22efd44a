"""Everything the product knows about a piece of music, in one value and from one decode."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
