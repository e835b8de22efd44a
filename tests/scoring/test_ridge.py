"""What is learned from people's scores: those they used, in the order the features say, with an honest confidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.scoring.ridge import learn


def made(n: int, noise: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64], list[str]]:
    """Features [n, 30], scores 1 to 5 that follow one of them, texts."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 30))
    told = features[:, 3] + noise * rng.normal(size=n)
    scores = 1 + np.searchsorted([-1.2, -0.4, 0.4, 1.2], told)
    return features, scores.astype(np.int64), [str(i) for i in range(n)]


def test_an_order_is_learned_and_the_scores_are_as_frequent_as_people_gave_them() -> None:
    features, scores, texts = made(600, 0.1)
    (learned,) = learn(features[:300], [scores[:300]], texts[:300])
    found, sure = learned.predict(features[300:])
    assert (found == scores[300:]).mean() > 0.7
    assert np.corrcoef(found, scores[300:])[0, 1] > 0.93
    assert sure.mean() == pytest.approx((found == scores[300:]).mean(), abs=0.1)


@pytest.mark.parametrize("noise", [0.3, 1.0, 10.0])
def test_a_confidence_is_what_comes_true_however_noisy_people_are(noise: float) -> None:
    features, scores, texts = made(2_400, noise)
    (learned,) = learn(features[:400], [scores[:400]], texts[:400])
    found, sure = learned.predict(features[400:])
    assert sure.mean() == pytest.approx((found == scores[400:]).mean(), abs=0.06)


def test_copies_of_a_row_do_not_vouch_for_each_other() -> None:
    features, _, texts = made(40, 0)
    scores = np.random.default_rng(1).integers(1, 3, 40)  # of nothing that the features tell
    copied = np.repeat(np.arange(40), 10)
    (learned,) = learn(features[copied], [scores[copied]], [texts[i] for i in copied])
    assert learned.accuracy < 0.75


@given(
    st.integers(1, 60).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, 100), min_size=n, max_size=n),
            st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n),
        )
    )
)
def test_any_labels_of_any_rows_teach_something_usable(rows: tuple[list[int], list[str]]) -> None:
    scores, texts = rows
    features = np.array([[ord(text), len(scores), 0.0] for text in texts], np.float64)
    (learned,) = learn(features, [np.array(scores, np.int64)], texts)
    found, sure = learned.predict(np.array([[0.0, 0, 0], [1e6, 1, 1], [100.0, 3, 0]]))
    assert set(found.tolist()) <= set(scores)
    assert ((sure >= 0) & (sure <= 1)).all()
    assert (np.diff(learned.cuts) >= 0).all()


def test_categories_learned_together_are_what_they_are_alone() -> None:
    features, scores, texts = made(80, 0.5)
    others = scores[::-1].copy()
    both = learn(features, [scores, others], texts)
    for one, alone in zip(
        both, (learn(features, [scores], texts)[0], learn(features, [others], texts)[0]), strict=True
    ):
        np.testing.assert_allclose(one.weights, alone.weights, atol=1e-9)
        np.testing.assert_allclose(one.right, alone.right, atol=1e-9)
