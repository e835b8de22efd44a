"""Probabilities beside how often they are right."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.models.calibration import cross_fitted, error_by_chance, log_loss, reliability, temperature
from pipelines.models.estimators import apply_link


def drawn(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose softmax is the truth, and classes drawn from it."""
    rng = np.random.default_rng(seed)
    raw = 2 * rng.normal(size=(n, 4))
    return raw, (raw + rng.gumbel(size=(n, 4))).argmax(axis=1)


def test_true_probabilities_err_no_more_than_by_chance() -> None:
    raw, truth = drawn(4000)
    p = apply_link(raw, "softmax")
    assert reliability(p, truth).error < error_by_chance(p) < 0.03
    assert error_by_chance(p[:100]) > error_by_chance(p)


def test_the_error_is_the_gap_that_was_put_in() -> None:
    p = np.tile([0.9, 0.1], (1000, 1))
    truth = (np.arange(1000) % 10 < 4).astype(np.int64)  # right in six of ten
    found = reliability(p, truth)
    assert found.error == pytest.approx(0.3)
    assert found.share.sum() == pytest.approx(1)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_the_scores_were_multiplied_by(factor: float) -> None:
    raw, truth = drawn(8000)
    assert temperature(raw * factor, truth, np.ones(8000), "softmax") == pytest.approx(factor, rel=0.06)


def test_cross_fitting_calibrates_rows_that_did_not_take_part() -> None:
    raw, truth = drawn(3000)
    weights, fold = np.ones(3000), np.arange(3000) % 5
    before = apply_link(raw * 4, "softmax")
    after = cross_fitted(raw * 4, truth, weights, fold, "softmax")
    assert log_loss(after, truth, weights) < log_loss(before, truth, weights)
    assert reliability(after, truth).error < 0.5 * reliability(before, truth).error


def test_few_rows_have_few_bins() -> None:
    raw, truth = drawn(3)
    found = reliability(apply_link(raw, "softmax"), truth)
    assert len(found.stated) == 3 and np.isfinite(found.error)
