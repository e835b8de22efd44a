"""Shot detection on real clips with hand-checked cuts and on made ones where everything is known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.media.frames import FrameInfo
from pipelines.media.picture import Picture
from pipelines.video.shots import NEAREST, Shots, boundaries_of, detect_shots
from tests.video.clips import Rgb, pan, texture, write_clip

MEDIA = Path("sample/media")


def picture(rgb: Rgb) -> Picture:
    height, width = rgb.shape[:2]
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).ravel()
    y, cb, cr = np.split(planes, [height * width, height * width * 5 // 4])
    half = (height // 2, width // 2)
    return Picture(y.reshape(height, width), cb.reshape(half), cr.reshape(half))


def scores_of(pictures: list[Rgb], fps: float) -> np.ndarray:
    height, width = pictures[0].shape[:2]
    shots = Shots()
    shots.start(FrameInfo(Path("made"), width, height, Fraction(fps).limit_denominator(1001), 0, width, height))
    for k, rgb in enumerate(pictures):
        shots.frame(k, k / fps, picture(rgb))
    return shots.finish()["scores"]


def found(pictures: list[Rgb], fps: float = 25) -> list[int]:
    return detect_shots(scores_of(pictures, fps)).tolist()


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("big_buck_bunny_0_30.webm", [283, 376, 551]),
        ("big_buck_bunny_5s.mp4", []),
        ("car-detection.mp4", []),
        ("one-by-one-person-detection.mp4", []),
    ],
)
def test_real_clips(name: str, cuts: list[int]) -> None:
    assert boundaries_of(MEDIA / name).tolist() == cuts


@pytest.mark.parametrize("fps", [10, 12.5, 24, 25, 30000 / 1001, 50, 60])
@pytest.mark.parametrize("held", [None, 10])
def test_every_hard_cut_at_any_rate(fps: float, held: float | None) -> None:
    rng = np.random.default_rng(int(fps * 10))
    lengths = (rng.uniform(0.4, 1.0, 8) * fps).round().astype(int)
    shots = [pan(seed, n, fps, speed=rng.choice([0, 40, 120]), held=held) for seed, n in enumerate(lengths)]
    assert found([p for shot in shots for p in shot], fps) == np.cumsum(lengths)[:-1].tolist()


def test_rendered_edit_with_held_frames(tmp_path: Path) -> None:
    lengths = [20, 9, 33, 13, 7, 25]
    shots = [pan(30 + k, n, 25, speed=80, held=10, size=(320, 180)) for k, n in enumerate(lengths)]
    clip = write_clip(tmp_path / "edit.mp4", [p for shot in shots for p in shot], 25)
    assert boundaries_of(clip).tolist() == np.cumsum(lengths)[:-1].tolist()


@pytest.mark.parametrize("speed", [0, 100, 200])
@pytest.mark.parametrize("held", [None, 10, 12.5])
def test_camera_movement_is_no_cut(speed: float, held: float | None) -> None:
    assert found(pan(5, 75, 25, speed=speed, held=held)) == []


@pytest.mark.parametrize(("every", "lasts"), [(3, 1), (4, 2), (6, 1), (12, 2), (25, 4)])
@pytest.mark.parametrize("kind", ["white", "black", "lit"])
def test_flashes_and_strobes_are_no_cuts(every: int, lasts: int, kind: str) -> None:
    pictures = pan(6, 75, 25, speed=20)
    for k in range(every, len(pictures)):
        if k % every < lasts:
            lit = np.clip(pictures[k] * 1.5 + 60.0, 0, 255).astype(np.uint8)
            pictures[k] = {"white": np.full_like(lit, 255), "black": np.zeros_like(lit), "lit": lit}[kind]
    assert found(pictures) == []


def test_a_dimmed_light_is_no_cut() -> None:
    pictures = pan(7, 50, 25, speed=20)
    assert found(pictures[:25] + [(p * 0.6).astype(np.uint8) for p in pictures[25:]]) == []


@pytest.mark.parametrize("frames", [5, 25, 75])
def test_fades_are_no_cuts(frames: int) -> None:
    pictures = pan(8, 100, 25, speed=20)
    gain = np.clip(np.arange(100) / frames, 0, 1)
    fade_in = [(p * g).astype(np.uint8) for p, g in zip(pictures, gain, strict=True)]
    assert found(fade_in) == []
    assert found(fade_in[::-1]) == []


@pytest.mark.parametrize("frames", [3, 6, 12, 25, 50])
def test_a_dissolve_is_at_most_one_boundary_within_it(frames: int) -> None:
    one, two = pan(9, 40 + frames, 25), pan(10, 40 + frames, 25)
    weight = (np.arange(frames) + 0.5) / frames
    mixed = [(a * (1 - w) + b * w).astype(np.uint8) for a, b, w in zip(one[40:], two[:frames], weight, strict=True)]
    boundaries = found(one[:40] + mixed + two[frames:])
    assert len(boundaries) <= 1
    assert all(40 <= b <= 40 + frames for b in boundaries)


def test_a_cut_between_pictures_of_the_same_histogram() -> None:
    for seed in range(11, 17):
        ground = texture(seed)[:108, :192]
        assert found([ground] * 20 + [ground[::-1].copy()] * 20) == [20]


def test_a_blended_frame_at_a_cut_makes_one_boundary() -> None:
    one, two = pan(18, 20, 25), pan(19, 20, 25)
    between = ((one[-1].astype(int) + two[0]) // 2).astype(np.uint8)
    boundaries = found([*one, between, *two])
    assert len(boundaries) == 1
    assert boundaries[0] in (20, 21)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_very_short_clips(n: int) -> None:
    assert found(pan(20, n, 25)) == []


def test_one_damaged_frame_at_either_end_is_no_shot() -> None:
    pictures, grey = pan(21, 40, 25), np.full((108, 192, 3), 120, np.uint8)
    assert found([grey, *pictures]) == []
    assert found([*pictures, grey]) == []


@settings(max_examples=200, deadline=None)
@given(
    scores=st.lists(st.floats(0, 1, width=32), max_size=60),
    low=st.floats(0.01, 1),
    high=st.floats(0.01, 1),
)
def test_boundaries_from_scores(scores: list[float], low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    values = np.array(scores, np.float32)
    few, many = detect_shots(values, high), detect_shots(values, low)
    assert few.dtype == np.int64
    assert np.all(values[few] >= np.float32(high) - 1e-7)
    assert len(few) <= len(many)  # a higher threshold never adds a shot
    assert np.all(np.diff(many) > NEAREST)
    assert (len(many) > 0) == bool((values >= low).any())


@settings(max_examples=15, deadline=None)
@given(
    seconds=st.lists(st.floats(0.25, 0.8), min_size=2, max_size=5),
    fps=st.sampled_from([12.5, 24.0, 25.0, 50.0]),
    first=st.integers(100, 10_000),
)
def test_cuts_of_any_edit(seconds: list[float], fps: float, first: int) -> None:
    lengths = [int(np.ceil(s * fps)) for s in seconds]
    pictures = [p for k, n in enumerate(lengths) for p in pan(first + k, n, fps)]
    assert found(pictures, fps) == np.cumsum(lengths)[:-1].tolist()
