"""Alignment on real songs that were cut, filtered, drowned in noise, slowed down, or swapped for another."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.mastering.alignment import EVIDENCE, Alignment, align, align_samples, picture
from pipelines.media.audio import decode
from tests.media.soundfiles import sine, write

RATE = 22_050
Sound = NDArray[np.float32]


def song(name: str, seconds: float, start: float = 0.0) -> Sound:
    """[2, n] at 22,050 Hz."""
    from scipy.signal import resample_poly

    audio = decode(f"sample/media/{name}.ogg")
    part = audio.samples[:, round(start * 44_100) : round((start + seconds) * 44_100)]
    return np.asarray(resample_poly(part, 1, 2, axis=1), np.float32)


@pytest.fixture(scope="module")
def fishing() -> Sound:
    return song("lets_go_fishin", 75)


@pytest.fixture(scope="module")
def dance() -> Sound:
    return song("hungarian_dance_5", 45)


@pytest.fixture(scope="module")
def vibe() -> Sound:
    return song("vibe_ace", 45)


def mono(sound: Sound) -> Sound:
    return np.asarray(sound.mean(axis=0), np.float32)


def noisy(sound: Sound, snr_db: float, seed: int) -> Sound:
    noise = np.random.default_rng(seed).standard_normal(sound.shape, dtype=np.float32)
    return sound + noise * np.float32(sound.std() * 10 ** (-snr_db / 20))


def bands(sound: Sound) -> tuple[Sound, Sound]:
    """Below and above 800 Hz by filters that share a little around it."""
    from scipy.signal import butter, sosfilt

    low, high = (np.asarray(sosfilt(butter(4, 800, k, fs=RATE, output="sos"), sound)) for k in ("low", "high"))
    return low.astype(np.float32), high.astype(np.float32)


def check(found: Alignment) -> None:
    """What holds for every alignment."""
    assert found.evidence.shape == (len(EVIDENCE),)
    assert found.evidence.dtype == np.float32
    assert np.isfinite(found.evidence).all()
    assert np.isfinite([found.lag_s, found.drift_ppm]).all()
    assert 0 <= found.confidence <= 1
    assert found.verdict in ("ok", "warn", "fail")
    assert found.reasons
    assert (np.diff(found.windows.times) >= 0).all()
    lengths = {len(a) for a in (found.windows.times, found.windows.lags, found.windows.peaks, found.windows.agrees)}
    assert len(lengths) == 1


@pytest.mark.parametrize("lag", [-10.0, -1.2345, 0.0, 0.0031, 10.0])
@pytest.mark.parametrize("snr", [np.inf, 0.0])
def test_stems_cut_at_a_known_place(dance: Sound, lag: float, snr: float) -> None:
    k = round(abs(lag) * RATE)
    inst, vocal = bands(mono(dance))
    if lag >= 0:
        vocal = vocal[k:]
    else:
        inst = inst[k:]
    found = align_samples(noisy(inst, snr, 1), noisy(vocal, snr, 2), RATE)
    check(found)
    assert abs(found.lag_s - np.sign(lag) * k / RATE) < 0.001
    assert found.verdict == "ok"
    assert found.drift_ppm == 0


def test_the_sign_moves_the_vocal_to_its_place(fishing: Sound) -> None:
    """inst[t + lag] is vocal[t]: a vocal that lacks the song's first 2.5 s has a lag of +2.5."""
    mix = mono(fishing)
    found = align_samples(mix, mix[round(2.5 * RATE) :], RATE)
    assert found.lag_s == pytest.approx(2.5, abs=1e-3)
    found = align_samples(mix, np.concatenate([np.zeros(2 * RATE, np.float32), mix]), RATE)
    assert found.lag_s == pytest.approx(-2, abs=1e-3)


def test_left_and_right_with_polarity_turned(fishing: Sound) -> None:
    found = align_samples(fishing[0], -0.1 * fishing[1][RATE:], RATE)
    assert found.lag_s == pytest.approx(1, abs=1e-3)
    assert found.verdict == "ok"


def test_a_side_with_reverb_is_met_at_its_direct_sound(dance: Sound) -> None:
    """The side of this recording is a comb of echoes, the strongest of which come 1.5 to 5 ms late."""
    found = align_samples(mono(dance), (dance[0] - dance[1])[RATE:] / 2, RATE)
    assert found.lag_s == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("ppm", "snr"), [(50.0, np.inf), (50.0, 0.0), (-120.0, np.inf)])
