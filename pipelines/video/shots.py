"""Shot boundaries: a score a frame, and the frames where it rises over a threshold.

Hard cuts only, between shots of at least ABOUT seconds; what a shot shows is left to tags.py.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture

THRESHOLD = 0.5  # where a difference equals NOTICEABLE + CONTEXT * what moves around it anyway
NOTICEABLE = 11.0  # levels of 0..255, luma and colour together: less is no cut even in a still clip
CONTEXT = 1.6
ABOUT = 0.2  # s before and after that count as the neighbourhood of a frame; flashes shorter than this are no shots
NEAREST = 2  # frames; of boundaries closer than this only the clearest is one
WIDTH, HEIGHT = 64, 36  # what frames are compared at
SHIFT_X, SHIFT_Y = 8, 5  # either way; a movement of the camera up to these is followed
QUIET = 5.5  # a plain difference below this needs no search for shifts
TEXTURED = 8.0  # levels of standard deviation below which correlation says nothing
DOUBTFUL, CERTAIN = 0.80, 0.90  # correlations: 288 cuts between real shots reached 0.76, relit frames mostly 0.95
PAIRS = 4  # frames looked at on either side of a suspected cut


class Shots:
    """``scores`` float32 [n_frames], 0..1: how much frame k looks like the first of a new shot.

    The difference d of frame k to the one before is taken after the best common shift, so that a pan counts little.
    It is then held against the neighbourhood: c, the second largest difference of the frames about it, so that
    movement (which comes in bursts where frames are held) counts little; and the *least* difference of any frame
    shortly before to any shortly after, so that a flash counts nothing. score = d / (d + NOTICEABLE + CONTEXT c).
    """

    name = "shots"
    version = "1"

    def start(self, info: FrameInfo) -> None:
        self._reach = max(3, round(ABOUT * float(info.fps)))
        self._recent: deque[NDArray[np.uint8]] = deque(maxlen=2 * self._reach + 1)
        self._steps = array("f")
        self._least = array("f")

    def frame(self, index: int, time: float, image: Picture) -> None:
        picture = _compared(image)
        self._steps.append(_difference(self._recent[-1], picture) if self._recent else 0.0)
        self._recent.append(picture)
        if index >= self._reach:
            self._look_across(index - self._reach)

    def finish(self) -> Mapping[str, NDArray[Any]]:
        for index in range(len(self._least), len(self._steps)):
            self._look_across(index)
        steps = np.array(self._steps, np.float32)
        least = np.array(self._least, np.float32)
        return {"scores": least / (least + NOTICEABLE + CONTEXT * _context(steps, self._reach))}

    def _look_across(self, index: int) -> None:
        """The least difference of a frame shortly before ``index`` to one shortly after, where it can matter."""
        step = self._steps[index]
        around = self._steps[max(0, index - self._reach) : index + self._reach + 1]
        if step > NOTICEABLE / 2 and step >= sorted(around)[-4:][0]:
            step = min(step, self._across(index))
        self._least.append(step)

    def _across(self, index: int) -> float:
        last = len(self._steps) - 1
        oldest = last - len(self._recent) + 1
        before = _spread(index - 1, max(oldest, index - self._reach))
        after = _spread(index, min(last, index + self._reach - 1))
        if len(before) < 2 or len(after) < 2:
            return 0.0  # a single picture at either end is a slip of the recorder or a damaged frame, not a shot
        return min(
            _difference(self._recent[a - oldest], self._recent[b - oldest], relit=True)
            for a, b in product(before, after)
        )


def _context(steps: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """The second largest step of the ``2 reach`` frames about each frame; at the ends the window moves inwards."""
    width = min(2 * reach + 1, len(steps))
    if width < 3:
        return np.zeros_like(steps)
    windows = np.lib.stride_tricks.sliding_window_view(steps, width)
    largest = -np.partition(-windows, 2, axis=1)[:, :3]  # the frame's own step may be among them
    mine = np.clip(np.arange(len(steps)) - reach, 0, len(windows) - 1)
    largest = largest[mine]
    return np.where(steps >= largest[:, 1], largest[:, 2], largest[:, 1])


def detect_shots(scores: NDArray[np.float32], threshold: float = THRESHOLD) -> NDArray[np.int64]:
    """Boundaries int64 [n] (the first frame of each new shot) from scores float32 [n_frames], without decoding."""
    boundaries: list[int] = []
    for frame in np.flatnonzero(np.asarray(scores) >= threshold).tolist():
        if boundaries and frame - boundaries[-1] <= NEAREST:
            if scores[frame] > scores[boundaries[-1]]:
                boundaries[-1] = frame
        else:
            boundaries.append(frame)
    return np.array(boundaries, np.int64)


def boundaries_of(path: str | Path) -> NDArray[np.int64]:
    """Shot boundaries of a file by the same detector, with nothing else computed: for rendered edits."""
    from pipelines.video.analysis import analyse

    return analyse(path, analysers=[Shots()]).shot_boundaries


def _compared(image: Picture) -> NDArray[np.uint8]:
    import cv2

    size = (WIDTH, HEIGHT)
    planes = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (image.half, image.cb, image.cr)]
    return cast("NDArray[np.uint8]", cv2.merge(planes))


def _difference(before: NDArray[np.uint8], after: NDArray[np.uint8], *, relit: bool = False) -> float:
    """Mean over pixels of |luma| + |Cb| + |Cr| differences after the best common shift, in levels of 0..255.

    ``relit``: the same picture under another light (a lamp, a flash gun, a fade) counts as alike.
    """
    import cv2

    plain = cv2.norm(before, after, cv2.NORM_L1) / (HEIGHT * WIDTH)
    if plain < QUIET:
        return float(plain)
    middle = before[SHIFT_Y:-SHIFT_Y, SHIFT_X:-SHIFT_X]
    x, y = cv2.minMaxLoc(cv2.matchTemplate(after[..., 0], middle[..., 0], cv2.TM_SQDIFF))[2]
    shifted = after[y : y + middle.shape[0], x : x + middle.shape[1]]
    least = min(plain, cv2.norm(middle, shifted, cv2.NORM_L1) / (middle.shape[0] * middle.shape[1]))
    if relit:
        least *= 1 - _same_scene(middle[..., 0], after[..., 0])
    return float(least)


def _same_scene(middle: NDArray[np.uint8], luma: NDArray[np.uint8]) -> float:
    """0..1: how surely two pictures differ by light alone, from their correlation at the best shift."""
    import cv2

    if min(cv2.meanStdDev(p)[1][0, 0] for p in (middle, luma)) < TEXTURED:
        return 0.0
    correlation = cv2.minMaxLoc(cv2.matchTemplate(luma, middle, cv2.TM_CCOEFF_NORMED))[1]
    return float(np.clip((correlation - DOUBTFUL) / (CERTAIN - DOUBTFUL), 0, 1))


def _spread(nearest: int, farthest: int) -> list[int]:
    """At most PAIRS frame numbers, evenly from the nearest to the farthest."""
    count = min(PAIRS, abs(farthest - nearest) + 1)
    return [round(x) for x in np.linspace(nearest, farthest, count)]
