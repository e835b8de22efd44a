"""Previews: short, mono, small, and of the passage that says most."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.audio.loudness import measure
from pipelines.errors import BadInput
from pipelines.mastering.previews import passage, preview
from pipelines.media.audio import decode
from tests.media import soundfiles


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty seconds of a real song."""
    audio = decode("sample/media/lets_go_fishin.ogg")
    path = tmp_path_factory.mktemp("song") / "song.wav"
    return soundfiles.write(path, np.ascontiguousarray(audio.samples[:, : 50 * audio.sample_rate]), audio.sample_rate)


def test_a_preview_is_mono_aac_at_96_kbit_and_30_to_60_s(song: Path, tmp_path: Path) -> None:
    path = preview(song, tmp_path / "p.m4a")
    audio = decode(path)
    assert len(audio.samples) == 1
    assert 30 <= audio.duration <= 60.1
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.bit_rate == pytest.approx(96_000, rel=0.1)
    assert measure(audio.samples, audio.sample_rate).true_peak <= -1
    assert [p.name for p in tmp_path.iterdir()] == ["p.m4a"]


def test_it_is_faded_and_always_the_same(song: Path, tmp_path: Path) -> None:
    first, again = (preview(song, tmp_path / f"{i}.m4a", seconds=30) for i in range(2))
    assert first.read_bytes() == again.read_bytes()
    audio = decode(first)
    middle = np.abs(audio.samples[0]).max()
    for edge in (audio.samples[0, : audio.sample_rate // 50], audio.samples[0, -audio.sample_rate // 20 :]):
        assert np.abs(edge).max() < 0.1 * middle


def test_the_loudest_passage_is_taken_from_a_breath_before_it() -> None:
    power = np.full(2000, 1e-4)
    power[1200:1700] = 1e-2
    power[1180] = 1e-6
    start, length = passage(power, 45)
    assert start == pytest.approx(118.0, abs=0.01)
    assert length == 45


def test_a_short_piece_is_taken_whole(tmp_path: Path) -> None:
    source = soundfiles.write(tmp_path / "s.wav", soundfiles.sine(7.0))
    assert decode(preview(source, tmp_path / "p.m4a")).duration == pytest.approx(7, abs=0.1)


@pytest.mark.parametrize("seconds", [0.05, 0.1, 1.0])
def test_very_short_and_silent(tmp_path: Path, seconds: float) -> None:
    source = soundfiles.write(tmp_path / "s.wav", 0 * soundfiles.sine(seconds))
    assert not decode(preview(source, tmp_path / "p.m4a")).samples.any()


@pytest.mark.parametrize(("rate", "written"), [(8000, 8000), (44100, 44100), (96000, 48000)])
def test_rates(tmp_path: Path, rate: int, written: int) -> None:
    source = soundfiles.write(tmp_path / "s.wav", soundfiles.sine(3.0, sample_rate=rate), rate)
    assert decode(preview(source, tmp_path / "p.m4a")).sample_rate == written


def test_surround_is_folded_down_without_the_lfe(tmp_path: Path) -> None:
    samples = np.zeros((6, 96000), np.float32)
    samples[3] = 0.9 * soundfiles.sine(2.0, channels=1, hz=60)
    source = soundfiles.write(tmp_path / "s.wav", samples)
    assert np.abs(decode(preview(source, tmp_path / "p.m4a")).samples).max() < 1e-3
    film = preview(Path("sample/media/big_buck_bunny_5s.mp4"), tmp_path / "f.m4a")
    assert decode(film).channels == ("FC",)


@pytest.mark.parametrize(
    ("name", "seconds", "told"),
    [("p.mp3", 45, "ends in .m4a"), ("p.m4a", 10, "cannot be 10 s"), ("p.m4a", 90, "30 to 60")],
)
def test_other_wishes_are_refused(song: Path, tmp_path: Path, name: str, seconds: float, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        preview(song, tmp_path / name, seconds=seconds)
