"""Faces, a little less than once a second: OpenCV's bundled Haar cascade on the reduced picture.

It finds frontal faces from about a fifth of the picture's height up. Whose face it is, nobody asks.
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

LOOKS_A_SECOND = 0.8  # a face stays longer than that; a look costs as much as decoding several frames
CASCADE = "haarcascade_frontalface_alt2.xml"
STEP = 1.2  # ratio of neighbouring search sizes; at 1.3 every third size of face was missed
NEIGHBOURS = 2  # overlapping finds that make a face; one alone is mostly foliage
SMALLEST = 26  # pixels, nearly a fifth of a wide picture's height; half of the work would go to smaller ones
SAME = 3.0  # mean difference in levels of 0..255 to the last look below which its answer still stands


class Faces:
    """``face_frames`` int64 [n_looks], ``face_share`` float32 [n_looks] of the picture's area, ``face_count``."""

    name = "faces"
    version = "1"

    def start(self, info: FrameInfo) -> None:
        import cv2

        self._cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))
        self._due = 0.5 / LOOKS_A_SECOND  # not the very first frame, which is often black
        self._last: tuple[int, Picture] | None = None
        self._looked_at: NDArray[np.uint8] | None = None
        self._frames = array("q")
        self._share = array("f")
        self._count = array("f")

    def frame(self, index: int, time: float, image: Picture) -> None:
        if time >= self._due:
            self._due = time + 1 / LOOKS_A_SECOND - 1e-6
            self._look(index, image)
        self._last = (index, image)

    def _look(self, index: int, image: Picture) -> None:
        import cv2

        self._frames.append(index)
        seen = self._looked_at
        if seen is not None and cv2.norm(seen, image.half, cv2.NORM_L1) < SAME * seen.size:
            self._share.append(self._share[-1])
            self._count.append(self._count[-1])
            return
        self._looked_at = image.half
        found = self._cascade.detectMultiScale(image.luma, STEP, NEIGHBOURS, minSize=(SMALLEST, SMALLEST))
        area = sum(int(w) * int(h) for _, _, w, h in found)
        self._share.append(min(1.0, area / image.luma.size))
        self._count.append(len(found))

    def finish(self) -> Mapping[str, NDArray[Any]]:
        if not self._frames and self._last is not None:
            self._look(*self._last)
        return {
            "face_frames": np.array(self._frames, np.int64),
            "face_share": np.array(self._share, np.float32),
            "face_count": np.array(self._count, np.float32),
        }


def at_samples(
    faces: Mapping[str, NDArray[Any]], boundaries: NDArray[np.int64], samples: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Face share float32 [n_samples] from the nearest look within the same shot, 0 where there was none."""
    share = np.zeros(len(samples), np.float32)
    if not faces or not len(samples):
        return share
    looks = faces["face_frames"]
    shot_of_look = np.searchsorted(boundaries, looks, side="right")
    shot_of_sample = np.searchsorted(boundaries, samples, side="right")
    for shot in np.unique(shot_of_sample):
        inside, mine = np.flatnonzero(shot_of_look == shot), shot_of_sample == shot
        if len(inside):
            nearest = np.abs(samples[mine, None] - looks[None, inside]).argmin(axis=1)
            share[mine] = faces["face_share"][inside[nearest]]
    return share
