"""How much and whither the picture moves: dense optical flow between frames about an eighth of a second apart.

Flow over a cut means nothing; where cuts lie is known only after the pass, so ``per_frame`` leaves those out later.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture

FLOWS_A_SECOND = 8.0
STILL = 0.8  # mean difference in levels of 0..255 that noise alone makes: nothing moves, and no flow is computed


class Motion:
    """Flow from frame ``flow_from[k]`` to ``flow_to[k]`` (int64), for consecutive stretches that tile the clip.

    ``flow_speed`` float32 [n_flows]: mean length; ``flow_mean`` float32 [n_flows, 2]: mean vector (x right, y down);
    both in fractions of the picture's diagonal a second.
    """

    name = "motion"
    version = "1"

    def start(self, info: FrameInfo) -> None:
        import cv2

        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._stride = max(1, math.ceil(float(info.fps) / FLOWS_A_SECOND))
        self._before: NDArray[np.uint8] | None = None
        self._before_time = 0.0
        self._frames = array("q")
        self._speed = array("f")
        self._mean = array("f")

    def frame(self, index: int, time: float, image: Picture) -> None:
        if index % self._stride:
            return
        import cv2

        picture = image.half
        if self._before is not None:
            speed = x = y = 0.0
            if cv2.norm(self._before, picture, cv2.NORM_L1) > STILL * picture.size:
                flow = self._flow.calc(self._before, picture, None)  # type: ignore[call-overload]
                unit = math.hypot(*picture.shape) * max(time - self._before_time, 1e-3)
                speed = cv2.mean(cv2.magnitude(flow[..., 0], flow[..., 1]))[0] / unit
                x, y = (mean / unit for mean in cv2.mean(flow)[:2])
            self._frames.append(index)
            self._speed.append(speed)
            self._mean.extend((x, y))
        self._before, self._before_time = picture, time

    def finish(self) -> Mapping[str, NDArray[Any]]:
        ends = np.array(self._frames, np.int64)
        return {
            "flow_from": ends - self._stride,
            "flow_to": ends,
            "flow_speed": np.array(self._speed, np.float32),
            "flow_mean": np.array(self._mean, np.float32).reshape(-1, 2),
        }


def per_frame(
    flows: Mapping[str, NDArray[Any]], boundaries: NDArray[np.int64], n_frames: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Speed float32 [n_frames] and mean vector float32 [n_frames, 2], interpolated within each shot.

    A stretch with a cut in it is left out; a shot without any whole stretch is taken to be still.
    """
    speed = np.zeros(n_frames, np.float32)
    vector = np.zeros((n_frames, 2), np.float32)
    starts, ends = flows["flow_from"], flows["flow_to"]
    middles = (starts + ends) / 2
    edges = [0, *boundaries.tolist(), n_frames]
    for first, stop in pairwise(edges):
        low, high = np.searchsorted(starts, first), np.searchsorted(ends, stop - 1, side="right")
        if high <= low:
            continue
        frames = np.arange(first, stop)
        speed[first:stop] = np.interp(frames, middles[low:high], flows["flow_speed"][low:high])
        for axis in (0, 1):
            vector[first:stop, axis] = np.interp(frames, middles[low:high], flows["flow_mean"][low:high, axis])
    return speed, vector
