"""The chain as a whole: the loudness asked for, the ceiling kept, the tone moved the way a preset says."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample_poly, sosfreqz

from pipelines.audio.loudness import measure
from pipelines.mastering import chain, compressor, presets, shelves
from pipelines.mastering.chain import Settings4, process
from pipelines.mastering.presets import Compressor, get
from pipelines.mastering.tape import Tape
from pipelines.media.audio import Audio, decode
from tests.audio.generated import drums
from tests.media.soundfiles import sine

SONGS = ["vibe_ace.ogg", "lets_go_fishin.ogg", "hungarian_dance_5.ogg", "big_buck_bunny_0_30.webm"]
SURROUND = "big_buck_bunny_5s.mp4"


def piece(file: str, seconds: float = 12.0, start: float = 8.0) -> Audio:
    audio = decode(f"sample/media/{file}")
    first, last = (round(s * audio.sample_rate) for s in (start, start + seconds))
    if last > audio.samples.shape[1]:
        return audio
    return Audio(np.ascontiguousarray(audio.samples[:, first:last]), audio.sample_rate, audio.channels)


def fine_peak(samples: NDArray[np.float32]) -> float:
    """dBTP by a long filter at eight times the rate, a stricter meter than the product's own."""
    return float(20 * np.log10(np.abs(resample_poly(samples, 8, 1, axis=1, window=("kaiser", 9.0))).max()))


@pytest.mark.parametrize("file", [*SONGS, SURROUND])
@pytest.mark.parametrize("name", ["streaming", "club", "classical", "speech", "vinyl"])
def test_target_met_and_ceiling_kept(file: str, name: str) -> None:
    audio, preset = piece(file), get(name)
    made = process(audio.samples, audio.sample_rate, audio.channels, preset)
    found = measure(made.samples, audio.sample_rate, audio.channels)
    assert found.integrated == pytest.approx(preset.target_lufs, abs=0.05)
    assert found.true_peak <= preset.ceiling_dbtp
    assert fine_peak(made.samples) <= preset.ceiling_dbtp + 0.1
    assert made.samples.shape == audio.samples.shape
    assert made.samples.dtype == np.float32
    assert made.after.integrated == pytest.approx(found.integrated, abs=1e-3)
    bound = preset.tone.bound_db
    assert abs(made.settings.low_shelf_db) <= bound
    assert abs(made.settings.high_shelf_db) <= bound


def test_same_input_same_bytes_and_a_file_is_as_good_as_memory(tmp_path: object) -> None:
    audio, preset = piece("vibe_ace.ogg", 5), get("loud")
    first = process(audio.samples, audio.sample_rate, audio.channels, preset)
    again = process(audio.samples.copy(), audio.sample_rate, audio.channels, preset)
    assert first.samples.tobytes() == again.samples.tobytes()
    with Tape(2, audio.sample_rate, tmp_path) as tape:  # type: ignore[arg-type]
        for part in np.array_split(audio.samples, 7, axis=1):
            tape.append(part)
        blocks = list(chain.finish(chain.prepare(tape, audio.channels, preset)).blocks())
    assert np.concatenate(blocks, axis=1).tobytes() == first.samples.tobytes()


def test_the_input_is_not_changed() -> None:
    audio = piece("vibe_ace.ogg", 3)
    before = audio.samples.copy()
    process(audio.samples, audio.sample_rate, audio.channels, get("loud"))
    np.testing.assert_array_equal(audio.samples, before)


@settings(max_examples=12, deadline=None)
@given(
    gain=st.floats(-30, 6),
    rate=st.sampled_from([8000, 22050, 44100, 96000]),
    channels=st.sampled_from([1, 2]),
    name=st.sampled_from(presets.names()),
    bpm=st.floats(70, 180),
)
def test_any_rate_level_and_preset(gain: float, rate: int, channels: int, name: str, bpm: float) -> None:
    samples = np.tile(drums(bpm, seconds=4, sample_rate=rate).samples, (channels, 1)) * np.float32(10 ** (gain / 20))
    preset = get(name)
    made = process(samples, rate, None, preset)
    assert made.after.true_peak <= preset.ceiling_dbtp
    reached = abs(made.after.integrated - preset.target_lufs) <= 0.1
    assert reached or any("was not reached" in text for text in made.warnings)
    assert np.isfinite(made.samples).all()


