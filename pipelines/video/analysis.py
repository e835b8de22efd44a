"""Everything the product knows about a clip, in one value and from one decode pass."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class VideoFeatures:
    """Per frame, per sample (``sample_frames``: a few a second, where a value a frame would waste memory) and per shot.

    A shot boundary is the number of the first frame of the new shot, so frame 0 is none and
    ``n_shots == len(shot_boundaries) + 1``.
    """

    fps: float
    fps_fraction: tuple[int, int]
    n_frames: int
    duration: float  # s
    width: int  # as shown
    height: int
    frame_times: NDArray[np.float64]  # [n_frames], s from the first frame (variable frame rates are kept)
    shot_boundaries: NDArray[np.int64]  # [n_boundaries]
    shot_scores: NDArray[np.float32]  # [n_frames]: boundaries for any threshold come from this, without decoding
    motion: NDArray[np.float32]  # [n_frames], mean optical flow in fractions of the frame's diagonal a second
    brightness: NDArray[np.float32]  # [n_frames], 0..1
    sharpness: NDArray[np.float32]  # [n_frames], 0..1, relative to what is usual
    sample_frames: NDArray[np.int64]  # [n_samples] frame numbers
    histograms: NDArray[np.float32]  # [n_samples, n_bins] HSV, each row sums to 1
    flow_direction: NDArray[np.float32]  # [n_samples, 2] mean flow (x right, y down), diagonal fractions a second
    faces: NDArray[np.float32]  # [n_samples], share of the picture that faces cover
    shot_tags: tuple[tuple[str, ...], ...]  # [n_shots], visual tags in English: "dark", "blue", "fast", "face", ...
    extra: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # what plugged-in analysers found
