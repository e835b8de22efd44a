"""One decode pass, every analyser: values on clips whose content is known, plug-ins, and hardly-clips."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import EntryPoint
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipelines import plugins
from pipelines.errors import BadInput
from pipelines.media.picture import Picture
from pipelines.video import analysers, analysis
from pipelines.video.analysis import VideoFeatures, analyse
from pipelines.video.shots import Shots, detect_shots
from tests.video.clips import pan, rotate_header, texture, write_clip, write_sound

BUNNY = Path("sample/media/big_buck_bunny_0_30.webm")


@pytest.fixture(scope="module")
def bunny() -> VideoFeatures:
    return analyse(BUNNY)


def check(f: VideoFeatures) -> None:
    """What holds for every clip."""
    for values in (f.frame_times, f.shot_scores, f.motion, f.brightness, f.sharpness):
        assert values.shape == (f.n_frames,)
        assert np.isfinite(values).all()
    assert f.shot_scores.dtype == f.motion.dtype == f.brightness.dtype == f.sharpness.dtype == np.float32
    assert f.shot_boundaries.dtype == f.sample_frames.dtype == np.int64
    assert len(f.shot_tags) == len(f.shot_boundaries) + 1
    assert f.histograms.shape[0] == len(f.sample_frames) == len(f.flow_direction) == len(f.faces)
    np.testing.assert_allclose(f.histograms.sum(axis=1), 1, atol=1e-5)
    for values in (f.shot_scores, f.brightness, f.sharpness, f.faces):
        assert values.min() >= 0
        assert values.max() <= 1
    assert f.duration > f.frame_times[-1]
    assert f.fps == pytest.approx(f.fps_fraction[0] / f.fps_fraction[1])


def test_real_clip(bunny: VideoFeatures) -> None:
    check(bunny)
    assert (bunny.n_frames, bunny.fps_fraction, bunny.width, bunny.height) == (720, (24, 1), 1280, 720)
    assert bunny.shot_boundaries.tolist() == [283, 376, 551]
    assert bunny.brightness[:5].max() < 0.02  # it fades in from black
    assert "blue" in bunny.shot_tags[2]  # the bird before the sky
    assert "still" in bunny.shot_tags[1]
    assert len(bunny.sample_frames) == 120
    assert bunny.extra == {}


def test_a_threshold_changes_without_decoding_again(bunny: VideoFeatures) -> None:
    assert detect_shots(bunny.shot_scores, 0.95).size == 0
    assert set(detect_shots(bunny.shot_scores, 0.3)) > {283, 376, 551}


@pytest.mark.parametrize(("dx", "dy"), [(2, 0), (-1, 0), (0, 1), (1, -1)])
def test_motion_of_a_known_pan(tmp_path: Path, dx: int, dy: int) -> None:
    ground = cv2.GaussianBlur(texture(3, 512, 400), (0, 0), 2)
    views = [ground[130 - k * dy : 274 - k * dy, 130 - k * dx : 386 - k * dx] for k in range(50)]
    f = analyse(write_clip(tmp_path / "pan.mp4", views))
    expected = np.array([dx, dy]) * 25 / math.hypot(256, 144)
    middle = slice(10, 40)
    assert f.motion[middle].mean() == pytest.approx(np.hypot(*expected), rel=0.25)
    np.testing.assert_allclose(f.flow_direction[2:-2].mean(axis=0), expected, atol=0.03)


def test_motion_is_the_same_when_frames_are_held(tmp_path: Path) -> None:
    even = analyse(write_clip(tmp_path / "even.mp4", pan(4, 75, 25, speed=60)))
    held = analyse(write_clip(tmp_path / "held.mp4", pan(4, 75, 25, speed=60, held=12.5)))
    assert held.motion.mean() == pytest.approx(even.motion.mean(), rel=0.2)


def test_no_motion_is_measured_over_a_cut(tmp_path: Path) -> None:
    stills = [texture(seed)[:144, :256] for seed in (5, 6, 7)]
    f = analyse(write_clip(tmp_path / "cuts.mp4", [p for p in stills for _ in range(20)]))
    assert f.shot_boundaries.tolist() == [20, 40]
    assert f.motion.max() < 0.02
    assert all("still" in tags for tags in f.shot_tags)


@pytest.mark.parametrize(
    ("rgb", "expected", "unexpected"),
    [
        ((10, 10, 12), {"dark", "still", "grey"}, {"bright", "blue"}),
        ((240, 240, 240), {"bright", "grey"}, {"dark", "warm"}),
        ((210, 30, 30), {"red", "warm", "colourful"}, {"blue", "cool"}),
        ((30, 60, 210), {"blue", "cool"}, {"red", "warm"}),
        ((40, 190, 50), {"green"}, {"red", "blue", "warm"}),
        ((230, 200, 40), {"yellow", "warm"}, {"cool"}),
    ],
)
def test_tags_of_plain_colours(tmp_path: Path, rgb: tuple, expected: set[str], unexpected: set[str]) -> None:
    f = analyse(write_clip(tmp_path / "flat.mp4", [np.full((144, 256, 3), rgb, np.uint8)] * 25))
    assert expected <= set(f.shot_tags[0])
    assert not unexpected & set(f.shot_tags[0])
    assert "face" not in f.shot_tags[0]


def test_a_blurred_shot_is_softer(tmp_path: Path) -> None:
    sharp = texture(8)[:144, :256]
    soft = cv2.GaussianBlur(sharp, (0, 0), 6)
    f = analyse(write_clip(tmp_path / "focus.mp4", [sharp] * 25 + [soft] * 25))
    assert f.sharpness[:25].mean() > f.sharpness[25:].mean() + 0.3


def test_only_what_is_asked_for() -> None:
    f = analyse(BUNNY, analysers=[Shots()])
    assert f.shot_boundaries.tolist() == [283, 376, 551]
    assert f.shot_tags == ((),) * 4
    assert not f.motion.any()
    assert f.histograms.shape == (0, 192)


class Redness:
    name, version = "redness", "7"

    def start(self, info: object) -> None:
        self.values: list[float] = []

    def frame(self, index: int, time: float, image: Picture) -> None:
        assert index == len(self.values)
        self.values.append(float(image.rgb[..., 0].mean()))

    def finish(self) -> dict[str, object]:
        return {"mean": np.array(self.values)}


class Wordy(Redness):
    name = "wordy"

    def finish(self) -> dict[str, object]:
        return {"words": ["not", "numbers"]}


class Fainting(Redness):
    name = "fainting"

    def frame(self, index: int, time: float, image: Picture) -> None:
        raise RuntimeError("cannot see blood")


class Refusing(Redness):
    name = "refusing"

    def __init__(self) -> None:
        raise RuntimeError("not today")


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    names = ("Redness", "Fainting", "Refusing", "Absent")
    points = [EntryPoint(n.lower(), f"{__name__}:{n}", analysers.GROUP) for n in names]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == analysers.GROUP else [])
    return iter(())


def test_a_broken_plugin_is_named_and_costs_only_itself(
    tmp_path: Path, plug_in: None, caplog: pytest.LogCaptureFixture
) -> None:
    f = analyse(write_clip(tmp_path / "red.mp4", [np.full((48, 64, 3), (200, 20, 20), np.uint8)] * 10))
    assert set(f.extra) == {"redness.mean"}
    for sentence in ("fainting: failed, RuntimeError('cannot see blood')", "refusing: cannot be made", "absent"):
        assert sentence in caplog.text


def test_plugged_in_analysers_share_the_pass(tmp_path: Path, plug_in: None) -> None:
    clip = write_clip(tmp_path / "red.mp4", [np.full((48, 64, 3), (200, 20, 20), np.uint8)] * 10)
    f = analyse(clip)
    assert f.extra["redness.mean"].dtype == np.float32
    np.testing.assert_allclose(f.extra["redness.mean"], 200, atol=6)
    assert analysis.version() == f"{analysis.VERSION}+fainting-7,redness-7"
    with pytest.raises(BadInput, match="analyser wordy: gave 'words'"):
        analyse(clip, analysers=[Wordy()])


@pytest.mark.parametrize(("n", "fps"), [(1, 25), (2, 25), (3, 30), (1, 1), (5, 50)])
def test_hardly_a_clip(tmp_path: Path, n: int, fps: int) -> None:
    f = analyse(write_clip(tmp_path / "short.mp4", [texture(1)[:120, :160]] * n, fps))
    check(f)
    assert f.n_frames == n
    assert f.duration == pytest.approx(n / fps, rel=0.05)
    assert f.shot_boundaries.size == 0


@pytest.mark.parametrize("size", [(16, 16), (20, 1000), (1000, 20), (322, 242)])
def test_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = cv2.resize(texture(2), size)
    f = analyse(write_clip(tmp_path / "size.mp4", [np.roll(picture, k, axis=1) for k in range(30)]))
    check(f)
    assert (f.width, f.height) == size


def test_odd_size(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "odd.mkv", [texture(2, 321, 241)] * 12, codec="ffv1", pix_fmt="bgr0")
    check(analyse(clip))


def test_rotated(tmp_path: Path) -> None:
    f = analyse(rotate_header(write_clip(tmp_path / "r.mp4", pan(3, 30, 25)), 90))
    check(f)
    assert (f.width, f.height) == (108, 192)


def test_variable_frame_rate(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pts = np.cumsum(rng.integers(20, 70, 60)) - 20
    pictures = [p for seed in (1, 2) for p in pan(seed, 30, 25)]
    clip = write_clip(tmp_path / "v.mkv", pictures, pts=pts.tolist(), time_base=Fraction(1, 1000))
    f = analyse(clip)
    check(f)
    np.testing.assert_allclose(f.frame_times, (pts - pts[0]) / 1000, atol=1e-6)
    assert f.shot_boundaries.tolist() == [30]
    assert f.fps == pytest.approx(60 / f.duration, rel=0.06)


@pytest.mark.parametrize("make", ["empty", "sound"])
def test_bad_input_is_one_sentence(tmp_path: Path, make: str) -> None:
    path = tmp_path / "空 🎬.wav"
    if make == "empty":
        path.write_bytes(b"")
    else:
        write_sound(path, "pcm_s16le")
    with pytest.raises(BadInput, match=r"空 🎬\.wav: (is empty|has no video stream).*; "):
        analyse(path)


def test_the_same_clip_gives_the_same_values(bunny: VideoFeatures) -> None:
    again = analyse(BUNNY)
    np.testing.assert_array_equal(again.motion, bunny.motion)
    np.testing.assert_array_equal(again.shot_scores, bunny.shot_scores)
    np.testing.assert_array_equal(again.histograms, bunny.histograms)


def test_samples_stay_bounded_in_hours_of_clip() -> None:
    from pipelines.media.frames import Frames
    from pipelines.video.colour import MOST_SAMPLES, Colour

    colour = Colour()
    with Frames(BUNNY) as frames:
        picture = next(iter(frames)).picture
        colour.start(frames.info)
        for k in range(4 * 3600 * 4):
            colour.frame(k, k / 4, picture)  # four hours at 4 fps
    result = colour.finish()
    assert MOST_SAMPLES / 2 <= len(result["sample_frames"]) <= MOST_SAMPLES
    assert len(result["histograms"]) == len(result["sample_frames"])
    steps = np.diff(result["sample_frames"])
    assert steps.min() == steps.max() == 8