def test_level_in_does_not_matter() -> None:
    """The chain begins by normalising: a copy 20 dB softer gives the same master."""
    audio, preset = piece("lets_go_fishin.ogg", 6), get("streaming")
    loud = process(audio.samples, audio.sample_rate, audio.channels, preset)
    soft = process(audio.samples * np.float32(0.1), audio.sample_rate, audio.channels, preset)
    assert soft.settings.vector == pytest.approx(loud.settings.vector, abs=1e-3)
    assert soft.gain_db == pytest.approx(loud.gain_db + 20, abs=0.02)
    np.testing.assert_allclose(soft.samples, loud.samples, atol=2e-3)


@pytest.mark.parametrize("n", [0, 1, 100, 4800])
def test_silence_comes_back_as_it_is(n: int) -> None:
    made = process(np.zeros((2, n), np.float32), 48000, None, get("loud"))
    assert made.samples.shape == (2, n)
    assert not made.samples.any()
    assert made.settings == Settings4(0, 0, 0, -10)
    assert any("silent" in text for text in made.warnings)


def test_a_tenth_of_a_second_is_mastered_and_told() -> None:
    made = process(sine(0.1), 48000, None, get("streaming"))
    assert made.after.integrated == pytest.approx(-14, abs=0.1)
    assert made.after.true_peak <= -1
    assert any("shorter than the 0.4 s" in text for text in made.warnings)


def test_clipped_input_is_told_and_clean_input_is_not() -> None:
    clean = piece("lets_go_fishin.ogg", 5)
    cut = np.clip(clean.samples * 4, -1, 1)
    assert any(re.search(r"clipped in \d+ places", t) for t in process(cut, 44100, None, get("streaming")).warnings)
    assert not process(clean.samples, 44100, None, get("streaming")).warnings


def test_a_click_in_silence_is_kept_under_the_ceiling_though_the_target_is_out_of_reach() -> None:
    wave = np.zeros((1, 96000), np.float32)
    wave[0, 48000:48003] = 0.9
    made = process(wave, 48000, None, get("club"))
    assert made.after.true_peak <= -1
    assert made.after.integrated < -12
    assert any("was not reached" in text for text in made.warnings)


def test_very_soft_input_is_not_raised_without_end() -> None:
    rng = np.random.default_rng(0)
    made = process(rng.normal(0, 10 ** (-66 / 20), (2, 96000)).astype(np.float32), 48000, None, get("club"))
    assert made.gain_db <= 40.001
    assert any("more than 40 dB of gain" in text for text in made.warnings)
    assert any("noise with it" in text for text in made.warnings)


def test_the_lfe_is_not_equalised_and_keeps_its_place() -> None:
    rng = np.random.default_rng(1)
    samples = (0.05 * rng.standard_normal((6, 48000 * 3))).astype(np.float32)
    preset = replace(get("classical"), tone=replace(get("classical").tone, low_db=10, strength=1, bound_db=6))
    made = process(samples, 48000, ("FL", "FR", "FC", "LFE", "BL", "BR"), preset)
    gain = made.samples[3] / samples[3]
    assert np.ptp(20 * np.log10(gain[np.abs(samples[3]) > 0.01])) < 0.05
    assert made.settings.low_shelf_db == pytest.approx(6)


def test_the_tone_moves_towards_the_preset() -> None:
    audio = piece("vibe_ace.ogg")
    bright = get("bright")
    before = _balance(audio.samples, audio.sample_rate)
    made = process(audio.samples, audio.sample_rate, audio.channels, bright)
    after = _balance(made.samples, audio.sample_rate)
    assert before.low_db is not None and after.low_db is not None
    assert before.high_db is not None and after.high_db is not None
    assert abs(after.low_db - bright.tone.low_db) < abs(before.low_db - bright.tone.low_db) - 1
    assert abs(after.high_db - bright.tone.high_db) < abs(before.high_db - bright.tone.high_db) - 1


