"""Beats, bars and tempo of music made by code, and of real songs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.audio.beats import Beats, track
from pipelines.audio.onsets import detect, envelope
from pipelines.audio.spectrum import Spectrum
from pipelines.media.audio import decode
from tests.audio.generated import Piece, clicks, drums, f_measure


def beats_of(samples: NDArray[np.float32], rate: int, bpm: float | None = None) -> Beats:
    spectrum = Spectrum(rate)
    spectrum.push(samples)
    frames = spectrum.finish()
    return track(frames, envelope(frames), bpm=bpm)


def check(piece: Piece, bpm: float, meter: int, *, exact: float = 0.005) -> Beats:
    found = beats_of(piece.samples, piece.sample_rate)
    assert f_measure(found.times, piece.beats) >= 0.95
    assert f_measure(found.downbeats, piece.downbeats) >= 0.95
    assert found.bpm == pytest.approx(bpm, rel=0.002)
    assert found.beats_per_bar == meter
    near = [np.abs(found.times - t).min() for t in piece.beats]
    assert np.median(near) < exact
    return found


@pytest.mark.parametrize("meter", [3, 4])
@pytest.mark.parametrize("bpm", [60, 66.6, 75, 90, 100, 117.5, 128, 140.2, 155, 174, 186, 200])
def test_a_metronome(bpm: float, meter: int) -> None:
    found = check(clicks(bpm, meter=meter), bpm, meter)
    assert found.confidence > 0.8


@pytest.mark.parametrize("meter", [3, 4])
@pytest.mark.parametrize("bpm", [60, 66.6, 75, 90, 100, 117.5, 128, 140.2, 155, 174, 186, 200])
def test_drums_bass_and_chords(bpm: float, meter: int) -> None:
    found = check(drums(bpm, meter=meter), bpm, meter)
    assert found.confidence > 0.6


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000, 96000])
def test_any_rate(rate: int) -> None:
    check(drums(123, sample_rate=rate), 123, 4)


@pytest.mark.parametrize("bpm", [80, 120, 160])
def test_a_human_drummer_in_a_noisy_room(bpm: float) -> None:
    found = check(drums(bpm, jitter=0.008, noise=0.02), bpm, 4, exact=0.012)
    assert 0.5 < found.confidence <= 1


@settings(max_examples=15, deadline=None)
@given(bpm=st.floats(60, 200), meter=st.sampled_from([3, 4]), seed=st.integers(0, 1000))
def test_any_tempo(bpm: float, meter: int, seed: int) -> None:
    check(drums(bpm, meter=meter, seed=seed, seconds=25), bpm, meter)


@pytest.mark.parametrize(("hint", "bpm"), [(70, 70), (140, 140), (71.5, 70), (280, 280)])
def test_a_persons_value_decides_the_octave_and_the_sound_the_rest(hint: float, bpm: float) -> None:
    piece = drums(140)
    assert beats_of(piece.samples, piece.sample_rate, hint).bpm == pytest.approx(bpm, rel=0.002)


@pytest.mark.parametrize("seconds", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("kind", ["silence", "drone", "noise", "vibrato"])
def test_music_without_beats(kind: str, seconds: float) -> None:
    t = np.arange(round(44100 * seconds)) / 44100
    samples = {
        "silence": 0 * t,
        "drone": 0.3 * np.sin(2 * np.pi * 350 * t),
        "noise": 0.1 * np.random.default_rng(0).standard_normal(len(t)),
        "vibrato": 0.3 * np.sin(2 * np.pi * 440 * t + 3 * np.sin(2 * np.pi * 5 * t)),
    }[kind]
    found = beats_of(samples.astype(np.float32), 44100)
    assert len(found.times) == len(found.downbeats) == 0
    assert found.bpm == found.confidence == 0


def test_strokes_at_random_get_little_trust() -> None:
    rng = np.random.default_rng(3)
    out = np.zeros(44100 * 30, np.float32)
    for at in rng.integers(0, 44100 * 29, 60):
        out[at : at + 2000] += (np.exp(-np.arange(2000) / 400) * rng.standard_normal(2000) * 0.3).astype(np.float32)
    assert beats_of(out, 44100).confidence < 0.2


@pytest.mark.parametrize(
    ("song", "bpm", "sure"),
    [("vibe_ace", 129.6, True), ("lets_go_fishin", 88.55, True), ("hungarian_dance_5", None, False)],
)
def test_real_songs(song: str, bpm: float | None, sure: bool) -> None:
    """The Hungarian dance is full of rubato: whatever is found must say that it is not to be trusted.

    "Let's Go Fishin'" repeats its bass drum after every eight of 354 strokes a minute (3 + 3 + 2), hence 88.5 or 177.
    A beat of three strokes, 118 a minute, would start at another place in every bar.
    """
    audio = decode(f"sample/media/{song}.ogg")
    found = beats_of(audio.mono, audio.sample_rate)
    if bpm is not None:
        assert found.bpm == pytest.approx(bpm, rel=0.002)
    assert (found.confidence > 0.4) is sure
    assert set(found.downbeats) <= set(found.times)
    assert (np.diff(found.times) > 0).all()


@pytest.mark.parametrize("bpm", [70, 120])
def test_onsets_are_the_strokes(bpm: float) -> None:
    piece = drums(bpm, chords=False)
    spectrum = Spectrum(piece.sample_rate)
    spectrum.push(piece.samples)
    frames = spectrum.finish()
    found = detect(frames, envelope(frames))
    strokes = np.sort(np.concatenate([piece.beats, piece.beats + 30 / bpm]))
    assert f_measure(found.times, strokes, 0.03) > 0.95
    assert ((found.strengths >= 0) & (found.strengths <= 1)).all()


@pytest.mark.parametrize(
    ("song", "phrases"), [("vibe_ace", [7.4, 14.8, 29.6]), ("lets_go_fishin", [11.1, 32.8, 53.1, 85.7])]
)
def test_phrases_of_real_songs_begin_on_downbeats(song: str, phrases: list[float]) -> None:
    audio = decode(f"sample/media/{song}.ogg")
    found = beats_of(audio.mono, audio.sample_rate)
    assert max(np.abs(found.downbeats - t).min() for t in phrases) < 0.1


def test_a_bar_cut_short_shifts_the_bars_after_it() -> None:
    piece = drums(120, seconds=40.5)
    cut = round((piece.beats[40] + 2 * 0.5 - 0.01) * piece.sample_rate)
    lost = round(2 * 0.5 * piece.sample_rate)
    samples = np.concatenate([piece.samples[: cut - lost], piece.samples[cut:]])
    downbeats = np.concatenate([piece.downbeats[:11], piece.downbeats[11:] - 1.0])
    found = beats_of(samples, piece.sample_rate)
    assert f_measure(found.downbeats, downbeats) > 0.9
