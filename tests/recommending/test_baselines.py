from __future__ import annotations

import numpy as np
import pytest

from pipelines.recommending import baselines, splits
from pipelines.recommending.baselines import BASELINES, tuned
from pipelines.recommending.evaluation import warm_means
from pipelines.recommending.linear_models import decayed_ridge, ease
from pipelines.recommending.neighbours import item_knn
from pipelines.recommending.popularity import DAY, matrix, popularity, recent_popularity
from tests.recommending.generated_events import events, tastes

EVERYBODY = np.arange(120, dtype=np.int32)


@pytest.mark.parametrize("name", BASELINES)
def test_each_scores_everybody_finitely_and_alike_in_any_block(name: str) -> None:
    made = tastes()
    scorer = BASELINES[name].fit(made, **BASELINES[name].quick)
    scores = scorer(EVERYBODY)
    assert scores.shape == (120, 80)
    assert scores.dtype == np.float32
    assert not np.isnan(scores).any()
    shuffled = np.random.default_rng(0).permutation(EVERYBODY)
    np.testing.assert_allclose(scorer(shuffled[:7]), scores[shuffled[:7]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BASELINES)
def test_a_viewer_without_history_is_given_what_is_popular(name: str) -> None:
    made = events([(0, 1, 0), (0, 2, 1), (1, 1, 2), (1, 3, 3), (3, 1, 3), (3, 2, 4)], n_items=5)
    assert BASELINES[name].fit(made, **BASELINES[name].quick)(np.array([2], np.int32))[0].argmax() == 1


def test_dislikes_make_nothing_popular() -> None:
    made = events([(0, 1, 0), (1, 2, 1), (2, 2, 2)], unwanted={1, 2})
    assert popularity(made)(np.array([0], np.int32)).tolist() == [[0, 1, 0]]


def test_recent_popularity_halves() -> None:
    made = events([(0, 0, 0), (1, 1, int(7 * DAY)), (2, 2, int(14 * DAY))])
    now = recent_popularity(made, half_life_days=7)(np.array([0, 2], np.int32))
    assert now == pytest.approx(np.array([[0.25, 0.5, 1]] * 2))
    then = recent_popularity(made, half_life_days=7, as_of="viewer")(np.array([2, 0, 1], np.int32))
    assert then == pytest.approx(np.array([[0.25, 0.5, 1], [1, 0, 0], [0.5, 1, 0]]))


def test_neighbours_are_cosines_with_few_viewers_damped() -> None:
    made = events([(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1), (2, 0, 0), (2, 2, 1)])
    scores = item_knn(made, neighbours=2, shrink=0)(np.array([2], np.int32))[0]
    assert scores[1] == pytest.approx(2 / np.sqrt(6))  # with item 0; none with item 2
    damped = item_knn(made, neighbours=2, shrink=1)(np.array([2], np.int32))[0]
    assert damped[1] == pytest.approx(2 / (np.sqrt(6) + 1))


def test_both_sides_of_ease_are_the_formula() -> None:
    made = tastes(n_users=30, n_items=40, length=8)
    X = matrix(made).toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + 50 * np.eye(40))
    B = np.eye(40) - P / np.diag(P)
    people = np.arange(30, dtype=np.int32)
    known = X.any(axis=0)
    by_viewers = ease(made, regularisation=50)(people)
    np.testing.assert_allclose(by_viewers[:, known], (X @ B)[:, known], atol=1e-5)
    many = tastes(n_users=200, n_items=40, length=8)
    X = matrix(many).toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + 50 * np.eye(40))
    by_items = ease(many, regularisation=50)(people)
    np.testing.assert_allclose(by_items, (X @ (np.eye(40) - P / np.diag(P)))[:30], atol=1e-5)


def test_a_catalogue_too_large_is_cut_to_what_is_chosen_most() -> None:
    made = tastes(n_users=200, n_items=60)
    chosen = np.bincount(made.items, minlength=60)
    for scorer in (ease(made, most=20), decayed_ridge(made, most=20)):
        scores = scorer(EVERYBODY)
        known = ~np.isneginf(scores).all(axis=0)
        assert known.sum() == 20
        assert chosen[known].min() >= chosen[~known].max()


def test_the_order_of_a_history_is_found_where_it_is_the_signal() -> None:
    split = splits.leave_last_out(tastes(n_users=300))
    ridge = warm_means(split, decayed_ridge(split.train, tau=1.0, regularisation=1.0))[1]
    assert ridge > 0.3
    assert ridge > 2 * warm_means(split, popularity(split.train))[1]


def test_settings_are_chosen_by_what_ranks_best_on_validation() -> None:
    split = splits.leave_last_out(tastes(n_users=300))
    earlier = splits.validation(split)
    grid = [{"tau": 30.0, "regularisation": 1e6}, {"tau": 1.0, "regularisation": 1.0}]
    assert tuned("decayed_ridge", earlier, grid) == grid[1]
    assert tuned("recent_popularity", earlier)["half_life_days"] > 0


def test_the_weekly_set_stands_on_too_little_to_choose_by() -> None:
    split = splits.leave_last_out(events([(0, 0, 0), (0, 1, 1), (1, 1, 2), (1, 2, 3)]))
    found = baselines.weekly(split)
    assert list(found.scorers) == list(BASELINES)
    assert found.settings["recent_popularity"] == BASELINES["recent_popularity"].settings("leave_last_out")
    for scorer in found.scorers.values():
        assert not np.isnan(scorer(np.array([0, 1], np.int32))).any()
