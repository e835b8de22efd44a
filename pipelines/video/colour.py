"""Colour of a clip: HSV histograms a few times a second, and what is read from their bins."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture

SAMPLES_A_SECOND = 4.0
MOST_SAMPLES = 8192  # 34 minutes; a longer clip keeps every second one, then every fourth, so that memory stays bounded
HUES, SATURATIONS, VALUES = 12, 4, 4
N_BINS = HUES * SATURATIONS * VALUES


class Colour:
    """``sample_frames`` int64 [n_samples], ``histograms`` float32 [n_samples, 12 x 4 x 4], each row summing to 1.

    Four samples a second, fewer in clips beyond half an hour.

    Bins are ordered hue (30 degrees each, the first centred on red), saturation, value: ``row.reshape(12, 4, 4)``.
    """

    name = "colour"
    version = "1"

    def start(self, info: FrameInfo) -> None:
        self._frames = array("q")
        self._rows: list[NDArray[np.float32]] = []
        self._due = 0.0
        self._rate = min(SAMPLES_A_SECOND, float(info.fps))

    def frame(self, index: int, time: float, image: Picture) -> None:
        if time < self._due:
            return
        import cv2

        # The next multiple, not this time plus a step: a slow clip must not drift away from the grid.
        self._due = (np.floor(time * self._rate + 1e-6) + 1) / self._rate - 1e-6
        sizes, ranges = [2 * HUES, SATURATIONS, VALUES], [0, 180, 0, 256, 0, 256]
        counts = cv2.calcHist([image.half_hsv], [0, 1, 2], None, sizes, ranges)
        halves = np.roll(counts, 1, axis=0).reshape(HUES, 2, SATURATIONS, VALUES)  # so that reds fall in one bin
        self._frames.append(index)
        self._rows.append((halves.sum(axis=1) / counts.sum()).astype(np.float32).ravel())
        if len(self._rows) > MOST_SAMPLES:
            self._frames, self._rows = self._frames[::2], self._rows[::2]
            self._rate /= 2
            self._due = (np.floor(time * self._rate + 1e-6) + 1) / self._rate - 1e-6

    def finish(self) -> Mapping[str, NDArray[Any]]:
        return {
            "sample_frames": np.array(self._frames, np.int64),
            "histograms": np.array(self._rows, np.float32).reshape(-1, N_BINS),
        }
