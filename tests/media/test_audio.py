"""What is decoded, from good files and from all kinds of bad ones."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import BadInput
from pipelines.media.audio import BLOCK, decode, stream
from tests.media.soundfiles import sine, write

SAMPLE = Path("sample/media")


@pytest.mark.parametrize(
    ("name", "codec", "tolerance"),
    [("a.wav", "pcm_f32le", 0), ("a.wav", "pcm_s16le", 1e-4), ("a.wav", "pcm_u8", 0.02), ("a.flac", "flac", 1e-4)],
)
def test_lossless_sound_comes_back_as_it_was(tmp_path: Path, name: str, codec: str, tolerance: float) -> None:
    samples = sine(3.0)
    audio = decode(write(tmp_path / name, samples, codec=codec))
    assert audio.sample_rate == 48000
    assert audio.channels == ("FL", "FR")
    assert audio.samples.dtype == np.float32
    np.testing.assert_allclose(audio.samples, samples, atol=tolerance)


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mp3", "libmp3lame"), ("a.opus", "libopus")])
def test_lossy_sound_comes_back_nearly_as_it_was(tmp_path: Path, name: str, codec: str) -> None:
    samples = sine(2.0)
    audio = decode(write(tmp_path / name, samples, codec=codec))
    assert audio.duration == pytest.approx(2.0, abs=0.06)
    assert np.sqrt((audio.samples**2).mean()) == pytest.approx(np.sqrt((samples**2).mean()), rel=0.06)


def test_mono_is_the_mean_of_the_channels(tmp_path: Path) -> None:
    audio = decode(write(tmp_path / "a.wav", sine(0.5)))
    np.testing.assert_allclose(audio.mono, audio.samples.mean(axis=0), atol=1e-6)


def test_six_channels_keep_their_names() -> None:
    audio = decode(SAMPLE / "big_buck_bunny_5s.mp4")
    assert audio.samples.shape == (6, 254976)
    assert audio.channels == ("FL", "FR", "FC", "LFE", "BL", "BR")


@pytest.mark.parametrize(("rate", "seconds"), [(8000, 1.0), (48000, 0.1), (8000, 0.1), (44100, 1 / 44100)])
def test_low_rates_and_short_sounds(tmp_path: Path, rate: int, seconds: float) -> None:
    samples = sine(seconds, sample_rate=rate)
    np.testing.assert_array_equal(decode(write(tmp_path / "a.wav", samples, rate)).samples, samples)


@pytest.mark.parametrize("name", ["with spaces.wav", "織物の曲.wav", "🎵 song.wav", "100%d.wav", "a:b.wav", "-i.wav"])
def test_any_path(tmp_path: Path, name: str) -> None:
    assert decode(write(tmp_path / "a.wav", sine(0.2)).rename(tmp_path / name)).samples.shape == (2, 9600)


@pytest.mark.parametrize("name", ["song.mp3", "song.txt", "song.png", "song", "song.m3u8"])
def test_the_content_decides_not_the_extension(tmp_path: Path, name: str) -> None:
    write(tmp_path / "a.wav", sine(0.2)).rename(tmp_path / name)
    assert decode(tmp_path / name).samples.shape == (2, 9600)


@pytest.mark.parametrize("source", ["vibe_ace.ogg", "big_buck_bunny_0_30.webm"])
def test_a_truncated_file_gives_what_is_there(tmp_path: Path, source: str) -> None:
    data = (SAMPLE / source).read_bytes()
    (tmp_path / source).write_bytes(data[: len(data) // 2])
    whole, half = decode(SAMPLE / source), decode(tmp_path / source)
    assert 0.2 < half.duration / whole.duration < 0.8
    np.testing.assert_array_equal(half.samples[:, :44100], whole.samples[:, :44100])


def test_a_truncated_wav_gives_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", sine(2.0))
    path.write_bytes(path.read_bytes()[:400_003])
    assert decode(path).duration == pytest.approx(400_003 / (48000 * 8), abs=0.01)


def test_damage_in_the_middle_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp3", sine(4.0), codec="libmp3lame")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(range(250)) * 12
    path.write_bytes(data)
    audio = decode(path)
    assert 3.0 < audio.duration < 4.2
    assert np.isfinite(audio.samples).all()


def test_a_truncated_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    data = (SAMPLE / "big_buck_bunny_5s.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[:2000])
    with pytest.raises(BadInput, match=r"cut\.mp4: .*; "):
        decode(tmp_path / "cut.mp4")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("zero.wav", b"", "is empty"),
        ("words.wav", b"these are words, not sound\n" * 50, "is no media file"),
        ("words.txt", b"these are words, not sound\n" * 50, "text file|no media file"),
        ("noise.mp3", np.random.default_rng(0).bytes(5000), "media file|single sample"),
        ("header.wav", b"RIFF\x24\0\0\0WAVEfmt ", "is no media file|has no sound|single sample"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n", "playlist|no media file"),
        ("list.txt", b"ffconcat version 1.0\nfile /etc/passwd\n", "playlist|no media file|text file"),
        ("song.lrc", b"[00:01.00]la la\n", "text file|no media file"),
    ],
)
def test_what_is_no_media_gets_one_sentence(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=reason) as refused:
        decode(tmp_path / name)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_sound_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="has no sound"):
        decode(SAMPLE / "one-by-one-person-detection.mp4")
    with pytest.raises(BadInput, match="is not a file"):
        decode(tmp_path / "missing.wav")
    with pytest.raises(BadInput, match="is not a file"):
        decode(tmp_path)


def test_a_wav_without_samples(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((2, 2, 48000, 0, "NONE", ""))
    with pytest.raises(BadInput, match=r"without a single sample|no media file"):
        decode(tmp_path / "a.wav")


def test_six_channels_without_names_are_taken_in_the_usual_order(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((6, 2, 48000, 0, "NONE", ""))
        out.writeframes(bytes(12 * 480))
    assert decode(tmp_path / "a.wav").channels == ("FL", "FR", "FC", "LFE", "BL", "BR")


def test_a_few_samples_that_are_not_numbers_become_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = sine(1.0)
    samples[0, 100], samples[1, 200], samples[1, 300] = np.nan, np.inf, 1e30
    with caplog.at_level(logging.WARNING):
        audio = decode(write(tmp_path / "nan.wav", samples))
    assert audio.samples[0, 100] == audio.samples[1, 200] == audio.samples[1, 300] == 0
    assert abs(audio.samples).max() <= 0.5
    assert "3 samples are not numbers" in caplog.text


def test_many_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    samples = sine(1.0)
    samples[:, ::3] = np.nan
    with pytest.raises(BadInput, match="33% samples that are not numbers"):
        decode(write(tmp_path / "nan.wav", samples))


def test_too_long_is_refused_from_the_header(tmp_path: Path) -> None:
    path = write(tmp_path / "long.wav", np.zeros((1, 8000 * 40), np.float32), 8000)
    assert decode(path, max_hours=41 / 3600).duration == 40
    with pytest.raises(BadInput, match=r"0\.011 hours long, above the limit of .*; cut it"):
        decode(path, max_hours=39 / 3600)


def test_a_stream_of_an_hour_needs_little_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "hour.flac", np.zeros((1, 8000 * 3600), np.float32), 8000, codec="flac")
    code = (
        "import sys, resource; from pipelines.media.audio import stream\n"
        "first = next(stream(sys.argv[1])); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "seconds = sum(b.samples.shape[1] for b in stream(sys.argv[1])) / 8000\n"
        "print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True).stdout
    seconds, growth = map(float, out.split())
    assert seconds == pytest.approx(3600, abs=1)
    assert growth < 20  # MB, where the samples are 110


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 3 * BLOCK), channels=st.sampled_from([1, 2, 6]), seed=st.integers(0, 99))
def test_blocks_joined_are_the_sound(
    tmp_path_factory: pytest.TempPathFactory, n: int, channels: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("blocks")
    samples = np.random.default_rng(seed).uniform(-1, 1, (channels, n)).astype(np.float32)
    blocks = list(stream(write(folder / "a.wav", samples)))
    np.testing.assert_array_equal(np.concatenate([b.samples for b in blocks], axis=1), samples)
    assert {b.samples.shape[0] for b in blocks} == {channels}
    shutil.rmtree(folder)
