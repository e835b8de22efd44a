"""The music grid and the source windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.editing.grid import music_grid, rank
from pipelines.editing.windows import MIN_STRETCH, MIN_WINDOW, cut_windows, usable_stretches
from pipelines.errors import BadInput
from tests.editing.material import clip, song, words


def test_the_grid_is_the_beats_between_both_ends_of_the_excerpt() -> None:
    music = replace(song(20, 100), energy=np.full(200, 0.5, np.float32))
    grid = music_grid(music, None, start=0.0, duration=10.0)
    assert grid.times[0] == 0 and grid.times[-1] == 10
    np.testing.assert_allclose(grid.times[1:-1], music.beats[(music.beats > 0.18) & (music.beats < 9.9)], atol=1e-9)
    assert grid.pulse == pytest.approx(0.6)


def test_downbeats_and_sections_are_stronger_than_beats() -> None:
    music = replace(song(60, 120), onsets=np.zeros(0), onset_strengths=np.zeros(0, np.float32))
    grid = music_grid(music, None, start=0.0, duration=60.0)
    at = {round(float(t), 3): float(s) for t, s in zip(grid.times, grid.strength, strict=True)}
    assert at[8.2] == 1.0  # a section
    assert 0.5 < at[2.2] < 1.0  # a downbeat
    assert at[2.7] == pytest.approx(0.5)
    assert np.all(np.diff(grid.section)[np.searchsorted(grid.times, [8.19, 16.19]) - 1] == 1)


def test_slow_beats_are_halved_and_loud_passages_offer_half_beats() -> None:
    slow = music_grid(song(30, 50), None, start=0.0, duration=30.0)
    assert np.median(np.diff(slow.times)) == pytest.approx(0.6)
    assert slow.pulse == pytest.approx(0.6)
    loud = music_grid(song(60, 120), None, start=0.0, duration=60.0)
    halves = np.diff(loud.times) < 0.3
    assert halves.any() and not halves.all()
    assert loud.energy[halves].mean() > 0.8 > 0.5 > loud.energy[~halves].mean()


@pytest.mark.parametrize("bpm", [0, 120])
def test_music_without_trusted_beats_gets_an_even_grid(bpm: float) -> None:
    music = song(30, bpm, confidence=0.0)
    if bpm:
        jumpy = np.cumsum(np.random.default_rng(0).uniform(0.1, 1.5, 40))
        music = replace(music, beats=jumpy, downbeats=jumpy[::4])
    grid = music_grid(music, None, start=0.0, duration=30.0)
    np.testing.assert_allclose(np.diff(grid.times), 0.5)


def test_rubato_is_followed_even_when_no_tempo_fits() -> None:
    beats = np.cumsum(0.5 + 0.15 * np.sin(np.arange(60) / 4))
    music = replace(song(30, 120, confidence=0.05), beats=beats, downbeats=beats[::4], bpm_confidence=0.05)
    grid = music_grid(music, None, start=0.0, duration=25.0)
    inside = beats[(beats > 1) & (beats < 24)]
    assert np.abs(grid.times[None] - inside[:, None]).min(axis=1).max() < 1e-9


def test_gaps_between_beats_are_filled() -> None:
    beats = np.concatenate([np.arange(10, 20, 0.5)])
    music = replace(song(40, 120), beats=beats, downbeats=beats[::4])
    grid = music_grid(music, None, start=0.0, duration=40.0)
    assert np.diff(grid.times).max() < 0.8


def test_the_excerpt_may_begin_anywhere() -> None:
    music = song(60, 120)
    whole = music_grid(music, words(60), start=0.0, duration=60.0)
    part = music_grid(music, words(60), start=20.0, duration=20.0)
    inner = part.times[(part.strength >= 0.5)][1:-1] + 20.0
    assert np.abs(whole.times[None] - inner[:, None]).min(axis=1).max() < 1e-9
    assert part.phrase.max() > 0 and part.phrase[0] == whole.phrase[np.searchsorted(whole.times, 20.3) - 1]


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_ranks_keep_order_and_share_ties(values: list[int]) -> None:
    got = rank(np.array(values, float))
    assert got.min() >= 0 and got.max() <= 1
    for a, x in zip(values, got, strict=True):
        for b, y in zip(values, got, strict=True):
            assert (a < b) == (x < y)


def test_black_fades_and_frozen_pictures_are_left_out() -> None:
    video = clip(20.0, 1)
    light = np.full(500, 0.5, np.float32)
    light[:50] = np.linspace(0, 0.5, 50)  # a fade-in of 2 s
    light[200:225] = 0.01  # a second of black
    motion = np.full(500, 0.1, np.float32)
    motion[250:350] = 0.0  # a quiet scene, of which two seconds are frozen
    motion[400:402] = 0.0  # two frames held
    scores = video.shot_scores.copy()
    scores[300:350] = scores[400:402] = 0.0
    got = usable_stretches(replace(video, brightness=light, motion=motion, shot_scores=scores))
    assert [shot for shot, *_ in got] == [0, 0, 0]
    edges = [t for _, *ab in got for t in ab]
    np.testing.assert_allclose(edges, [1.52, 7.96, 9.04, 11.96, 14.04, 19.96], atol=0.06)


def test_windows_keep_off_shot_boundaries() -> None:
    video = clip(20.0, 6, seed=3)
    windows = cut_windows([video])
    for boundary in video.shot_boundaries / video.fps:
        inside = (windows.start < boundary + 0.9 / video.fps) & (windows.end > boundary - 0.9 / video.fps)
        assert not inside.any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.2, 30), st.integers(1, 6), st.sampled_from([10.0, 24.0, 29.97])), max_size=5))
def test_windows_tile_the_usable_stretches(sizes: list[tuple[float, int, float]]) -> None:
    from fractions import Fraction

    clips = [
        clip(d, min(n, max(1, int(d * fps) - 1)), fps=Fraction(fps).limit_denominator(1001), seed=k)
        for k, (d, n, fps) in enumerate(sizes)
    ]
    stretches = [s for c in clips for s in usable_stretches(c)]
    if not stretches:
        with pytest.raises(BadInput, match="no moving picture"):
            cut_windows(clips)
        return
    windows = cut_windows(clips)
    assert np.all(windows.end - windows.start >= min(MIN_WINDOW, MIN_STRETCH) - 1e-9)
    assert np.sum(windows.end - windows.start) == pytest.approx(sum(b - a for _, a, b in stretches))
    same = np.diff(windows.run) == 0
    np.testing.assert_allclose(windows.start[1:][same], windows.end[:-1][same])
    assert len(windows.histogram) == len(windows.accents) == windows.clip.size
    np.testing.assert_allclose(windows.histogram.sum(axis=1), 1, atol=1e-4)


def test_hours_of_material_stay_small() -> None:
    assert cut_windows([clip(3600.0, 300, seed=k) for k in range(2)]).clip.size < 1500


def test_no_picture_at_all_says_what_to_do() -> None:
    black = replace(clip(5.0, 1), brightness=np.zeros(125, np.float32))
    with pytest.raises(BadInput, match="give longer or more clips"):
        cut_windows([black])
