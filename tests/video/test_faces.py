"""Faces: a real one is found at the sizes that are promised, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines.video.analysis import analyse
from tests.video.clips import Rgb, texture, write_clip

PORTRAIT = Path(__file__).parent / "face.jpg"
FACE_PART = 77 / 240  # of the portrait's height is face


def scene(share: float, across: int = 1) -> Rgb:
    """640x360 with ``across`` portraits whose faces are ``share`` of the picture's height."""
    portrait = cv2.cvtColor(cv2.imread(str(PORTRAIT)), cv2.COLOR_BGR2RGB)[:, 60:190]  # about the head
    size = round(360 * share / FACE_PART)
    small = cv2.resize(portrait, (round(size * 130 / 240), size), interpolation=cv2.INTER_AREA)[:360]
    picture = np.full((360, 640, 3), 110, np.uint8)
    top = (360 - small.shape[0]) // 2
    for k in range(across):
        left = round((k + 0.5) * 640 / across - small.shape[1] / 2)
        picture[top : top + small.shape[0], left : left + small.shape[1]] = small
    return picture


@pytest.mark.parametrize("share", [0.22, 0.3, 0.4])
def test_a_face_is_found_and_measured(tmp_path: Path, share: float) -> None:
    f = analyse(write_clip(tmp_path / "face.mp4", [scene(share)] * 50))
    assert "face" in f.shot_tags[0]
    assert f.faces.min() == f.faces.max() > 0
    assert f.faces.max() == pytest.approx(share**2 * 9 / 16, rel=0.5)


def test_only_the_shot_with_the_face_has_the_tag(tmp_path: Path) -> None:
    shots = [texture(3, 640, 360), scene(0.4), texture(4, 640, 360)]
    f = analyse(write_clip(tmp_path / "three.mp4", [p for p in shots for _ in range(40)]))
    assert f.shot_boundaries.tolist() == [40, 80]
    assert ["face" in tags for tags in f.shot_tags] == [False, True, False]
    assert f.faces[0] == f.faces[-1] == 0


def test_many_faces_are_a_crowd(tmp_path: Path) -> None:
    f = analyse(write_clip(tmp_path / "crowd.mp4", [scene(0.24, across=4)] * 30))
    assert {"face", "crowd"} <= set(f.shot_tags[0])