def test_drift(fishing: Sound, ppm: float, snr: float) -> None:
    mix = mono(fishing)
    at = np.arange(round(len(mix) * 0.99)) * (1 + ppm * 1e-6) + 1.5 * RATE
    at = at[at < len(mix) - 1]
    vocal = np.interp(at, np.arange(len(mix)), mix).astype(np.float32)
    found = align_samples(noisy(mix, snr, 3), noisy(vocal, snr, 4), RATE)
    check(found)
    assert found.drift_ppm == pytest.approx(ppm, abs=4)
    assert found.lag_s == pytest.approx(1.5, abs=1e-3)
    assert found.verdict == "warn"
    assert "drift" in found.reasons[0]


def test_songs_that_do_not_belong_together(fishing: Sound, dance: Sound, vibe: Sound) -> None:
    for a, b in ((fishing, dance), (dance, vibe), (vibe, fishing)):
        for pair in ((mono(a), mono(b)), (a[0] - a[1], mono(b)), (noisy(mono(a), 0, 1), noisy(mono(b), 0, 2))):
            found = align_samples(*pair, RATE)
            check(found)
            assert found.verdict == "fail", found.reasons
            assert found.confidence < 0.3
    other = align_samples(mono(fishing)[: 30 * RATE], mono(fishing)[45 * RATE :], RATE)
    assert other.verdict == "fail"  # the same song, but a passage beyond the lags that are searched


def test_stems_that_share_no_sound_are_met_by_their_rhythm(fishing: Sound) -> None:
    """Nothing below 800 Hz in the one, nothing above in the other: no waveform can tell, and the verdict says so."""
    mix = mono(fishing)
    spectrum, hz = np.fft.rfft(mix), np.fft.rfftfreq(len(mix), 1 / RATE)
    inst, vocal = (np.fft.irfft(np.where(k, spectrum, 0), len(mix)).astype(np.float32) for k in (hz < 800, hz >= 800))
    found = align_samples(inst, vocal[3 * RATE :], RATE)
    check(found)
    assert found.by_rhythm
    assert found.lag_s == pytest.approx(3, abs=0.02)
    assert found.verdict == "warn"
    assert found.confidence < 0.85
    assert "share no sound" in found.reasons[0]


def test_a_cut_is_told(fishing: Sound) -> None:
    inst, vocal = bands(mono(fishing))
    cut = np.concatenate([vocal[: 45 * RATE], vocal[46 * RATE :]])
    found = align_samples(inst, cut, RATE)
    assert found.verdict == "warn"
    assert abs(found.lag_s) < 0.001
    assert any("+1.000 s instead" in reason for reason in found.reasons), found.reasons


def test_exact_repetition_is_told() -> None:
    loop = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    found = align_samples(np.tile(loop, 40), np.tile(loop, 30), RATE)
    assert found.verdict == "warn"
    assert found.confidence <= 0.5
    assert any("repeats itself" in reason for reason in found.reasons)


def test_a_vocal_that_enters_late(fishing: Sound) -> None:
    inst, vocal = bands(mono(fishing))
    vocal = vocal.copy()
    vocal[: 50 * RATE] = 0
    vocal[60 * RATE :] = 0
    found = align_samples(inst, vocal[RATE:], RATE)
    check(found)
    assert found.lag_s == pytest.approx(1, abs=1e-3)
    assert found.verdict == "ok"
    assert found.windows.times.min() > 44  # silent windows are not asked
    assert np.isnan(found.path[:400]).all()


def test_a_single_call_at_the_end(fishing: Sound) -> None:
    mix = mono(fishing)[: 60 * RATE]
    vocal = np.zeros_like(mix)
    vocal[57 * RATE : 59 * RATE] = mix[57 * RATE : 59 * RATE]
    found = align_samples(mix, vocal[3 * RATE :], RATE)
    check(found)
    assert found.lag_s == pytest.approx(3, abs=1e-3)
    assert found.verdict == "warn"  # two seconds of common sound


def test_short_stems(dance: Sound) -> None:
    mix = mono(dance)
    found = align_samples(mix[: 20 * RATE], mix[8 * RATE : 12 * RATE], RATE)
    check(found)
    assert found.lag_s == pytest.approx(8, abs=1e-3)
    assert found.verdict == "warn"  # four seconds are not enough for more
    found = align_samples(mix[: 2 * RATE], mix[RATE : 2 * RATE], RATE)
    check(found)
    assert found.lag_s == pytest.approx(1, abs=1e-3)


