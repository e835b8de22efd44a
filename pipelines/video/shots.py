"""Shot boundaries: a score a frame, and the frames where it rises over a threshold.

Only hard cuts; what a shot shows is left to tags.py.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture

THRESHOLD = 0.5


class Shots:
    """``scores`` float32 [n_frames], 0..1: how much frame k looks like the first of a new shot."""

    name = "shots"
    version = "1"

    def start(self, info: FrameInfo) -> None:
        self._before: Picture | None = None
        self._difference = array("f")

    def frame(self, index: int, time: float, image: Picture) -> None:
        import cv2

        difference = 0.0
        if self._before is not None:
            for name in ("half", "cb", "cr"):
                difference += cv2.mean(cv2.absdiff(getattr(self._before, name), getattr(image, name)))[0]
        self._difference.append(difference)
        self._before = image

    def finish(self) -> Mapping[str, NDArray[Any]]:
        d = np.array(self._difference, np.float32)
        wide = np.pad(d, 6)
        context = np.partition(np.lib.stride_tricks.sliding_window_view(wide, 13), -2, axis=1)[:, -2]
        return {"scores": (1 - np.exp(-np.maximum(0, d - 2 * context) / 20)).astype(np.float32)}


def detect_shots(scores: NDArray[np.float32], threshold: float = THRESHOLD) -> NDArray[np.int64]:
    """Boundaries int64 [n] (the first frame of each new shot) from scores float32 [n_frames], without decoding."""
    above = np.asarray(scores) >= threshold
    return np.flatnonzero(above).astype(np.int64)


def boundaries_of(path: str | Path) -> NDArray[np.int64]:
    """Shot boundaries of a file by the same detector, with nothing else computed: for rendered edits."""
    from pipelines.video.analysis import analyse

    return analyse(path, analysers=[Shots()]).shot_boundaries
