"""One reduced frame of a clip, and the views of it that analysers share. Decoding is left to frames.py."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray


class Picture:
    """One reduced frame as Y'CbCr planes; other views are made when first asked for and shared by all analysers.

    ``luma`` uint8 [h, w], ``cb`` and ``cr`` uint8 [h/2, w/2], limited range (luma 16..235), turned as shown.
    """

    __slots__ = ("_half", "_half_hsv", "_rgb", "cb", "cr", "luma")

    def __init__(self, luma: NDArray[np.uint8], cb: NDArray[np.uint8], cr: NDArray[np.uint8]) -> None:
        self.luma = luma
        self.cb = cb
        self.cr = cr
        self._half: NDArray[np.uint8] | None = None
        self._rgb: NDArray[np.uint8] | None = None
        self._half_hsv: NDArray[np.uint8] | None = None

    @property
    def half(self) -> NDArray[np.uint8]:
        """uint8 [h/2, w/2], luma at the size of the colour planes."""
        if self._half is None:
            import cv2

            height, width = self.cb.shape
            self._half = cast("NDArray[np.uint8]", cv2.resize(self.luma, (width, height), interpolation=cv2.INTER_AREA))
        return self._half

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """uint8 [h, w, 3]."""
        if self._rgb is None:
            self._rgb = _to_rgb(self.luma, self.cb, self.cr)
        return self._rgb

    @property
    def half_hsv(self) -> NDArray[np.uint8]:
        """uint8 [h/2, w/2, 3]: hue 0..179 (2 degrees a step), saturation and value 0..255."""
        if self._half_hsv is None:
            import cv2

            height, width = self.cb.shape
            size = (width // 2, height // 2)
            cb = cv2.resize(self.cb, size, interpolation=cv2.INTER_AREA)
            cr = cv2.resize(self.cr, size, interpolation=cv2.INTER_AREA)
            rgb = _to_rgb(self.half, cast("NDArray[np.uint8]", cb), cast("NDArray[np.uint8]", cr))
            self._half_hsv = cast("NDArray[np.uint8]", cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
        return self._half_hsv


def _to_rgb(luma: NDArray[np.uint8], cb: NDArray[np.uint8], cr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    height, width = luma.shape
    planes = np.concatenate([luma.ravel(), cb.ravel(), cr.ravel()]).reshape(height * 3 // 2, width)
    return cast("NDArray[np.uint8]", cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420))