def test_no_sound_is_refused(tmp_path: Path, dance: Sound) -> None:
    mix = mono(dance)[: 5 * RATE]
    for sound, reason in (
        (np.zeros(5 * RATE, np.float32), "silent"),
        (np.full(5 * RATE, np.nan, np.float32), "silent"),
        (1e-5 * mix, "silent"),
        (np.full(5 * RATE, 0.3, np.float32), "silent"),  # an offset
        (mix[: RATE // 2], "too short"),
        (mix[:0], "too short"),
    ):
        with pytest.raises(BadInput, match=f"the vocal.*{reason}"):
            align_samples(mix, sound, RATE)
        with pytest.raises(BadInput, match=f"the instrumental.*{reason}"):
            align_samples(sound, mix, RATE)
    with pytest.raises(BadInput, match="dimensions"):
        align_samples(dance, mix, RATE)
    with pytest.raises(BadInput, match="outside what can be searched"):
        align_samples(mix, mix, RATE, max_lag_s=1e6)
    silent = write(tmp_path / "silent.wav", np.zeros((2, RATE * 3), np.float32), RATE)
    sounding = write(tmp_path / "sounding.wav", sine(3, sample_rate=RATE), RATE)
    with pytest.raises(BadInput, match=r"silent\.wav: is silent"):
        align(sounding, silent)
    with pytest.raises(BadInput, match="above the limit"):
        align(sounding, sounding, max_hours=0.0001)


def test_files_of_other_rates_channels_and_codecs(tmp_path: Path, fishing: Sound) -> None:
    from scipy.signal import resample_poly

    inst, vocal = bands(fishing[:, : 30 * RATE])
    vocal = vocal[:, round(2.25 * RATE) :]
    wide = np.asarray(resample_poly(inst, 320, 147, axis=1), np.float32)  # 48 kHz
    stereo = write(tmp_path / "inst.flac", wide, 48_000, codec="flac")
    single = write(tmp_path / "vocal.wav", vocal.mean(axis=0, keepdims=True), RATE, codec="pcm_s16le")
    surround = write(tmp_path / "six.wav", np.concatenate([wide, wide, wide]) / 3, 48_000)
    inverted = write(tmp_path / "inverted.wav", np.stack([vocal[0], -vocal[0]]), RATE)
    for a, b in ((stereo, single), (surround, single), (stereo, inverted)):
        found = align(a, b)
        check(found)
        assert found.lag_s == pytest.approx(2.25, abs=1e-3)
        assert found.verdict == "ok"
        assert found.drift_ppm == 0
    assert align(stereo, stereo).lag_s == pytest.approx(0, abs=1e-5)
    eight = write(tmp_path / "eight.wav", np.asarray(resample_poly(vocal, 160, 441, axis=1), np.float32), 8000)
    assert align(stereo, eight).lag_s == pytest.approx(2.25, abs=2e-4)


def test_the_same_stems_give_the_same_alignment(dance: Sound) -> None:
    inst, vocal = bands(mono(dance)[: 20 * RATE])
    first, second = (align_samples(inst, vocal, RATE) for _ in range(2))
    assert first.lag_s == second.lag_s
    assert first.evidence.tobytes() == second.evidence.tobytes()


def test_long_stems_drift_by_seconds_and_are_followed() -> None:
    """A quarter of an hour at 8 kHz; 200 ppm are 0.17 s by its end, far beyond where a window looks."""
    rng = np.random.default_rng(5)
    inst = (0.1 * rng.standard_normal(900 * 8000)).astype(np.float32)
    inst[1:] += inst[:-1]
    at = np.arange(850 * 8000) * (1 + 200e-6) + 4 * 8000
    vocal = np.interp(at, np.arange(len(inst)), inst).astype(np.float32)
    found = align_samples(inst, vocal, 8000)
    assert found.drift_ppm == pytest.approx(200, abs=0.5)
    assert found.lag_s == pytest.approx(4, abs=1e-3)
    assert found.windows.agrees.all()


def test_picture(dance: Sound, vibe: Sound) -> None:
    from PIL import Image

    inst, vocal = bands(mono(dance)[: 20 * RATE])
    right, wrong = align_samples(inst, vocal, RATE), align_samples(mono(vibe), vocal, RATE)
    images = [Image.open(io.BytesIO(picture(a, "a title"))) for a in (right, wrong)]
    assert all(image.size == (1600, 620) for image in images)
    assert images[0].tobytes() != images[1].tobytes()
