"""Decoding moving pictures: exact times, reduced size, rotation, and every kind of file that is not a good clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.media.frames import Frames, read_frame, read_frames
from pipelines.media.playback import Playback, read_reel
from tests.video.clips import pan, rotate_header, write_clip, write_sound

BUNNY = Path("sample/media/big_buck_bunny_0_30.webm")


def flat(values: list[int], width: int = 64, height: int = 48) -> list[np.ndarray]:
    return [np.full((height, width, 3), value, np.uint8) for value in values]


def test_all_frames_reduced_with_exact_times() -> None:
    with Frames(BUNNY) as frames:
        seen = [(f.index, f.time, f.picture.luma.shape) for f in frames]
    assert len(seen) == 720
    assert seen[-1][0] == 719
    assert {shape for _, _, shape in seen} == {(144, 256)}
    np.testing.assert_allclose([t for _, t, _ in seen], np.arange(720) / 24, atol=1e-3)
    assert frames.duration == pytest.approx(30, abs=0.01)
    assert (frames.info.width, frames.info.height, frames.info.fps) == (1280, 720, 24)


def test_variable_frame_rate_keeps_the_times(tmp_path: Path) -> None:
    pts = [0, 40, 80, 200, 210, 500, 540]
    clip = write_clip(tmp_path / "v.mkv", flat([20, 60, 100, 140, 180, 200, 220]), pts=pts, time_base=Fraction(1, 1000))
    with Frames(clip) as frames:
        times = [f.time for f in frames]
    np.testing.assert_allclose(times, np.array(pts) / 1000, atol=1e-9)
    # Between two frames the earlier one is on screen.
    levels = [round(float(p.mean())) for p in read_frames(clip, [0.0, 0.15, 0.205, 0.49, 0.5, 9.0], 64)]
    np.testing.assert_allclose(levels, [20, 100, 140, 180, 200, 220], atol=4)


@pytest.mark.parametrize("size", [(322, 242), (64, 48), (16, 16), (1000, 20), (108, 192)])
def test_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    clip = write_clip(tmp_path / "s.mp4", flat([90] * 5, *size))
    with Frames(clip) as frames:
        pictures = [f.picture for f in frames]
    assert (frames.info.width, frames.info.height) == size
    assert len(pictures) == 5
    assert pictures[0].luma.size <= 256 * 144 * 2
    assert pictures[0].rgb.shape == (*pictures[0].luma.shape, 3)
    assert abs(float(pictures[0].rgb.mean()) - 90) < 4
    assert read_frame(clip, 0.1, 80).shape[1] == 80


def test_odd_size(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "odd.mkv", flat([90] * 5, 321, 241), codec="ffv1", pix_fmt="bgr0")
    with Frames(clip) as frames:
        assert len([f.picture.half_hsv for f in frames]) == 5
    assert (frames.info.width, frames.info.height) == (321, 241)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    picture = np.full((96, 128, 3), 40, np.uint8)
    picture[:48, :64] = 220  # bright corner: top left as stored
    clip = rotate_header(write_clip(tmp_path / "r.mp4", [picture] * 5), degrees)
    expected = np.rot90(picture, -degrees // 90)
    with Frames(clip) as frames:
        shown = next(iter(frames)).picture.rgb
        assert frames.info.rotation == degrees
    assert (frames.info.height, frames.info.width) == expected.shape[:2]
    thumbnail = read_frame(clip, 0, expected.shape[1])
    assert thumbnail.shape == expected.shape
    for seen in (shown, thumbnail):
        rows, columns = seen.shape[0] // 4, seen.shape[1] // 4
        for row, column in ((1, 1), (1, 3), (3, 1), (3, 3)):
            want = expected[expected.shape[0] * row // 4, expected.shape[1] * column // 4, 0]
            assert abs(int(seen[rows * row, columns * column, 0]) - int(want)) < 25


def test_seeking_gives_the_frames_of_straight_decoding() -> None:
    times = [11.7, 11.8, 0.0, 29.9, 15.6, 15.7]
    seen = list(read_frames(BUNNY, times, 64))
    straight = list(read_frames(BUNNY, [k / 24 + 0.001 for k in range(390)], 64))
    for time, picture in zip(times, seen, strict=True):
        if time < 16:
            np.testing.assert_array_equal(picture, straight[int(time * 24 + 1e-6)])


@pytest.mark.parametrize("name", ["a clip.mp4", "動画 クリップ.mp4", "🎬🎵.mp4", "a:b.mp4", "50%d.mp4"])
def test_any_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write_clip(tmp_path / "plain.mp4", flat([90] * 5)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with Frames(name) as frames:
        assert len(list(frames)) == 5
    assert read_frame(name, 0, 32).shape == (24, 32, 3)


def test_one_frame_and_a_tenth_of_a_second(tmp_path: Path) -> None:
    for n, fps in ((1, 25), (3, 30)):
        with Frames(write_clip(tmp_path / f"{n}.mp4", flat([90] * n), fps)) as frames:
            assert len(list(frames)) == n
        assert frames.duration == pytest.approx(n / fps, abs=1e-3)


def test_truncated_file_gives_what_is_there(tmp_path: Path) -> None:
    clip = tmp_path / "cut.webm"
    clip.write_bytes(BUNNY.read_bytes()[:500_000])
    with Frames(clip) as frames:
        count = len(list(frames))
    assert 100 < count < 720


def test_damage_inside_is_left_out(tmp_path: Path) -> None:
    data = bytearray(BUNNY.read_bytes())
    data[600_000:600_400] = bytes(400)
    clip = tmp_path / "damaged.webm"
    clip.write_bytes(data)
    with Frames(clip) as frames:
        times = [f.time for f in frames]
    assert len(times) > 300
    assert np.all(np.diff(times) > 0)


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = write_clip(folder / "whole.mp4", pan(1, 50, 25)).read_bytes()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "zeros.mp4").write_bytes(bytes(5000))
    (folder / "text.mp4").write_text("not a film\n" * 300)
    (folder / "notes.txt").write_text("not a film\n" * 300)
    (folder / "no_index.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nwhole.mp4\n#EXT-X-ENDLIST\n")
    (folder / "list.ffconcat").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    (folder / "folder.mp4").mkdir()
    cv2.imwrite(str(folder / "still.png"), np.zeros((40, 40, 3), np.uint8))
    (folder / "still.png").rename(folder / "still.mp4")
    return {
        "missing": (folder / "missing.mp4", "does not exist"),
        "folder": (folder / "folder.mp4", "is not a file"),
        "empty": (folder / "empty.mp4", "is empty"),
        "zeros": (folder / "zeros.mp4", "not a video"),
        "text": (folder / "text.mp4", "not a video"),
        "tty": (folder / "notes.txt", "not a video"),
        "truncated": (folder / "no_index.mp4", "cut off"),
        "playlist": (folder / "list.m3u8", "not a video"),
        "concat": (folder / "list.ffconcat", "not a video"),
        "still picture": (folder / "still.mp4", "not a video"),
        "sound": (write_sound(folder / "sound.wav", "pcm_s16le"), "no video stream"),
        "song": (Path("sample/media/vibe_ace.ogg"), "cover picture"),
        "cover": (write_sound(folder / "cover.mp3", "libmp3lame", cover=True), "cover picture"),
    }


def test_bad_files_each_get_one_clear_sentence(tmp_path: Path) -> None:
    for kind, (path, reason) in bad_files(tmp_path).items():
        for reads in (Frames, lambda p: read_frame(p, 0, 64)):
            with pytest.raises(BadInput) as error:
                reads(path)
            message = str(error.value)
            assert reason in message, kind
            assert message.startswith(str(path)), kind
            assert "\n" not in message, kind


def test_a_name_that_lies_about_the_format_does_no_harm(tmp_path: Path) -> None:
    clip = tmp_path / "really_webm.mp4"
    clip.write_bytes(BUNNY.read_bytes())
    assert read_frame(clip, 12, 64).shape == (36, 64, 3)
    assert read_frame(clip, 300, 64).shape == (36, 64, 3)  # the last one beyond the end


def test_stamps_in_the_order_of_decoding_do_not_stretch_the_clip(tmp_path: Path) -> None:
    """AVI has no presentation stamps, so a clip with B-frames hands out the order in which it was encoded."""
    path = tmp_path / "b-frames.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "3", "b-adapt": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in flat([(3 * i) % 255 for i in range(75)]):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        stamps = [f.pts for f in container.decode(video=0)]
    assert stamps != sorted(stamps)  # or this test shows nothing
    with Frames(path) as frames:
        times = [f.time for f in frames]
    assert np.all(np.diff(times) > 0)
    assert times[-1] == pytest.approx(74 / 25, abs=0.2)
    with Playback(read_reel(path)) as clip:
        shown = [float(f.to_ndarray(format="gray").mean()) for f in clip.shown_at([0.5, 1.0, 2.0])]
    assert np.abs(np.array(shown) - [(3 * i) % 255 for i in (12, 25, 50)]).max() < 20
