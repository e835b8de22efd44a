"""The pictures that people look at: they are PNGs of a readable size, whatever the clip."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.video.analysis import analyse
from pipelines.video.pictures import contact_sheet, strip_of_shots
from tests.video.clips import pan, write_clip


def decoded(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize(("shots", "frames", "size"), [(1, 1, (64, 48)), (3, 20, (192, 108)), (26, 8, (108, 192))])
def test_strip_and_sheet(tmp_path: Path, shots: int, frames: int, size: tuple[int, int]) -> None:
    clip = write_clip(tmp_path / "動画.mp4", [p for k in range(shots) for p in pan(40 + k, frames, 25, size=size)])
    features = analyse(clip)
    strip = decoded(strip_of_shots(clip, features))
    assert 1200 < strip.shape[1] < 2000
    assert 350 < strip.shape[0] < 1000
    assert strip.std() > 20
    sheet = decoded(contact_sheet(clip, 12))
    assert 1200 < sheet.shape[1] < 2000
    assert sheet.std() > 20
