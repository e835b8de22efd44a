"""The block filter against scipy's sosfilt."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.audio.biquads import filter_blocks
from pipelines.audio.loudness import k_weighting


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 3000),
    channels=st.integers(1, 3),
    cut=st.integers(0, 3000),
    rate=st.sampled_from([8000, 44100, 48000, 192000]),
)
def test_any_signal_in_any_blocks_is_filtered_as_by_sosfilt(n: int, channels: int, cut: int, rate: int) -> None:
    from scipy.signal import sosfilt

    sections = k_weighting(rate)
    samples = np.random.default_rng(n).uniform(-1, 1, (channels, n)).astype(np.float32)
    state = np.random.default_rng(cut).uniform(-0.1, 0.1, (2, channels, 2))
    expected, end = sosfilt(sections, samples.astype(np.float64), axis=1, zi=state)
    first, middle = filter_blocks(sections, samples[:, : min(cut, n)], state)
    second, last = filter_blocks(sections, samples[:, min(cut, n) :], middle)
    np.testing.assert_allclose(np.concatenate([first, second], axis=1), expected, atol=2e-4)
    np.testing.assert_allclose(last, end, atol=2e-4)
