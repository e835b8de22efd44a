"""Chance and variety: nothing without them, and as much as is asked for with them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.recommending.reranking import diversified, explored


def candidates(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(scores that fall, vectors of length 1 in five groups)."""
    rng = np.random.default_rng(seed)
    vectors = np.eye(5, 12)[np.arange(n) % 5] + rng.normal(0, 0.1, (n, 12))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return np.sort(rng.normal(0, 1, n).astype(np.float32))[::-1].copy(), vectors


def alike(vectors: np.ndarray) -> float:
    return float((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)].mean())


@given(st.integers(1, 40), st.integers(1, 50), st.floats(0, 1), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_a_list_names_candidates_once(n: int, limit: int, diversity: float, seed: int) -> None:
    scores, vectors = candidates(n, seed)
    order = diversified(scores, vectors, limit, diversity)
    assert len(order) == min(n, limit) == len(set(order.tolist()))
    assert order[0] == 0  # the best is always first


def test_without_diversity_the_scores_rule() -> None:
    scores, vectors = candidates(30)
    assert diversified(scores[::-1].copy(), vectors, 10, 0.0).tolist() == list(range(29, 19, -1))


def test_more_diversity_is_less_alike() -> None:
    scores, vectors = candidates(100)
    vectors[:20] = vectors[0]  # the best are all the same
    found = [alike(vectors[diversified(scores, vectors, 10, d)]) for d in (0.0, 0.5, 1.0)]
    assert found[0] > found[1] >= found[2]


def test_it_is_maximal_marginal_relevance() -> None:
    """Against the definition, one by one."""
    scores, vectors = candidates(25, 3)
    relevance = (scores - scores.min()) / (scores.max() - scores.min())
    likeness = vectors @ vectors.T
    likeness = (likeness - likeness.min()) / (likeness.max() - likeness.min())
    chosen = [0]
    while len(chosen) < 8:
        rest = [i for i in range(25) if i not in chosen]
        chosen.append(max(rest, key=lambda i: 0.6 * relevance[i] - 0.4 * max(likeness[i, j] for j in chosen)))
    assert diversified(scores, vectors, 8, 0.4).tolist() == chosen


def test_exploration_draws_by_chance_and_seed() -> None:
    scores, _ = candidates(50)
    assert explored(scores, 0.0, np.random.default_rng(1)) is scores
    first = explored(scores, 0.5, np.random.default_rng(1))
    np.testing.assert_array_equal(first, explored(scores, 0.5, np.random.default_rng(1)))
    assert (first != explored(scores, 0.5, np.random.default_rng(2))).any()


def test_first_places_are_drawn_as_plackett_luce_says() -> None:
    scores = np.array([1.0, 0.5, 0.0, -1.0], np.float32)
    wanted = np.exp(scores / scores.std())
    rng = np.random.default_rng(0)
    firsts = [int(np.argmax(explored(scores, 1.0, rng))) for _ in range(20_000)]
    np.testing.assert_allclose(np.bincount(firsts, minlength=4) / 20_000, wanted / wanted.sum(), atol=0.015)


def test_scores_that_are_all_the_same_are_drawn_evenly() -> None:
    rng = np.random.default_rng(0)
    firsts = [int(np.argmax(explored(np.zeros(4, np.float32), 0.5, rng))) for _ in range(4000)]
    assert np.bincount(firsts, minlength=4).min() > 800
