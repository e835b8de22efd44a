"""The chorales as they are read: splits, keys, tonic-relative form; and what is no chorale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.composing import corpus, tokens
from pipelines.composing.piece import Key
from pipelines.errors import BadInput


@pytest.fixture(scope="module")
def chorales() -> corpus.Corpus:
    return corpus.load()


def test_the_standard_split_in_whole_beats(chorales: corpus.Corpus) -> None:
    assert [len(chorales.split(name)) for name in corpus.SPLITS] == [229, 76, 77]
    assert all(len(piece.frames) % 4 == 0 and piece.n_beats == len(piece.frames) // 4 for piece in chorales)


def test_most_chorales_end_on_the_tonic_of_the_key_found(chorales: corpus.Corpus) -> None:
    ends = [int(piece.frames[piece.frames[:, 3] >= 0, 3][-1]) % 12 == piece.key.tonic for piece in chorales]
    assert np.mean(ends) > 0.9


def test_a_tune_reads_the_same_in_every_key(chorales: corpus.Corpus) -> None:
    piece = chorales.train[0]
    for by in range(-6, 7):
        moved = corpus.chorale(tokens.relative(piece.frames, -by))
        assert moved.key == Key((piece.key.tonic + by) % 12, piece.minor)
        np.testing.assert_array_equal(moved.relative, piece.relative)


def test_relative_pitches_fit_the_vocabulary_and_come_back(chorales: corpus.Corpus) -> None:
    for piece in chorales:
        near = piece.relative
        np.testing.assert_array_equal(tokens.pitch_of(tokens.index_of(near)), near)
        np.testing.assert_array_equal(tokens.absolute(near, piece.shift), piece.frames)
        assert 57.5 <= near[near[:, 0] >= 0, 0].mean() < 69.5


def test_a_last_beat_is_filled_up_and_a_given_key_is_taken() -> None:
    piece = corpus.chorale(np.full((5, 4), 60), key=Key(7, True))
    assert piece.frames.shape == (8, 4)
    assert piece.key == Key(7, True)


@pytest.mark.parametrize(
    "frames", [np.full((4, 3), 60), np.full((4, 4), -1), np.full((4, 4), 128), np.empty((0, 4), int)], ids=str
)
def test_what_is_no_chorale_is_refused(frames: np.ndarray) -> None:
    with pytest.raises(BadInput, match="chorale 0: "):
        corpus.chorale(frames)


@pytest.mark.parametrize("content", [b"", b"PAR1 not", None], ids=["empty", "damaged", "missing"])
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "chorales.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=r"chorales\.parquet: holds no chorales"):
        corpus.load(path)


def test_voices_of_unequal_lengths_are_refused(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    row = {"split": "train", "number": 3, "soprano": [60], "alto": [60], "tenor": [60], "bass": []}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "odd.parquet")
    with pytest.raises(BadInput, match="row 3 of train is no chorale"):
        corpus.load(tmp_path / "odd.parquet")
