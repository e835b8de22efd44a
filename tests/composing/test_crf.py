"""The chain against every path enumerated."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import logsumexp

from pipelines.composing.crf import Chain


def _chain(seed: int, n_places: int, n_candidates: int, spread: float = 3.0, missing: bool = False) -> Chain:
    rng = np.random.default_rng(seed)
    unary = rng.normal(0, spread, (n_places, n_candidates))
    if missing:
        gone = rng.random(unary.shape) < 0.4
        gone[:, 0] = False
        unary[gone] = -np.inf
    return Chain(unary, rng.normal(0, spread, (max(n_places - 1, 0), n_candidates, n_candidates)))


def _every_path(chain: Chain) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    n_places, n_candidates = chain.unary.shape
    paths = np.array(list(itertools.product(range(n_candidates), repeat=n_places)), dtype=np.int64)
    return paths, np.array([chain.score(path) for path in paths])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4), st.booleans())
def test_the_best_path_and_the_marginals_are_those_of_every_path(
    seed: int, n_places: int, n_candidates: int, missing: bool
) -> None:
    chain = _chain(seed, n_places, n_candidates, missing=missing)
    paths, scores = _every_path(chain)

    path, score = chain.best()
    shares, log_z = chain.marginals()

    assert score == pytest.approx(scores.max())
    assert chain.score(path) == pytest.approx(score)
    assert log_z == pytest.approx(float(logsumexp(scores)))
    odds = np.exp(scores - log_z)
    expected = np.array([[odds[paths[:, b] == k].sum() for k in range(n_candidates)] for b in range(n_places)])
    np.testing.assert_allclose(shares, expected, atol=1e-9)


def test_paths_are_drawn_as_often_as_they_are_probable() -> None:
    chain = _chain(3, 3, 3, spread=1.0)
    paths, scores = _every_path(chain)
    rng = np.random.default_rng(0)
    drawn = np.array([chain.drawn(rng) for _ in range(4000)])

    seen = np.array([(drawn == path).all(axis=1).mean() for path in paths])

    np.testing.assert_allclose(seen, np.exp(scores - logsumexp(scores)), atol=0.03)


def test_a_low_temperature_draws_the_best_path_and_the_seed_decides() -> None:
    chain = _chain(5, 6, 4)

    assert (chain.tempered(0.05).drawn(np.random.default_rng(1)) == chain.best()[0]).all()
    assert (chain.drawn(np.random.default_rng(7)) == chain.drawn(np.random.default_rng(7))).all()


def test_long_chains_and_high_penalties_keep_their_precision() -> None:
    chain = _chain(1, 2000, 8, spread=40.0)

    shares, log_z = chain.marginals()

    assert np.isfinite(log_z)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert chain.best()[1] <= log_z


def test_an_empty_chain_has_an_empty_path() -> None:
    chain = Chain(np.empty((0, 4)), np.empty((0, 4, 4)))

    assert chain.best()[0].shape == (0,)
    assert chain.marginals()[0].shape == (0, 4)
