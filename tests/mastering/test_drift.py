"""Lines through windows: found among wild points, and slopes told only where they are certain."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.mastering.drift import add_along_lines, fit


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-10, 10), st.sampled_from([-300.0, -50.0, -20.0, 0.0, 20.0, 50.0, 300.0]))
def test_a_line_among_a_third_of_wild_points(seed: int, lag: float, ppm: float) -> None:
    rng = np.random.default_rng(seed)
    times = np.linspace(4, 236, 48)
    lags = lag + ppm * 1e-6 * times + 1e-4 * rng.standard_normal(48)
    wild = rng.permutation(48)[:16]
    lags[wild] += rng.choice([-1, 1], 16) * rng.uniform(0.01, 0.04, 16)
    found = fit(times, lags, rng.uniform(0.5, 2, 48), 0.003)
    assert abs(found.line.slope * 1e6 - ppm) < 3
    assert abs(found.line.lag - lag) < 4e-4
    assert not found.inliers[wild].any()
    assert found.inliers.sum() == 32


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_few_or_scattered_points_have_no_slope(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 10, n))
    found = fit(times, 1 + 2e-4 * rng.standard_normal(n), np.ones(n), 0.003)
    assert found.line.slope == 0 or abs(found.line.slope) * np.ptp(times) > 0.00075


def test_windows_at_one_moment() -> None:
    found = fit(np.full(5, 3.0), np.full(5, 0.25), np.ones(5), 0.003)
    assert (found.line.lag, found.line.slope) == (0.25, 0.0)
    assert found.inliers.all()


def test_a_slope_that_no_single_window_shows() -> None:
    """A faint ridge, a tenth of a window's highest noise, adds up along its slope and along no other."""
    rng = np.random.default_rng(0)
    times = np.arange(30) * 8.0 + 8
    strengths = rng.exponential(size=(30, 4001)).astype(np.float32)
    at = 1700 + np.rint(100e-6 * (times - times.mean()) / 0.002).astype(int)
    strengths[np.arange(30), at] += 2.5
    found = add_along_lines(strengths, times, 0.002, 300)
    assert int(found.total.argmax()) == 1700
    assert abs(found.slope * 1e6 - 100) < 10
