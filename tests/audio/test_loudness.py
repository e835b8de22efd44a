"""Loudness against the signals and tolerances of EBU Tech 3341 and 3342, made from their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.audio.loudness import LoudnessMeter, channel_weights, k_weighting, measure
from pipelines.media.audio import decode

RATE = 48000
SONGS = ["vibe_ace", "lets_go_fishin", "hungarian_dance_5"]


def tones(*parts: tuple[float, float], rate: int = RATE, hz: float = 1000.0, channels: int = 2) -> NDArray[np.float32]:
    """Stereo sine of (dBFS peak, seconds) one after another, as Tech 3341 defines its signals; -inf is silence."""
    level = np.concatenate([np.full(round(seconds * rate), 10 ** (dbfs / 20)) for dbfs, seconds in parts])
    wave = level * np.sin(2 * np.pi * hz * np.arange(len(level)) / rate)
    return np.tile(wave.astype(np.float32), (channels, 1))


def test_the_filter_is_that_of_bs1770_at_48_khz() -> None:
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    high_pass = [1, -2, 1, 1, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(k_weighting(48000), [shelf, high_pass], atol=1e-10)


@pytest.mark.parametrize(
    ("case", "parts", "integrated"),
    [
        (1, [(-23, 20)], -23),
        (2, [(-33, 20)], -33),
        (3, [(-36, 10), (-23, 60), (-36, 10)], -23),
        (4, [(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23),
        (5, [(-26, 20), (-20, 20.1), (-26, 20)], -23),
    ],
)
@pytest.mark.parametrize("rate", [48000, 44100, 22050, 11025])
def test_tech_3341_integrated(case: int, parts: list[tuple[float, float]], integrated: float, rate: int) -> None:
    found = measure(tones(*parts, rate=rate), rate, true_peak=False)
    assert found.integrated == pytest.approx(integrated, abs=0.1), f"case {case}"
    if case <= 2:
        assert found.max_momentary == pytest.approx(integrated, abs=0.1)
        assert found.max_short_term == pytest.approx(integrated, abs=0.1)


@pytest.mark.parametrize("channels", [5, 6])
def test_tech_3341_case_6_surround(channels: int) -> None:
    levels = [-28, -28, -24, -30, -30] if channels == 5 else [-28, -28, -24, -6, -30, -30]  # the LFE does not count
    samples = np.concatenate([tones((db, 20), channels=1) for db in levels])
    assert measure(samples, RATE).integrated == pytest.approx(-23, abs=0.1)


def test_tech_3341_case_9_short_term_is_steady() -> None:
    found = measure(tones(*[(-20, 1.34), (-30, 1.66)] * 5), RATE)
    np.testing.assert_allclose(found.short_term, -23, atol=0.1)


@pytest.mark.parametrize("i", range(20))
def test_tech_3341_cases_10_and_13_maxima_wherever_a_sound_starts(i: int) -> None:
    short = measure(tones((-np.inf, i * 0.15), (-23, 3), (-np.inf, 1)), RATE, true_peak=False)
    assert short.max_short_term == pytest.approx(-23, abs=0.1)
    momentary = measure(tones((-np.inf, i * 0.02), (-23, 0.4), (-np.inf, 1)), RATE, true_peak=False)
    assert momentary.max_momentary == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("i", range(0, 20, 3))
def test_tech_3341_cases_11_and_14_rising_levels(i: int) -> None:
    short = measure(tones((-np.inf, i * 0.15), (-38 + i, 3), (-np.inf, 3 - i * 0.15)), RATE, true_peak=False)
    assert short.max_short_term == pytest.approx(-38 + i, abs=0.1)
    momentary = measure(tones((-np.inf, i * 0.02), (-38 + i, 0.4), (-np.inf, 0.4 - i * 0.02)), RATE, true_peak=False)
    assert momentary.max_momentary == pytest.approx(-38 + i, abs=0.1)


def test_tech_3341_case_12_momentary_is_steady() -> None:
    found = measure(tones(*[(-20, 0.18), (-30, 0.22)] * 25), RATE)
    np.testing.assert_allclose(found.momentary, -23, atol=0.1)


@pytest.mark.parametrize(
    ("case", "part", "degrees", "amplitude", "dbtp"),
    [(15, 4, 0, 0.5, -6), (16, 4, 45, 0.5, -6), (17, 6, 60, 0.5, -6), (18, 8, 67.5, 0.5, -6), (19, 4, 45, 1.41, 3)],
)
@pytest.mark.parametrize("rate", [48000, 44100])
def test_tech_3341_true_peak(case: int, part: int, degrees: float, amplitude: float, dbtp: float, rate: int) -> None:
    n = np.arange(rate)
    fade = np.clip(np.minimum(n, n[::-1]) / (0.05 * rate), 0, 1)  # an abrupt start rings above the tone
    wave = amplitude * fade * np.sin(2 * np.pi * n / part + np.radians(degrees))
    found = measure(np.tile(wave.astype(np.float32), (2, 1)), rate)
    assert dbtp - 0.4 <= found.true_peak <= dbtp + 0.2, f"case {case}"


@pytest.mark.parametrize("offset", range(4))
def test_tech_3341_cases_20_to_23_peaks_between_samples(offset: int) -> None:
    """A tone at a quarter of the rate with a louder burst, made at four times the rate, decimated."""
    from scipy.signal import firwin

    n = np.arange(4 * RATE)
    loud = (n >= 2 * RATE) & (n < 2 * RATE + 4 * 4 * 6)
    wave = np.where(loud, 1.0, 0.5) * np.sin(2 * np.pi * n * (RATE / 6) / (4 * RATE))
    wave *= np.clip(np.minimum(n, n[::-1]) / (0.05 * 4 * RATE), 0, 1)
    limited = np.convolve(wave, firwin(511, 0.22), mode="same")
    found = measure(limited[offset::4].astype(np.float32), RATE)
    true = 20 * np.log10(abs(limited).max())
    assert true - 0.4 <= found.true_peak <= true + 0.2


@pytest.mark.parametrize(
    ("case", "levels", "expected"),
    [(1, [-20, -30], 10), (2, [-20, -15], 5), (3, [-40, -20], 20), (4, [-50, -35, -20, -35, -50], 15)],
)
def test_tech_3342_loudness_range(case: int, levels: list[float], expected: float) -> None:
    found = measure(tones(*[(level, 20.0) for level in levels]), RATE, true_peak=False)
    assert found.range == pytest.approx(expected, abs=1), f"case {case}"


@pytest.mark.parametrize("song", SONGS)
def test_real_music_reads_as_pyloudnorm_does(song: str) -> None:
    """0.01 LU with the standard's own filter; pyloudnorm's default one differs by up to 0.05 LU."""
    import pyloudnorm

    audio = decode(f"sample/media/{song}.ogg")
    meter = pyloudnorm.Meter(audio.sample_rate, filter_class="DeMan")
    samples = audio.samples.T.astype(np.float64)
    found = measure(audio.samples, audio.sample_rate, audio.channels)
    assert found.integrated == pytest.approx(meter.integrated_loudness(samples), abs=0.01)
    assert found.range == pytest.approx(meter.loudness_range(samples), abs=0.15)


@pytest.mark.parametrize("song", SONGS)
def test_true_peak_of_real_music_is_that_of_a_long_filter(song: str) -> None:
    from scipy.signal import resample_poly

    audio = decode(f"sample/media/{song}.ogg")
    samples = audio.samples[:, : 20 * audio.sample_rate]
    finer = resample_poly(samples, 4, 1, axis=1, window=("kaiser", 9.0))
    expected = 20 * np.log10(max(abs(finer).max(), abs(samples).max()))
    assert measure(samples, audio.sample_rate).true_peak == pytest.approx(expected, abs=0.1)


def test_a_downmix_reads_low() -> None:
    audio = decode("sample/media/vibe_ace.ogg")
    apart = measure(audio.samples, audio.sample_rate).integrated
    assert measure(audio.mono, audio.sample_rate).integrated < apart - 3


@pytest.mark.parametrize("n", [0, 1, 100, 4800, 19199])
def test_silence_and_very_short_sounds(n: int) -> None:
    silent = measure(np.zeros((2, n), np.float32), RATE)
    assert silent.integrated == silent.true_peak == silent.max_momentary == -np.inf
    assert silent.range == 0
    if n >= 4800:  # shorter than a window: measured over what there is
        assert measure(tones((-23, n / RATE)), RATE).integrated == pytest.approx(-23, abs=0.3)


def test_weights_by_name() -> None:
    np.testing.assert_allclose(
        channel_weights(("FL", "FR", "FC", "LFE", "SL", "SR")), [1, 1, 1, 0, 1.4125, 1.4125], 1e-4
    )
    np.testing.assert_allclose(channel_weights(2), [1, 1])


@settings(max_examples=25, deadline=None)
@given(gain=st.floats(-40, 0), seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 48000), max_size=5))
def test_gain_shifts_all_and_blocks_change_nothing(gain: float, seed: int, cuts: list[int]) -> None:
    noise = np.random.default_rng(seed).uniform(-0.9, 0.9, (2, 48000)).astype(np.float32)
    whole = measure(noise, RATE)
    quiet = measure(noise * np.float32(10 ** (gain / 20)), RATE)
    if quiet.integrated > -60:
        for name in ("integrated", "max_momentary", "max_short_term", "true_peak", "sample_peak"):
            assert getattr(quiet, name) == pytest.approx(getattr(whole, name) + gain, abs=1e-3), name
    meter = LoudnessMeter(RATE, 2)
    for block in np.split(noise, sorted(cuts), axis=1):
        meter.push(block)
    pieces = meter.finish()
    assert pieces.integrated == pytest.approx(whole.integrated, abs=1e-4)
    assert pieces.true_peak == pytest.approx(whole.true_peak, abs=1e-4)
    np.testing.assert_allclose(pieces.power, whole.power, rtol=1e-4)
