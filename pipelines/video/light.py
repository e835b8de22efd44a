"""Brightness and sharpness of each frame."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture

BLACK, WHITE = 16.0, 235.0  # limited-range luma (ITU-R BT.601)
USUAL_DETAIL = 12.0  # standard deviation of the Laplacian at 256x144 that maps to 0.5
DETAIL_SPREAD = 0.6  # e-folds of it that one step of the logistic curve spans
LOOKS_A_SECOND = 8.0  # at the detail; it changes slowly, and between looks the last one stands


class Light:
    """``brightness`` float32 [n_frames]: mean luma, 0 black, 1 white. ``sharpness`` float32 [n_frames], 0..1.

    Sharpness is the spread of the Laplacian on a logarithmic scale, 0.5 being usual for footage of this size: it
    compares shots, and says little about one picture alone, since a clear sky is not sharp either.
    """

    name = "light"
    version = "1"

    def start(self, info: FrameInfo) -> None:
        self._brightness = array("f")
        self._detail = array("f")
        self._stride = max(1, math.ceil(float(info.fps) / LOOKS_A_SECOND))

    def frame(self, index: int, time: float, image: Picture) -> None:
        import cv2

        self._brightness.append(cv2.mean(image.luma)[0])
        if index % self._stride == 0:
            self._detail.append(float(cv2.meanStdDev(cv2.Laplacian(image.luma, cv2.CV_16S))[1][0, 0]))

    def finish(self) -> Mapping[str, NDArray[Any]]:
        brightness = (np.array(self._brightness, np.float32) - BLACK) / (WHITE - BLACK)
        detail = np.log(np.maximum(np.array(self._detail, np.float32), 1e-3))
        sharpness = 1 / (1 + np.exp((math.log(USUAL_DETAIL) - detail) / DETAIL_SPREAD))
        return {
            "brightness": np.clip(brightness, 0, 1),
            "sharpness": np.repeat(sharpness, self._stride)[: len(brightness)].astype(np.float32),
        }
