"""Keys of melodies: the chorales' from their sopranos, the tunes' under every transposition."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.composing import key
from pipelines.composing.piece import Key
from pipelines.errors import BadInput
from tests.composing.tunes import FOLDER, TUNES

CHORALES = FOLDER.parent / "chorales" / "chorales.parquet"


def test_the_sopranos_of_the_test_chorales_tell_the_key_of_the_four_voices() -> None:
    rows = [row for row in pq.read_table(CHORALES).to_pylist() if row["split"] == "test"]
    right = 0
    for row in rows:
        frames = np.array([row[voice] for voice in ("soprano", "alto", "tenor", "bass")], dtype=np.int64).T
        right += key.of_frames(frames[:, 0]).key == key.of_voices(frames)
    assert len(rows) == 77
    assert right >= 76


@pytest.mark.parametrize("tune", TUNES, ids=lambda tune: tune.file)
def test_a_tune_moves_its_key_with_it_and_is_not_sure_when_little_says_so(tune) -> None:
    notes = tune.piece.parts[0].notes
    lengths = [note.duration for note in notes]
    home = key.estimate([note.pitch for note in notes], lengths)
    for up in range(-12, 13):
        moved = key.estimate([note.pitch + up for note in notes], lengths)
        assert moved.key == Key((home.key.tonic + up) % 12, home.key.minor)
        assert moved.confidence == pytest.approx(home.confidence)
    assert key.estimate([notes[0].pitch]).confidence < home.confidence
    assert 0 < home.confidence <= 1
    assert home.second != home.key


def test_a_signature_is_leant_on_where_the_notes_do_not_decide_and_not_where_they_do() -> None:
    open_fifth = [62, 69, 62, 69, 62]
    assert key.estimate(open_fifth, given=Key(2, True)).key == Key(2, True)
    assert key.estimate(open_fifth, given=Key(2)).key == Key(2)
    major = [note.pitch for note in TUNES[0].piece.parts[0].notes]
    assert key.estimate(major, given=Key(1, True)).key == Key(2)


def test_a_minor_tune_that_ends_with_a_major_third_below_is_minor() -> None:
    frames = np.array([[72, 67, 63, 48]] * 8 + [[71, 67, 62, 55]] * 4 + [[72, 67, 64, 48]] * 4, dtype=np.int64)
    assert key.of_voices(frames) == Key(0, True)


@given(st.lists(st.integers(0, 127), min_size=1, max_size=60))
def test_any_notes_have_a_key(pitches: list[int]) -> None:
    found = key.estimate(pitches)
    assert 1 / 24 <= found.confidence <= 1
    assert found.key != found.second


def test_no_notes_have_none() -> None:
    for wrong in (lambda: key.estimate([]), lambda: key.of_frames(np.full(8, -1))):
        with pytest.raises(BadInput, match="no notes"):
            wrong()
    with pytest.raises(BadInput, match="no bass"):
        key.of_voices(np.full((4, 4), -1))
