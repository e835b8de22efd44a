"""What the header of a file says, and what is refused before anything is decoded."""

from __future__ import annotations

import os
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipelines.errors import BadInput
from pipelines.media.probe import probe
from tests.media.soundfiles import sine, write

SAMPLE = Path("sample/media")


def film(
    path: Path, *, width: int = 64, height: int = 48, rotation: int = 0, frames: int = 5, codec: str = "libx264"
) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        for _ in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((height, width, 3), np.uint8), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_a_clip_with_sound() -> None:
    info = probe(SAMPLE / "big_buck_bunny_5s.mp4")
    assert info.audio is not None and info.video is not None
    assert (info.audio.codec, info.audio.sample_rate, info.audio.channels) == ("aac", 48000, 6)
    assert (info.video.codec, info.video.width, info.video.height) == ("h264", 1280, 720)
    assert info.video.fps == 25
    assert info.video.rotation == 0
    assert info.duration == pytest.approx(5.312, abs=0.01)


def test_a_clip_without_sound_and_a_song_without_pictures() -> None:
    silent, song = probe(SAMPLE / "one-by-one-person-detection.mp4"), probe(SAMPLE / "vibe_ace.ogg")
    assert silent.audio is None and silent.video is not None
    assert song.video is None and song.audio is not None
    assert song.duration == pytest.approx(61.459, abs=0.001)


@pytest.mark.parametrize(
    ("counter_clockwise", "clockwise", "size"),
    [(0, 0, (64, 48)), (-90, 90, (48, 64)), (90, 270, (48, 64)), (180, 180, (64, 48))],
)
def test_a_rotated_clip_has_the_size_that_is_seen(
    tmp_path: Path, counter_clockwise: int, clockwise: int, size: tuple[int, int]
) -> None:
    video = probe(film(tmp_path / "a.mp4", rotation=counter_clockwise)).video
    assert video is not None
    assert (video.rotation, (video.width, video.height)) == (clockwise, size)
    assert video.fps == pytest.approx(Fraction(30000, 1001))


def test_a_length_that_no_header_tells_is_read_from_the_packets(tmp_path: Path) -> None:
    path = write(tmp_path / "a.aac", sine(2.0), codec="aac", container="adts")
    assert probe(path).duration == pytest.approx(2.0, abs=0.1)


def test_the_cover_of_a_song_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    samples = sine(1.0)
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48000, layout="stereo")
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        from av.stream import Disposition

        cover.disposition = Disposition.attached_pic
        out.mux(
            cover.encode(
                av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24").reformat(format="yuvj420p")
            )
        )
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = 48000
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
        out.mux(cover.encode(None))
    info = probe(path)
    assert info.video is None and info.audio is not None


@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_a_still_picture_is_refused(tmp_path: Path, name: str) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "drawn.png"), np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(BadInput, match="still picture"):
        probe((tmp_path / "drawn.png").rename(tmp_path / name))


@pytest.mark.parametrize("content", [b"", b"words\n" * 100, b"\0" * 5000])
def test_what_is_no_media_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(BadInput, match=r"clip\.mp4: .+; .+"):
        probe(tmp_path / "clip.mp4")


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.ffconcat"])
def test_a_playlist_is_never_followed(tmp_path: Path, name: str) -> None:
    """A playlist may name any file of this machine; FFmpeg would open it to see what the playlist holds."""
    pipe = tmp_path / "secret.ts"
    os.mkfifo(pipe)
    read = threading.Event()

    def offer() -> None:
        with pipe.open("wb"):  # waits for somebody who reads
            read.set()

    thread = threading.Thread(target=offer)
    thread.start()
    concat = b"ffconcat version 1.0\nfile secret.ts\n"
    (tmp_path / name).write_bytes(concat if name.endswith("ffconcat") else b"#EXTM3U\n#EXTINF:1,\nsecret.ts\n")
    with pytest.raises(BadInput, match="no media file"):
        probe(tmp_path / name)
    followed = read.is_set()
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    thread.join(10)
    os.close(reader)
    assert not followed
