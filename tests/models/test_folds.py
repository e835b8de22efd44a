"""Folds hold whole recordings, and the same ones each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.models.folds import split

rows = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=2, max_size=120).filter(
    lambda pairs: len({recording for recording, _ in pairs}) > 1
)


@given(rows=rows, count=st.integers(2, 7), seed=st.integers(0, 3), labelled=st.booleans())
def test_no_recording_is_divided_and_no_fold_is_empty(
    rows: list[tuple[int, int]], count: int, seed: int, labelled: bool
) -> None:
    recordings = np.array([f"song {recording}" for recording, _ in rows])
    labels = np.array([f"class {label}" for _, label in rows]) if labelled else None
    folds = split(recordings, labels, count=count, seed=seed)
    for name in set(recordings):
        assert len(np.unique(folds.index[recordings == name])) == 1
    assert set(folds.index) == set(range(folds.count))
    assert folds.count == min(count, len(set(recordings)))
    assert (folds.note == "") == (folds.count == count)
    assert np.array_equal(folds.index, split(recordings, labels, count=count, seed=seed).index)


def test_folds_are_balanced_in_rows_and_classes() -> None:
    rng = np.random.default_rng(0)
    recording = rng.integers(0, 100, 2000)
    of_recording = rng.choice(3, 100, p=[0.7, 0.2, 0.1])
    labels = np.array(["a", "b", "c"])[of_recording[recording]]
    folds = split(recording.astype(str), labels)
    for label in "abc":
        share = np.bincount(folds.index[labels == label], minlength=5) / (labels == label).sum()
        assert share.min() > 0.1 and share.max() < 0.3
    sizes = np.bincount(split(recording.astype(str)).index)
    assert sizes.max() - sizes.min() <= 10


def test_the_order_of_rows_moves_no_recording() -> None:
    recordings = np.array([f"song {i}" for i in np.random.default_rng(1).integers(0, 30, 300)])
    order = np.random.default_rng(2).permutation(300)
    assert np.array_equal(split(recordings).index[order], split(recordings[order]).index)


def test_three_recordings_make_three_folds_and_say_so() -> None:
    folds = split(np.repeat(["a", "b", "c"], 10), count=5)
    assert folds.count == 3
    assert folds.note == "3 folds instead of 5: there are only 3 recordings"


def test_one_recording_leaves_nothing_to_test_on() -> None:
    with pytest.raises(BadInput, match="all its 30 rows come from one recording"):
        split(np.repeat(["a"], 30))
