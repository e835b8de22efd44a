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
    row = image[280, 86:1142]  # a quarter up the upper axes, from their left to their right
    white = [(row[int(seconds / 61.5 * len(row))] == 255).all() for seconds in (2, 15, 23.5, 30, 50, 60.5)]
    assert white == [True, False, True, False, False, True]  # before, verse, interlude, verse, verse, after


@pytest.mark.parametrize("text", ["word", "春", "[00:00.00]one\n[00:00.01]two\n", "a\n" * 500])
def test_odd_lyrics_are_drawn_too(text: str, tmp_path: Path) -> None:
    path = tmp_path / "song.lrc"
    path.write_text(text, "utf-8")
    assert pixels(emotions_over_time(analyse(path), 3.0)).shape == (560, 1320, 3)
