"""The limiter and its control signals: what is promised holds for any wave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from pipelines.audio.loudness import measure
from pipelines.mastering import limiter
from pipelines.mastering.envelopes import along, cell_size, falling
from pipelines.mastering.presets import Limiter
from pipelines.mastering.tape import BLOCK, Tape

SETTINGS = Limiter(lookahead_ms=5, release_ms=80)


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_a_cell_divides_a_block(rate: int) -> None:
    assert BLOCK % cell_size(rate) == 0
    assert 700 <= rate / cell_size(rate) <= 2200


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 30), min_size=1, max_size=200), st.floats(1, 50))
def test_falling_is_the_recursion_it_stands_for(values: list[float], cells: float) -> None:
    expected, last = [], 0.0
    for value in values:
        last = max(value, last * np.exp(-1 / cells))
        expected.append(last)
    np.testing.assert_allclose(falling(np.array(values), cells), expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 8), min_size=1, max_size=300), st.floats(1, 20), st.floats(10, 500))
def test_no_cell_is_left_above_the_ceiling(peaks: list[float], lookahead: float, release: float) -> None:
    cell = 32
    heights = np.array(peaks)
    reductions = limiter.reductions(heights, 0.9, Limiter(lookahead, release), 1500)
    assert (reductions >= 0).all()
    gains = along(10 ** (-reductions / 20), cell, 0, len(heights) * cell).reshape(-1, cell)
    assert (gains.max(axis=1) * heights <= 0.9 * (1 + 1e-5)).all()


def test_what_is_below_the_ceiling_is_not_touched() -> None:
    assert not limiter.reductions(np.full(1000, 0.5), 0.9, SETTINGS, 1500).any()
    assert not limiter.reductions(np.zeros(0), 0.9, SETTINGS, 1500).any()


def test_the_gain_falls_before_the_peak_and_returns_after_it() -> None:
    peaks = np.full(3000, 0.1)
    peaks[1500] = 2.0
    reductions = limiter.reductions(peaks, 1.0, SETTINGS, 1500)
    assert reductions[1500:1502] == pytest.approx(6.02, abs=0.02)
    assert reductions[: 1500 - 16].max() == 0  # 5 ms are 7.5 cells, looked at from both sides
    assert reductions[1500 + 240] < 1.5  # two time constants later
    assert np.diff(reductions[1480:1500]).min() >= 0


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000])
def test_peaks_of_cells_are_those_of_a_long_filter(rate: int) -> None:
    rng = np.random.default_rng(0)
    wave = rng.uniform(-0.5, 0.5, (2, 20_000)).astype(np.float32)
    factor = limiter.oversampling(rate)
    # Below a ninth of the way to half the rate from it: what the short filter of the meter can follow.
    wave = np.stack([np.convolve(c, np.hanning(9) / 4, mode="same") for c in wave]).astype(np.float32)
    found = limiter.cell_peaks(Tape.of(wave, rate))
    fine = np.abs(resample_poly(wave, factor, 1, axis=1, window=("kaiser", 9.0))).max(axis=0)
    cell = cell_size(rate) * factor
    inside = np.array([fine[i * cell : (i + 1) * cell].max() for i in range(len(found) - 1)])
    assert (20 * np.log10(found[:-1] / inside) > -0.1).all()
    assert len(found) == -(-wave.shape[1] // cell_size(rate))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5000), st.lists(st.integers(0, 5000), max_size=6), st.integers(0, 99))
def test_blocks_change_nothing(n: int, cuts: list[int], seed: int) -> None:
    wave = np.random.default_rng(seed).standard_normal((2, n)).astype(np.float32)
    whole = limiter.CellPeaks(48000)
    whole.push(wave)
    parts = limiter.CellPeaks(48000)
    for part in np.split(wave, sorted(min(c, n) for c in cuts), axis=1):
        parts.push(part)
    found = whole.finish()
    np.testing.assert_allclose(parts.finish(), found, rtol=1e-5)
    assert len(found) == -(-n // 32)
    assert found.max() == pytest.approx(10 ** (measure(wave, 48000).true_peak / 20), rel=0.05)


@pytest.mark.parametrize("hz", [30, 50, 100, 1000])
def test_a_loud_tone_is_turned_down_and_not_bent(hz: float) -> None:
    rate = 48000
    t = np.arange(rate * 3) / rate
    wave = (1.8 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None, :]
    peaks = limiter.cell_peaks(Tape.of(wave, rate))
    reductions = limiter.reductions(peaks, 0.9, SETTINGS, rate / cell_size(rate))
    out = wave[0] * along(10 ** (-reductions / 20), cell_size(rate), 0, len(t))
    power = np.abs(np.fft.rfft(out[rate : 2 * rate] * np.blackman(rate))) ** 2
    tone = np.abs(np.fft.rfftfreq(rate, 1 / rate) - hz) < 4
    assert 10 * np.log10(power[~tone].sum() / power[tone].sum()) < -80
    assert np.abs(out[rate : 2 * rate]).max() == pytest.approx(0.9, rel=0.01)
