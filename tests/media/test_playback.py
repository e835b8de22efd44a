"""Random access to clips of many kinds: the frame found by a seek is the one that playing from the start shows."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import pytest

from pipelines.errors import BadInput
from pipelines.media.frames import Frames
from pipelines.media.playback import Playback, read_reel
from pipelines.settings import PROJECT
from tests.editing.numbered import number_in, stripes

B_FRAMES = {"preset": "fast", "bf": "3"}
KINDS = {
    "mpeg4.avi": ("mpeg4", {"qscale": "2", "bf": "2"}),
    "h264.ts": ("libx264", B_FRAMES),
    "mpeg2.mpg": ("mpeg2video", {"bf": "2", "qscale": "2"}),
    "prores.mov": ("prores_ks", {}),
    "open-groups.mp4": ("libx265", {"preset": "fast", "x265-params": "log-level=none:open-gop=1:keyint=20:pools=none"}),
    "open-groups.mkv": ("libx264", {"preset": "fast", "x264-params": "open-gop=1:keyint=20:bframes=3"}),
    "unseen-references.webm": ("libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "4", "g": "50"}),
    "flash.flv": ("flv1", {"qscale": "2"}),
    "bare.h264": ("libx264", B_FRAMES),
    "h264.avi": ("libx264", B_FRAMES),
}


def make(path: Path, codec: str, options: dict[str, str], count: int = 120) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 160, 96
        stream.pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
        for number in range(count):
            picture = av.VideoFrame.from_ndarray(stripes(number, 160, 96), format="rgb24")
            frame = picture.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def number_of(frame: av.VideoFrame) -> int:
    return number_in(frame.reformat(format="gray").to_ndarray())


@pytest.mark.parametrize("kind", KINDS)
def test_times_in_any_order_show_what_the_analysis_saw_then(kind: str, tmp_path: Path) -> None:
    codec, options = KINDS[kind]
    path = tmp_path / kind
    make(path, codec, options)
    with Frames(path) as frames:
        seen = [(frame.time, number_in(frame.picture.luma)) for frame in frames]
    assert [number for _, number in seen] == list(range(120))
    order = [100, 101, 30, 31, 70, 5, 6, 90, 119, 0, 41, 42, 61, 60, 59, *random.Random(1).sample(range(120), 15)]
    with Playback(read_reel(path)) as clip:
        shown = [number_of(frame) for frame in clip.shown_at(seen[n][0] for n in order)]
    assert shown == order


def test_rising_times_within_a_frame_give_the_same_object_and_the_ends_are_held(tmp_path: Path) -> None:
    make(tmp_path / "clip.mp4", "libx264", B_FRAMES, count=20)
    with Playback(read_reel(tmp_path / "clip.mp4")) as clip:
        first, again, following = clip.shown_at([0.4, 0.43, 0.44])
        assert first is again and following is not first
        assert [number_of(frame) for frame in clip.shown_at([-1.0, 0.0, 0.76, 99.0])] == [0, 0, 19, 19]


def test_spans_that_share_no_group_of_pictures_are_runs_of_their_own() -> None:
    """The film's key frames are 0, 9, 11, 139, 267, 283, 376 and 504."""
    reel = read_reel(PROJECT / "sample/media/big_buck_bunny_0_30.webm")
    frames = [(520, 560), (150, 170), (20, 40), (175, 200), (260, 270), (600, 610), (300, 310)]
    spans = [(a / 24, b / 24) for a, b in frames]
    assert reel.runs(spans) == [[2], [1, 3, 4], [6], [0, 5]]


@pytest.mark.parametrize("content", [b"", b"not a film" * 50], ids=["empty", "text"])
def test_what_is_no_clip_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"clip\.mp4"):
        read_reel(path)


def test_sound_alone_is_no_clip() -> None:
    with pytest.raises(BadInput, match=r"vibe_ace\.ogg: has no moving picture"):
        read_reel(PROJECT / "sample/media/vibe_ace.ogg")
