"""The feature vector against librosa, feature by feature, on the same samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.audio.features import extract, names, vectorize
from pipelines.audio.spectrum import Spectrum
from pipelines.media.audio import decode
from tests.media.soundfiles import sine, write

LOG_MEL_DB = 1e-3  # dB
OTHERS = 1e-4  # relative
SONGS = ["vibe_ace", "lets_go_fishin", "hungarian_dance_5"]


def by_librosa(y: NDArray[np.float32], rate: int) -> dict[str, float]:
    import librosa

    mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=rate, n_mels=64))
    series = {
        "rms": librosa.feature.rms(y=y),
        "zcr": librosa.feature.zero_crossing_rate(y=y),
        "centroid": librosa.feature.spectral_centroid(y=y, sr=rate),
        "rolloff": librosa.feature.spectral_rolloff(y=y, sr=rate),
        "flux": librosa.onset.onset_strength(S=mel, sr=rate),
    }
    found = {f"mel_mean_{i:02d}": v for i, v in enumerate(mel.mean(axis=1))}
    found |= {f"mel_std_{i:02d}": v for i, v in enumerate(mel.std(axis=1))}
    for name, values in series.items():
        found |= {f"{name}_mean": values.mean(dtype=np.float64), f"{name}_std": values.std(dtype=np.float64)}
    return {k: float(v) for k, v in found.items()}


def compare(y: NDArray[np.float32], rate: int) -> None:
    features = vectorize(y, rate)
    ours = dict(zip(features.names, features.vector.tolist(), strict=True))
    for name, expected in by_librosa(y, rate).items():
        if name.startswith("mel"):
            assert ours[name] == pytest.approx(expected, abs=LOG_MEL_DB), name
        else:
            assert ours[name] == pytest.approx(expected, rel=OTHERS, abs=1e-7), name


@pytest.mark.parametrize("song", SONGS)
def test_a_song_reads_as_by_librosa(song: str) -> None:
    audio = decode(f"sample/media/{song}.ogg")
    compare(audio.mono, audio.sample_rate)


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")
@pytest.mark.parametrize("rate", [22050, 32000, 44100, 48000])
@pytest.mark.parametrize("n", [511, 2048, 10000, 100_001])
def test_any_length_reads_as_by_librosa(rate: int, n: int) -> None:
    rng = np.random.default_rng(n)
    compare((rng.standard_normal(n) * 0.1 + 0.2 * np.sin(np.arange(n) * 0.03)).astype(np.float32), rate)


@pytest.mark.filterwarnings("ignore:n_fft=:UserWarning")
@pytest.mark.filterwarnings("ignore:Empty filters:UserWarning")
@pytest.mark.parametrize("rate", [8000, 16000, 96000, 192000])
def test_other_rates_take_windows_of_like_duration(rate: int) -> None:
    import librosa

    y = np.random.default_rng(rate).standard_normal(3 * rate).astype(np.float32) * 0.1
    spectrum = Spectrum(rate)
    spectrum.push(y)
    frames = spectrum.finish()
    assert 0.016 <= frames.n_fft / rate <= 0.13
    mel = librosa.feature.melspectrogram(y=y, sr=rate, n_mels=64, n_fft=frames.n_fft, hop_length=frames.hop)
    np.testing.assert_allclose(frames.mel_db, librosa.power_to_db(mel).T, atol=LOG_MEL_DB)


def test_names_and_order() -> None:
    features = vectorize(sine(1.0), 48000)
    assert len(names()) == len(set(names())) == len(features.vector) >= 160
    assert features.names == names()
    assert features.vector.dtype == np.float32


def test_levels_of_a_known_tone() -> None:
    features = vectorize(sine(10.0, channels=2, hz=1000.0)[[0, 0]], 48000)
    found = dict(zip(features.names, features.vector.tolist(), strict=True))
    assert found["lufs"] == pytest.approx(-6.02, abs=0.1)
    assert found["true_peak"] == pytest.approx(-6.02, abs=0.15)
    assert found["crest"] == pytest.approx(3.01, abs=0.1)
    assert found["stereo_correlation"] == pytest.approx(1.0, abs=1e-5)
    assert found["side_level"] == -100
    assert found["centroid_mean"] == pytest.approx(1000, rel=0.02)
    assert found["chroma_b"] > 0.5  # 1000 Hz lies 21 cents above B5


def test_opposite_channels_have_all_their_power_at_the_side() -> None:
    tone = sine(2.0, channels=1)
    features = vectorize(np.concatenate([tone, -tone]), 48000)
    found = dict(zip(features.names, features.vector.tolist(), strict=True))
    assert found["stereo_correlation"] == pytest.approx(-1, abs=1e-5)
    assert found["side_level"] == 100


def test_a_file_and_its_samples_have_the_same_vector(tmp_path: object) -> None:
    audio = decode("sample/media/vibe_ace.ogg")
    from_file = extract("sample/media/vibe_ace.ogg")
    np.testing.assert_allclose(
        from_file.vector, vectorize(audio.samples, audio.sample_rate).vector, rtol=1e-4, atol=1e-4
    )
    assert from_file.stats["duration_s"] == pytest.approx(audio.duration)
    assert from_file.stats["lufs"] == pytest.approx(-17.2, abs=0.1)


@pytest.mark.parametrize("n", [1, 10, 800, 48000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_silence_is_finite(n: int, channels: int) -> None:
    features = vectorize(np.zeros((channels, n), np.float32), 48000)
    assert np.isfinite(features.vector).all()
    assert features.stats["lufs"] == -math.inf


def test_six_channels(tmp_path: object) -> None:
    features = extract("sample/media/big_buck_bunny_5s.mp4")
    assert np.isfinite(features.vector).all()
    assert features.stats["channels"] == 6


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 200_000), cuts=st.lists(st.integers(0, 200_000), max_size=6), rate=st.sampled_from([8000, 44100])
)
def test_blocks_change_nothing(n: int, cuts: list[int], rate: int) -> None:
    y = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    whole, pieces = Spectrum(rate), Spectrum(rate)
    whole.push(y)
    for block in np.split(y, sorted(min(c, n) for c in cuts)):
        pieces.push(block)
    a, b = whole.finish(), pieces.finish()
    assert len(a.mel) == 1 + n // a.hop
    for name in ("mel", "chroma", "centroid", "rolloff", "rms", "zero_crossings", "attack"):
        np.testing.assert_allclose(getattr(b, name), getattr(a, name), rtol=2e-4, atol=1e-6, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 5000),
    channels=st.integers(1, 6),
    rate=st.sampled_from([4000, 8000, 22050, 48000, 192000]),
    gain=st.floats(0, 4),
)
def test_any_sound_has_a_finite_vector(n: int, channels: int, rate: int, gain: float) -> None:
    samples = np.random.default_rng(n).uniform(-gain, gain, (channels, n)).astype(np.float32)
    assert np.isfinite(vectorize(samples, rate).vector).all()


def test_extract_of_a_tenth_of_a_second_at_8_khz(tmp_path) -> None:  # type: ignore[no-untyped-def]
    features = extract(write(tmp_path / "a.wav", sine(0.1, sample_rate=8000), 8000))
    assert np.isfinite(features.vector).all()
    assert features.stats["duration_s"] == pytest.approx(0.1)