def _balance(samples: NDArray[np.float32], rate: int) -> shelves.Balance:
    spectrum = shelves.Spectrograph(rate)
    spectrum.push(samples)
    return spectrum.balance()


def test_pink_noise_is_flat_per_octave_in_any_blocks() -> None:
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.standard_normal(48000 * 10))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)))
    wave = (pink / np.abs(pink).max())[None, :].astype(np.float32)
    found = _balance(wave, 48000)
    assert found.low_db == pytest.approx(0, abs=0.7)
    assert found.high_db == pytest.approx(0, abs=0.3)
    parts = shelves.Spectrograph(48000)
    for part in np.array_split(wave, 23, axis=1):
        parts.push(part)
    assert parts.balance().high_db == pytest.approx(found.high_db, abs=1e-3)


def test_an_empty_band_is_not_lifted() -> None:
    tone = get("bright").tone
    assert shelves.gains(shelves.Balance(-80, -80), tone) == (0, 0)
    assert shelves.gains(shelves.Balance(None, None), tone) == (0, 0)
    assert shelves.gains(shelves.Balance(40, 40), tone) == (-tone.bound_db, -tone.bound_db)


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize(("low", "high"), [(3, -2), (-4, 4), (0, 0)])
def test_the_shelves_have_the_gains_they_say(rate: int, low: float, high: float) -> None:
    tone = get("streaming").tone
    sections = shelves.sections(low, high, tone, rate)
    top = 0.499 * rate
    _, response = sosfreqz(sections, worN=[60.0, 1000.0, top], fs=rate)
    level = 20 * np.log10(np.abs(response))
    assert level[0] == pytest.approx(low, abs=0.7)
    assert level[1] == pytest.approx(0, abs=0.4)
    assert level[2] == pytest.approx(high if tone.high_hz < 0.45 * rate else 0, abs=0.3)


def test_the_compressor_follows_its_curve_on_a_steady_tone() -> None:
    levels = np.full(3000, -13.0)
    settings_ = Compressor(threshold_lu=2, ratio=4, knee_db=0, attack_ms=5, release_ms=50)
    reduction = compressor.reductions(levels, -23.0, settings_, 1500)
    assert reduction[-1] == pytest.approx((1 - 1 / 4) * 8, abs=0.01)
    assert not compressor.reductions(np.full(3000, -30.0), -23.0, settings_, 1500).any()
    assert not compressor.reductions(levels, -23.0, replace(settings_, ratio=1), 1500).any()


def test_the_compressor_takes_range_and_crest_from_music() -> None:
    audio = piece("big_buck_bunny_0_30.webm", 30, 0)
    hard = Compressor(threshold_lu=-6, ratio=4, knee_db=6, attack_ms=10, release_ms=150)
    quiet = replace(get("classical"), target_lufs=-30)
    plain = process(audio.samples, audio.sample_rate, audio.channels, quiet)
    pressed = process(audio.samples, audio.sample_rate, audio.channels, replace(quiet, compressor=hard))
    assert pressed.after.range < plain.after.range - 1
    assert pressed.reductions.compressor_mean > 2
    assert plain.reductions.compressor_max == 0


@pytest.mark.parametrize("name", ["streaming", "classical"])
def test_settings_of_a_model_take_the_place_of_what_is_found(name: str) -> None:
    audio = piece("lets_go_fishin.ogg", 8)
    wanted = Settings4(low_shelf_db=-1.5, high_shelf_db=2.0, comp_db=1.8, target_lufs=-15.3)
    made = process(audio.samples, audio.sample_rate, audio.channels, get(name), settings=wanted)
    assert made.settings.vector == pytest.approx(wanted.vector, abs=0.05)
    assert made.after.integrated == pytest.approx(-15.3, abs=0.05)
    off = process(audio.samples, audio.sample_rate, audio.channels, get(name), settings=replace(wanted, comp_db=0))
    assert off.settings.comp_db == 0
