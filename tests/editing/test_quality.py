"""The parts of the quality suite one by one: what they find, what they leave alone, and what they never claim."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.editing import gates, scores, timing
from pipelines.editing.plan import Edit, Segment, Source
from pipelines.editing.quality import aggregate, difference, measure
from pipelines.editing.repeats import repeated_ranges, repeats
from pipelines.editing.screening import PRINT_HEIGHT, PRINT_WIDTH, Screening, Sound, listen
from pipelines.editing.shared import share
from pipelines.editing.verdicts import Gate, Quality, Score, not_applicable
from pipelines.errors import BadInput
from pipelines.storage.arrays import pack, unpack
from pipelines.video.analysis import VideoFeatures, analyse
from tests.editing import golden

FPS = 25
N = 200
BEATS = timing.Beats(np.arange(0, 60, 0.5), 0.5)
GOOD = Score(0.8, 0.8, 10, 0.5, 0.01, True, "good")


def an_edit(*segments: Segment, n_clips: int = 2) -> Edit:
    segments = segments or (Segment(0, 100, 0, 0, 1.0), Segment(100, 200, 1, 0, 1.0))
    clips = tuple(Source(f"{k}.mp4", str(k), 60.0, (25, 1), 1500, 320, 180) for k in range(n_clips))
    song = Source("song.wav", "s", 60.0)
    return Edit("dynamic", (FPS, 1), segments[-1].record_end, 320, 180, song, 0.0, clips, segments, 0, {}, 1.0)


def a_clip(motion: float, fps: float = 25.0) -> VideoFeatures:
    n = round(60 * fps)
    none = np.zeros(n, np.float32)
    return VideoFeatures(
        fps=fps, fps_fraction=(round(fps), 1), n_frames=n, duration=60.0, width=320, height=180,
        frame_times=np.arange(n) / fps, shot_boundaries=np.zeros(0, np.int64), shot_scores=none,
        motion=none + np.float32(motion), brightness=none + np.float32(0.5), sharpness=none,
        sample_frames=np.zeros(0, np.int64), histograms=np.zeros((0, 192), np.float32),
        flow_direction=np.zeros((0, 2), np.float32), faces=np.zeros(0, np.float32), shot_tags=((),),
    )  # fmt: skip


def a_screening(prints: NDArray[np.uint8], cuts: tuple[int, ...] = (100,)) -> Screening:
    n = len(prints)
    return Screening(
        n_frames=n, fps=Fraction(FPS), video_seconds=n / FPS, cuts=np.array(cuts, np.int64),
        motion=np.zeros(n, np.float32), prints=prints, highlights=np.percentile(prints, 98, axis=1).astype(np.float32),
        sample_frames=np.zeros(0, np.int64), histograms=np.zeros((0, 192), np.float32),
        thumbnails=np.zeros((2, 90, 160, 3), np.uint8),
        sound=Sound(0.0, n / FPS, np.array([0.0, 0.0]), np.array([1.0, 1.0]), silent=False),
    )  # fmt: skip


def moving_prints(n: int = N, hold: int = 1, seed: int = 0) -> NDArray[np.uint8]:
    """A texture that moves a cell every ``hold`` frames."""
    texture = np.random.default_rng(seed).integers(30, 220, (PRINT_HEIGHT, PRINT_WIDTH + n)).astype(np.uint8)
    return np.stack([texture[:, k // hold : k // hold + PRINT_WIDTH].reshape(-1) for k in range(n)])


class TestCuts:
    def test_each_detected_cut_serves_one_planned_cut_and_exact_ones_come_first(self) -> None:
        matching = gates.match_cuts(np.array([10, 11, 50, 90]), np.array([11, 51, 70]))
        assert matching.planned.tolist() == [11, 50]
        assert matching.found.tolist() == [11, 51]
        assert matching.missed.tolist() == [10, 90]
        assert matching.unplanned.tolist() == [70]

    @given(st.sets(st.integers(1, 500)), st.sets(st.integers(1, 500)))
    def test_nothing_is_lost_or_counted_twice(self, planned: set[int], detected: set[int]) -> None:
        a, b = np.array(sorted(planned), np.int64), np.array(sorted(detected), np.int64)
        matching = gates.match_cuts(a, b)
        assert sorted([*matching.planned, *matching.missed]) == sorted(planned)
        assert sorted([*matching.found, *matching.unplanned]) == sorted(detected)
        assert np.abs(matching.planned - matching.found).max(initial=0) <= 1


class TestFrozen:
    edit = an_edit()

    def test_a_still_picture_fails_where_the_source_moves(self) -> None:
        prints = moving_prints()
        prints[100:] = prints[100]
        gate = gates.frozen(self.edit, a_screening(prints), [a_clip(0.1), a_clip(0.1)])
        assert gate.passed is False and "2 (from frame 100)" in gate.detail

    def test_a_shot_that_freezes_half_way_fails(self) -> None:
        prints = moving_prints()
        prints[140:160] = prints[140]
        assert gates.frozen(self.edit, a_screening(prints), [a_clip(0.1), a_clip(0.1)]).passed is False

    def test_a_fixed_camera_before_a_still_scene_passes(self) -> None:
        prints = np.repeat(moving_prints(1), N, axis=0)
        assert gates.frozen(self.edit, a_screening(prints), [a_clip(0.0005), a_clip(0.0005)]).passed

    def test_frames_held_from_a_source_of_few_frames_pass(self) -> None:
        prints = moving_prints(hold=5)  # 5 frames a second
        assert gates.frozen(self.edit, a_screening(prints), [a_clip(0.1, fps=5), a_clip(0.1, fps=5)]).passed

    def test_a_photograph_held_by_the_source_passes(self) -> None:
        prints = np.repeat(moving_prints(1), N, axis=0)
        assert gates.frozen(self.edit, a_screening(prints), [a_clip(0.0), a_clip(0.0)]).passed


class TestBlackAndGaps:
    def test_a_black_shot_fails_and_a_dark_one_with_lights_passes(self) -> None:
        prints = moving_prints()
        prints[100:] = 16
        assert gates.black(an_edit(), a_screening(prints)).passed is False
        prints[100:, :60] = 180
        assert gates.black(an_edit(), a_screening(prints)).passed

    def test_a_plan_with_a_hole_fails(self) -> None:
        edit = an_edit(Segment(0, 90, 0, 0, 1.0), Segment(100, 200, 1, 0, 1.0))
        assert gates.gaps(edit).passed is False
        assert gates.gaps(an_edit()).passed


class TestRepeats:
    def test_neighbouring_source_ranges_are_none_and_overlapping_ones_are(self) -> None:
        one = Segment(0, 50, 0, 0, 2.0)
        assert repeated_ranges(an_edit(one, Segment(50, 100, 0, 0, 4.0))) == []
        assert repeated_ranges(an_edit(one, Segment(50, 100, 1, 0, 2.0))) == []
        assert repeated_ranges(an_edit(one, Segment(50, 100, 0, 0, 3.5))) == [(0, 1)]

    def test_the_same_moving_pictures_are_seen_even_a_few_frames_apart(self) -> None:
        prints = moving_prints()
        prints[107:200] = prints[0:93]
        assert repeats(an_edit(), a_screening(prints)).passed is False

    def test_an_empty_scene_before_a_fixed_camera_is_no_repetition(self) -> None:
        noise = np.random.default_rng(1).integers(0, 2, (N, PRINT_WIDTH * PRINT_HEIGHT)).astype(np.uint8)
        prints = np.repeat(moving_prints(1), N, axis=0) + noise
        assert repeats(an_edit(), a_screening(prints)).passed


class TestSync:
    def test_cuts_on_the_beat_score_one_and_random_ones_nothing(self) -> None:
        on = np.round(np.arange(2, 40, 1.5) * FPS) / FPS
        good = timing.sync(on, BEATS, FPS, 50.0, halves=False, seed=0)
        assert good.value == 1 and good.above_chance and good.n == on.size
        assert good.chance == pytest.approx(2 * timing.NOTICED / 0.5, abs=0.02)
        off = np.sort(np.random.default_rng(5).uniform(0, 50, 200))
        bad = timing.sync(off, BEATS, FPS, 50.0, halves=False, seed=0)
        assert bad.value < 0.1 and not bad.above_chance

    def test_half_beats_count_half_where_the_grid_offers_them(self) -> None:
        middles = np.arange(2.25, 40, 1.0)
        assert timing.on_grid(middles, BEATS, 0.045, halves=True) == 0.5
        assert timing.on_grid(middles, BEATS, 0.045, halves=False) == 0.0

    def test_a_slow_pulse_is_halved(self) -> None:
        beats = timing.beats_of(np.arange(0, 60, 1.2), start=0.0, late=0.0, duration=50.0)
        assert beats.period == pytest.approx(0.6)

    def test_without_beats_or_with_too_many_it_does_not_apply(self) -> None:
        cuts = np.arange(1.0, 20)
        none = timing.Beats(np.zeros(0), 0.0)
        dense = timing.Beats(np.arange(0, 30, 0.05), 0.05)
        assert not timing.sync(cuts, none, FPS, 30.0, halves=False, seed=0).applies
        assert not timing.sync(cuts, dense, FPS, 30.0, halves=False, seed=0).applies

    @settings(max_examples=40)
    @given(st.integers(0, 10_000), st.integers(6, 60))
    def test_cuts_that_ignore_the_beat_are_neither_late_nor_drifting(self, seed: int, n: int) -> None:
        frames = np.sort(np.random.default_rng(seed).choice(np.arange(10, 1200), n, replace=False))
        matching = gates.match_cuts(frames, frames)
        assert timing.drift(matching, n, frames, BEATS, FPS).passed is not False
        assert timing.on_time(frames / FPS, BEATS, FPS).passed is not False

    @given(st.lists(st.sampled_from([1, 2, 3, 4, 6, 8]), min_size=8, max_size=30))
    def test_cuts_on_any_beats_are_neither_late_nor_drifting(self, lengths: list[int]) -> None:
        frames = np.round(np.cumsum(lengths) * 0.5 * FPS).astype(np.int64)
        beats = timing.Beats(np.arange(0, 200, 0.5), 0.5)
        assert timing.drift(gates.match_cuts(frames, frames), frames.size, frames, beats, FPS).passed is not False
        assert timing.on_time(frames / FPS, beats, FPS).passed is not False

    @pytest.mark.parametrize("n", [8, 12, 40])
    def test_cuts_that_are_all_late_are_found(self, n: int) -> None:
        cuts = np.arange(2, 2 + n) + 0.2
        gate = timing.on_time(cuts, BEATS, FPS)
        assert gate.passed is False and "200 ms" in gate.detail

    def test_of_a_few_cuts_nothing_is_said(self) -> None:
        frames = np.array([50, 100, 150])
        matching = gates.match_cuts(frames, frames)
        assert timing.drift(matching, 3, frames, BEATS, FPS).passed is None
        assert timing.on_time(frames / FPS, BEATS, FPS).passed is None


class TestScores:
    def test_percentile_ranks_average_to_a_half_and_ties_share(self) -> None:
        values = np.array([0.1, 0.4, 0.4, 0.9])
        ranks = [scores.percentile(values, k) for k in range(4)]
        assert ranks == [0, 0.5, 0.5, 1] and np.mean(ranks) == 0.5

    def test_pace_is_the_rank_correlation_with_energy(self) -> None:
        edges = np.cumsum([0, 4, 3, 2, 1, 0.5])
        assert scores.cut_rate(edges, np.array([0.1, 0.2, 0.5, 0.7, 0.9])).raw == pytest.approx(1)
        assert scores.cut_rate(edges, np.array([0.9, 0.7, 0.5, 0.2, 0.1])).value == pytest.approx(0)
        assert not scores.cut_rate(edges, np.full(5, 0.5)).applies

    def test_equal_shots_have_no_pace_and_that_is_said(self) -> None:
        score = scores.cut_rate(np.arange(0.0, 12, 2), np.linspace(0, 1, 5))
        assert (score.value, score.raw, score.p_value) == (0.5, 0.0, 1.0)

    def test_shot_lengths_outside_the_band_are_found(self) -> None:
        score = scores.shot_length(np.array([0, 0.1, 2, 4, 20.0]), 0.4, 8.0, seed=0)
        assert score.raw == 0.5


class TestAggregate:
    def test_a_part_that_does_not_apply_counts_neither_as_one_nor_as_nothing(self) -> None:
        both = {"sync": GOOD, "lyrics": not_applicable("no lyrics")}
        assert aggregate(both, {}, 1.0) == pytest.approx(0.8)
        assert aggregate({"lyrics": not_applicable("no lyrics")}, {}, 1.0) == 0

    def test_it_is_capped_by_the_inputs_and_by_a_failed_gate_but_not_by_an_unchecked_one(self) -> None:
        assert aggregate({"sync": GOOD}, {}, 0.6) == 0.6
        assert aggregate({"sync": GOOD}, {"black": Gate(False, "")}, 1.0) == 0.5
        assert aggregate({"sync": GOOD}, {"reproducible": Gate(None, "")}, 1.0) == pytest.approx(0.8)

    def test_one_bad_part_pulls_it_down(self) -> None:
        assert aggregate({"sync": replace(GOOD, value=0.0), "flow": replace(GOOD, value=1.0)}, {}, 1.0) < 0.1


def test_difference_of_equal_and_of_disjoint_edits() -> None:
    a = an_edit()
    b = an_edit(Segment(0, 100, 0, 0, 30.0), Segment(100, 200, 1, 0, 30.0))
    half = an_edit(Segment(0, 100, 0, 0, 1.0), Segment(100, 200, 1, 0, 30.0))
    assert difference([a, a]) == 0
    assert difference([a, b]) == 1
    assert difference([a, half]) == pytest.approx(1 - 4 / 12)
    assert difference([a]) == 1
    assert difference([a, b, half]) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)


def test_quality_as_json_has_no_nan_and_survives_the_store() -> None:
    made = {"sync": GOOD, "lyrics": not_applicable("no lyrics")}
    checked = {"frames": Gate(True, "ok"), "reproducible": Gate(None, "not solved again")}
    nothing = np.zeros(0, np.int64)
    quality = Quality(
        "hybrid", made, checked, 0.8, 1.0, nothing, np.zeros(3, np.float32), np.zeros((1, 2, 2, 3), np.uint8)
    )
    text = quality.to_json().decode()
    read = json.loads(text, parse_constant=pytest.fail)
    assert read["aggregateConfidence"] == 0.8
    assert read["scores"]["lyrics"] == {
        "applies": False, "value": None, "raw": None, "n": 0, "chance": None, "pValue": None, "aboveChance": False,
        "note": "no lyrics",
    }  # fmt: skip
    assert read["gates"]["reproducible"]["passed"] is None
    assert unpack(Quality, pack(quality)).to_json() == quality.to_json()


def test_reproducible_compares_bytes() -> None:
    edit = an_edit()
    assert gates.reproducible(edit, None).passed is None
    assert gates.reproducible(edit, an_edit()).passed
    assert gates.reproducible(edit, replace(edit, seed=1)).passed is False


def test_a_rendered_file_without_sound_fails_and_is_otherwise_judged(tmp_path: Path) -> None:
    clip = golden.write_clip(tmp_path / "clip.mp4", 0)
    song = golden.write_song(tmp_path / "song.wav")
    edit = replace(
        an_edit(Segment(0, 50, 0, 0, 0.2), Segment(50, 100, 0, 1, 5.2), n_clips=1),
        music=Source(str(song), "s", golden.DURATION),
    )
    features = [analyse(clip)]
    music = golden.true_music()
    shared = share(music, features, None, [()], duration=4.0, embed=golden.embed, scorers={})
    golden.render_plainly(edit, tmp_path / "edit.mp4")
    sound = listen(edit, tmp_path / "edit.mp4")
    assert np.abs(sound.lags).max() < 0.005 and sound.likeness.min() > 0.9
    mute = golden.encode(tmp_path / "mute.mp4", edit.rate, lambda: (golden.picture(0, k / FPS) for k in range(100)))
    quality = measure(edit, mute, music=music, clips=features, lyrics=None, shared=shared)
    assert {"lengths", "song"} <= set(quality.failed)
    assert quality.gates["frames"].passed
    assert not quality.scores["lyrics"].applies
    with pytest.raises(BadInput, match="was cut from 1 clips, not 0"):
        measure(edit, mute, music=music, clips=[], lyrics=None, shared=shared)
