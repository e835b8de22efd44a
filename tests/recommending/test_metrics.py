from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.recommending import metrics


def users(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.int32)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 9), st.integers(1, 4))
def test_lists_hold_the_best_in_order_and_never_what_is_excluded(seed: int, n_items: int, k: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (5, n_items)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.3] = -np.inf
    lists = metrics.top(scores, k, users(5), seed)
    assert lists.shape == (5, k)
    for row, shown in zip(scores, lists, strict=True):
        given_ = shown[shown >= 0]
        assert len(set(given_.tolist())) == len(given_) == min(k, int(np.isfinite(row).sum()))
        assert np.all(shown[len(given_) :] == -1)
        assert np.array_equal(row[given_], np.sort(row[np.isfinite(row)])[::-1][: len(given_)])


def test_equal_scores_are_put_in_no_favoured_order() -> None:
    n, n_items, k = 4000, 50, 5
    lists = metrics.top(np.zeros((n, n_items), np.float32), k, users(n))
    share = np.bincount(lists.ravel(), minlength=n_items) / n
    assert abs(share.mean() - k / n_items) < 1e-9
    assert share.std() < 3 * math.sqrt(0.1 * 0.9 / n)
    first = np.bincount(lists[:, 0], minlength=n_items) / n
    assert first.max() < 0.04  # a place is not favoured either
    assert np.array_equal(lists, metrics.top(np.zeros((n, n_items), np.float32), k, users(n)))
    assert not np.array_equal(lists, metrics.top(np.zeros((n, n_items), np.float32), k, users(n), seed=1))


def test_a_tie_at_the_edge_leaves_the_better_ones_in() -> None:
    scores = np.tile(np.array([3, 1, 1, 1, 2], np.float32), (200, 1))
    lists = metrics.top(scores, 3, users(200))
    assert np.all(lists[:, :2] == [0, 4])
    assert set(lists[:, 2].tolist()) == {1, 2, 3}


def test_recall_and_ndcg_by_hand() -> None:
    lists = np.array([[4, 7, 2], [1, 2, 3], [5, -1, -1]], np.int32)
    offsets, targets = np.array([0, 2, 3, 5]), np.array([7, 9, 8, 5, 6], np.int32)
    hit = metrics.hits(lists, offsets, targets)
    assert hit.tolist() == [[False, True, False], [False] * 3, [True, False, False]]
    n = np.diff(offsets)
    assert metrics.recall(hit, n).tolist() == [0.5, 0, 0.5]
    best = 1 + 1 / math.log2(3)
    assert metrics.ndcg(hit, n) == pytest.approx([1 / math.log2(3) / best, 0, 1 / best])


def test_more_targets_than_places_still_allow_an_ndcg_of_one() -> None:
    hit = metrics.hits(np.array([[0, 1]], np.int32), np.array([0, 5]), np.arange(5, dtype=np.int32))
    assert metrics.ndcg(hit, np.array([5])).tolist() == [1.0]
    assert metrics.recall(hit, np.array([5])).tolist() == [0.4]


def test_average_precision_by_hand_and_at_chance() -> None:
    scores = np.array([3, 2, 1], np.float32)
    assert metrics.average_precision(scores, np.array([True, False, True]), 0) == pytest.approx((1 + 2 / 3) / 2)
    assert math.isnan(metrics.average_precision(scores, np.zeros(3, bool), 0))
    flat, one = np.zeros(101, np.float32), np.arange(101) == 0
    mean = np.mean([metrics.average_precision(flat, one, seed) for seed in range(2000)])
    assert mean == pytest.approx(sum(1 / r for r in range(1, 102)) / 101, rel=0.15)  # not 1 for being first


def test_rare_items_carry_more_bits() -> None:
    bits = metrics.self_information(np.array([127, 63, 0]), 127)
    assert bits.tolist() == [0, 1, 7]


def test_intervals_hold_the_mean_and_shrink_with_viewers() -> None:
    rng = np.random.default_rng(0)
    few, many = (metrics.estimates(rng.normal(0.3, 1, (n, 1)))[0] for n in (50, 5000))
    assert few.low < few.mean < few.high
    assert few.high - few.low > 5 * (many.high - many.low)
    assert many.se == pytest.approx(1 / math.sqrt(5000), rel=0.05)
    assert many.high - many.low == pytest.approx(2 * 1.96 * many.se, rel=0.1)
    assert many.clear == 1
    assert metrics.estimates(rng.normal(0, 1, (50, 1)) * 0)[0].clear == 0


def test_nobody_and_one_viewer() -> None:
    nobody = metrics.estimates(np.empty((0, 2)))
    assert [one.n for one in nobody] == [0, 0]
    assert math.isnan(nobody[0].mean)
    alone = metrics.estimates(np.array([[0.25]]))[0]
    assert (alone.mean, alone.low, alone.high) == (0.25, 0.25, 0.25)
    assert math.isnan(alone.se)
