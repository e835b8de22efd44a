"""The analysis of a piece as a whole: sections, energy, what bad files give, and its picture."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.audio.analysis import MusicFeatures, analyse
from pipelines.audio.pictures import mel_with_beats
from pipelines.errors import BadInput
from pipelines.media.audio import decode
from tests.audio.generated import drums
from tests.media.soundfiles import sine, write

RATE = 44100


def check(music: MusicFeatures) -> None:
    """What holds for every piece."""
    assert music.section_boundaries[0] == 0
    assert music.section_boundaries[-1] == pytest.approx(music.duration)
    assert (np.diff(music.section_boundaries) > 0).all()
    assert len(music.section_labels) == len(music.section_boundaries) - 1
    assert music.section_labels[0] == "A"
    assert len(music.energy) == np.ceil(music.duration * music.energy_rate - 1e-9)
    assert ((music.energy >= 0) & (music.energy <= 1)).all()
    assert set(music.downbeats) <= set(music.beats)
    assert (np.diff(music.beats) > 0).all()
    assert (np.diff(music.onsets) >= 0).all()
    for times in (music.beats, music.onsets):
        assert ((times >= 0) & (times <= music.duration)).all()
    assert 0 <= music.bpm_confidence <= 1
    assert np.isfinite(music.vector).all()
    for field in dataclasses.fields(music):
        value = getattr(music, field.name)
        assert not (isinstance(value, np.ndarray) and value.flags.writeable), field.name


@pytest.fixture(scope="module")
def song() -> MusicFeatures:
    return analyse("sample/media/lets_go_fishin.ogg")


def test_a_song(song: MusicFeatures) -> None:
    check(song)
    assert song.duration == pytest.approx(132.99, abs=0.01)
    assert song.loudness_lufs == pytest.approx(-14.1, abs=0.1)
    assert 4 <= len(song.section_labels) <= 14
    assert len(set(song.section_labels)) < len(song.section_labels)
    # Its beat enters at 53 s after a break: a section must begin there.
    assert np.abs(song.section_boundaries - 53.1).min() < 1.5


@pytest.mark.parametrize(
    "name", ["vibe_ace.ogg", "hungarian_dance_5.ogg", "big_buck_bunny_5s.mp4", "car-detection.mp4"]
)
def test_other_files(name: str) -> None:
    check(analyse(f"sample/media/{name}"))


def verse_and_chorus(tmp_path: Path, order: str, bars: int = 8) -> tuple[Path, NDArray[np.float64]]:
    """Sections of ``bars`` bars at 120 BPM: A is quiet chords, B loud noise and bass, C a high tune."""
    bar = 2.0
    parts, t = [], np.arange(round(bars * bar * RATE)) / RATE
    beat = drums(120, seconds=bars * bar, chords=False, sample_rate=RATE).samples[: len(t)]
    beat = np.roll(beat, -round(0.5 * RATE))
    for name in order:
        if name == "A":
            tune = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277, 330)) * 0.03
            parts.append(tune + 0.15 * beat)
        elif name == "B":
            noise = np.random.default_rng(1).standard_normal(len(t)) * 0.05
            parts.append(noise + 0.25 * np.sin(2 * np.pi * 55 * t) + 0.6 * beat)
        else:
            parts.append(0.1 * np.sin(2 * np.pi * 1760 * t) + 0.1 * np.sin(2 * np.pi * 2637 * t) + 0.3 * beat)
    samples = np.concatenate(parts).astype(np.float32)[None]
    return write(tmp_path / "song.wav", samples, RATE), np.arange(len(order) + 1) * bars * bar


@pytest.mark.parametrize("order", ["ABAB", "ABACA", "AB", "ABCB"])
def test_sections_of_a_known_song(tmp_path: Path, order: str) -> None:
    path, edges = verse_and_chorus(tmp_path, order)
    music = analyse(path)
    check(music)
    assert "".join(music.section_labels) == order
    np.testing.assert_allclose(music.section_boundaries, edges, atol=1.1)
    loud = music.energy[170:310].mean()  # the second section is the loudest
    assert loud > music.energy[:140].mean() + 0.3


def test_bpm_of_a_person(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", drums(140).samples[None], RATE)
    assert analyse(path, bpm=70).bpm == pytest.approx(70, rel=0.002)
    with pytest.raises(BadInput, match="bpm of 7000"):
        analyse(path, bpm=7000)


@pytest.mark.parametrize(
    ("seconds", "rate", "level"), [(0.1, 8000, 1), (0.1, 48000, 1), (5, 8000, 0), (1 / 48000, 48000, 1)]
)
def test_short_low_and_silent_sounds(tmp_path: Path, seconds: float, rate: int, level: float) -> None:
    music = analyse(write(tmp_path / "a.wav", sine(seconds, sample_rate=rate) * np.float32(level), rate))
    check(music)
    assert len(music.beats) == 0
    assert music.bpm == music.bpm_confidence == 0
    assert mel_with_beats(tmp_path / "a.wav", music).startswith(b"\x89PNG")


def test_an_hour_in_bounded_memory(tmp_path: Path) -> None:
    """An hour at 8 kHz: 110 MB of samples, of which a few blocks and the series are ever held."""
    piece = drums(120, seconds=60.3, sample_rate=8000).samples[: 60 * 8000]
    path = write(tmp_path / "hour.flac", np.tile(piece, 60)[None], 8000, codec="flac")
    code = """
import resource, sys, time
from pipelines.audio.analysis import analyse
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
analyse("sample/media/vibe_ace.ogg")
before, start = peak(), time.process_time()
music = analyse(sys.argv[1])
print(music.duration, music.bpm, peak() - before, time.process_time() - start)
"""
    out = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True).stdout
    duration, bpm, growth, seconds = map(float, out.split())
    assert duration == pytest.approx(3600, abs=0.1)
    assert bpm == pytest.approx(120, rel=0.002)
    assert growth < 250  # MB
    assert seconds < 60


def test_the_same_file_gives_the_same_analysis(song: MusicFeatures) -> None:
    again = analyse("sample/media/lets_go_fishin.ogg")
    for field in dataclasses.fields(song):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(song, field.name))


def test_the_picture(song: MusicFeatures) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(mel_with_beats(decode("sample/media/lets_go_fishin.ogg"), song))) as image:
        assert image.size == (1600, 700)
        assert len(image.getcolors(maxcolors=1 << 24) or []) > 1000
