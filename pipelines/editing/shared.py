"""Shared features: the keys and values that every pattern queries. Computed once a job, immutable, float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SharedFeatures:
    """Music slots (between neighbouring grid times) against source windows (pieces of shots, each used at most once).

    A window lies inside one shot, is at most as long as the longest cut, and never overlaps another window, so
    "no repeated source range" is "no window twice". Filled by ``share`` (see plan of the heads in heads.py).
    """

    grid: NDArray[np.float64]  # [n_slots + 1] s of the excerpt: beats (subdivided where useful) or an even grid
    grid_strength: NDArray[np.float32]  # [n_slots + 1], 0..1: downbeats and section starts near 1
    slot_energy: NDArray[np.float32]  # [n_slots]
    slot_section: NDArray[np.int32]  # [n_slots]
    slot_phrase: NDArray[np.int32]  # [n_slots], -1 where nothing is sung
    window_clip: NDArray[np.int32]  # [n_windows]
    window_shot: NDArray[np.int32]  # [n_windows]
    window_start: NDArray[np.float64]  # [n_windows] s in the clip
    window_end: NDArray[np.float64]  # [n_windows]
    heads: dict[str, NDArray[np.float32]]  # name -> [n_slots, n_windows], 0..1
    flow: NDArray[np.float32]  # [n_windows, n_windows], 0..1: how well b follows a
    visible_cut: NDArray[np.bool_]  # [n_windows, n_windows]: would the eye (and a detector) see a cut from a to b
    confidence: float  # 0..1, from BPM confidence, lyrics timing, amount of material
