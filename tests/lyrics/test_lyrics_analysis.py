"""A song's words end to end: from a file to LyricsFeatures, and untimed words over the music."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.lyrics.analysis import EMOTIONS, LyricsFeatures, analyse, lay_out


@pytest.fixture(scope="module")
def daffodils() -> LyricsFeatures:
    return analyse("sample/jobs/daffodils/daffodils.lrc")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LyricsFeatures:
    path = tmp_path_factory.mktemp("plain") / "song.txt"
    path.write_text("Row\nRow your boat gently down the stream\n春が来た\n山に里に野にも来た\n", "utf-8")
    return analyse(path)


def test_shapes_types_and_ranges(daffodils: LyricsFeatures) -> None:
    n = len(daffodils.texts)
    assert n == 12
    assert daffodils.language == "en"
    assert daffodils.timed
    assert daffodils.starts.dtype == daffodils.ends.dtype == np.float64
    assert daffodils.emotions.shape == (n, len(EMOTIONS))
    assert daffodils.embeddings.shape == (n, 512)
    assert daffodils.emotions.dtype == daffodils.embeddings.dtype == daffodils.valence.dtype == np.float32
    assert len(daffodils.keywords) == n
    assert "daffodils" in daffodils.keywords[3]
    assert not daffodils.embeddings.flags.writeable


def test_the_poem_goes_from_lonely_to_pleasure(daffodils: LyricsFeatures) -> None:
    first, last = daffodils.valence[0], daffodils.valence[10]
    assert first < 0 < 0.5 < last


def test_equal_files_give_equal_features(daffodils: LyricsFeatures) -> None:
    again = analyse("sample/jobs/daffodils/daffodils.lrc")
    assert again.embeddings.tobytes() == daffodils.embeddings.tobytes()
    assert again.emotions.tobytes() == daffodils.emotions.tobytes()


def test_japanese_in_shift_jis(tmp_path: Path) -> None:
    path = tmp_path / "春の小川.lrc"
    path.write_bytes(Path("sample/jobs/haru-no-ogawa/haru-no-ogawa.lrc").read_text("utf-8").encode("cp932"))
    features = analyse(path)
    assert features.language == "ja"
    assert "小川" in features.keywords[0]
    assert "cp932" in features.warnings[0]


def test_plain_text_is_untimed(plain: LyricsFeatures) -> None:
    assert not plain.timed
    assert np.isnan(plain.starts).all()
    assert np.isnan(plain.ends).all()


def test_laying_out_fills_the_span_in_order_by_length(plain: LyricsFeatures) -> None:
    laid = lay_out(plain, 10.0, 50.0)
    assert not laid.timed
    assert laid.starts[0] == 10.0
    assert laid.ends[-1] == pytest.approx(50.0)
    assert np.array_equal(laid.starts[1:], laid.ends[:-1])
    lengths = laid.ends - laid.starts
    assert lengths[1] > 2 * lengths[0] > 0
    assert lengths[3] > lengths[2]
    assert np.isnan(plain.starts).all()


def test_laying_out_leaves_timed_words_alone(daffodils: LyricsFeatures) -> None:
    assert lay_out(daffodils, 0.0, 100.0) is daffodils


def test_bad_input_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "silence.lrc"
    path.write_bytes(b"")
    with pytest.raises(BadInput, match=r"silence\.lrc: is empty"):
        analyse(path)
