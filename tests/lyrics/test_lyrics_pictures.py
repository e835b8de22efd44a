"""The picture of the emotions: a PNG for any lyrics, with no warning about glyphs that no font has."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.lyrics.analysis import analyse
from pipelines.lyrics.pictures import emotions_over_time


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_areas_stand_where_words_are_sung() -> None:
    image = pixels(emotions_over_time(analyse("sample/jobs/haru-no-ogawa/haru-no-ogawa.lrc"), 61.5))
    assert image.shape == (560, 1320, 3)
    height = 280
    at = lambda seconds: image[height, 86 + int(seconds / 61.5 * (1142 - 86))]  # noqa: E731 - the axes' left and right
    assert (at(20.4) == 255).all()  # the interlude
    assert (at(10) != 255).any()
    assert (at(60) == 255).all()


@pytest.mark.parametrize("text", ["word", "春", "[00:00.00]one\n[00:00.01]two\n", "a\n" * 500])
def test_odd_lyrics_are_drawn_too(text: str, tmp_path: Path) -> None:
    path = tmp_path / "song.lrc"
    path.write_text(text, "utf-8")
    assert pixels(emotions_over_time(analyse(path), 3.0)).shape == (560, 1320, 3)
