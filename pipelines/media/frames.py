"""Moving pictures, decoded in this one place: all frames of a clip, reduced as they come, or one as a thumbnail.

What the frames mean is left to ``pipelines.video``; headers of any media file to probe.py, sound to audio.py.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.media.picture import Picture
from pipelines.media.probe import CONTAINERS

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.plane import VideoPlane
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

PIXELS = 256 * 144  # what a frame is reduced to, at any aspect ratio
THREADS = min(4, os.cpu_count() or 1)  # more decoder threads hold more frames, and memory must stay bounded
LONGEST_GAP = 10.0  # s; a larger jump of the time stamps is a fault of the file, not a long frame
SEEK_BEYOND = 2.0  # s; decoding on is quicker than seeking for less
SMALLEST = 64  # pixels a side; optical flow needs some, so tiny or very thin frames are stretched

PLAYS = "give a clip that plays (mp4, mov, mkv, webm, avi)"
AGAIN = "export or upload it again"


@dataclass(frozen=True, slots=True)
class Frame:
    """``index`` counts decoded frames from 0; ``time`` is in seconds from the first frame, strictly rising."""

    index: int
    time: float
    picture: Picture


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """What is known before the first frame. ``width`` x ``height``: as shown, square pixels, after rotation."""

    path: Path
    width: int
    height: int
    fps: Fraction  # nominal; the exact times come with the frames
    rotation: int  # degrees clockwise that the frames were turned: 0, 90, 180, 270
    picture_width: int
    picture_height: int


class Frames:
    """All frames of a clip, decoded once, reduced to about 256x144: ``with Frames(path) as frames: for f in frames``.

    Memory does not grow with the clip. The loop filter is skipped: at this size its effect cannot be seen, and it is
    a quarter of the decoder's work. Damaged packets are left out (``damaged`` counts them) while any frame decodes.
    Raises BadInput when there is nothing to decode.
    """

    def __init__(self, path: str | Path, *, pixels: int = PIXELS, threads: int = THREADS) -> None:
        self._decoder = _Decoder(Path(path), threads=threads, loop_filter=False)
        self._pixels = pixels
        self.info = _info(self._decoder, pixels)
        self.duration = 0.0  # s, of what was taken so far

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *exc: object) -> None:
        self._decoder.close()

    @property
    def damaged(self) -> int:
        return self._decoder.damaged

    def __iter__(self) -> Iterator[Frame]:
        from av.video.reformatter import VideoReformatter

        reformatter = VideoReformatter()
        clock = _Clock(self._decoder.time_base, self.info.fps)
        for index, frame in enumerate(self._decoder.frames()):
            time = clock.time_of(frame)
            self.duration = time + clock.shown_for(frame)
            yield Frame(index, time, self._reduced(frame, reformatter))
        if self.damaged:
            log.warning("%s: %d damaged packets were left out", self.info.path, self.damaged)

    def _reduced(self, frame: av.VideoFrame, reformatter: VideoReformatter) -> Picture:
        width, height = self.info.picture_width, self.info.picture_height
        if self.info.rotation in (90, 270):
            width, height = height, width
        small = reformatter.reformat(
            frame, width, height, format="yuv420p", interpolation="AREA", dst_color_range="MPEG", threads=1
        )
        planes = [_plane(plane) for plane in small.planes]
        if self.info.rotation:
            planes = [np.ascontiguousarray(np.rot90(plane, -self.info.rotation // 90)) for plane in planes]
        return Picture(*planes)


def read_frame(path: str | Path, time: float, width: int) -> NDArray[np.uint8]:
    """The frame on screen ``time`` seconds after the first, as RGB uint8 [h, width, 3]; the last one beyond the end.

    It seeks to the key frame before, so a thumbnail costs one group of pictures and not the whole clip.
    """
    return next(read_frames(path, [time], width))


def read_frames(path: str | Path, times: Iterable[float], width: int) -> Iterator[NDArray[np.uint8]]:
    """``read_frame`` for several times, quickest when they rise, with the file opened once."""
    decoder = _Decoder(Path(path), threads=THREADS, loop_filter=True)
    try:
        info = _info(decoder, PIXELS)
        shape = (width, max(1, round(width * info.height / info.width)))
        if info.rotation in (90, 270):
            shape = shape[::-1]
        for time in times:
            frame = decoder.frame_at(time)
            rgb = frame.reformat(*shape, format="rgb24", interpolation="AREA", threads=1).to_ndarray()
            yield np.ascontiguousarray(np.rot90(rgb, -info.rotation // 90))
    finally:
        decoder.close()


class _Decoder:
    """One open video stream: frames in order, or the frame at a time."""

    def __init__(self, path: Path, *, threads: int, loop_filter: bool) -> None:
        self.path = path
        self.damaged = 0
        self.container, self.stream = _open(path)
        context = self.stream.codec_context
        context.thread_type = "AUTO"
        context.thread_count = threads
        if not loop_filter:
            context.options = {"skip_loop_filter": "all"}
        self.time_base = self.stream.time_base
        self._queue = self._decoded()
        first = next(self._queue, None)
        if first is None:
            self.close()
            raise BadInput(path, "has a video stream, but not one frame of it can be decoded", AGAIN)
        self.first: av.VideoFrame = first
        self._shown: av.VideoFrame | None = None  # the latest answer of frame_at, and the frame after it
        self._next: av.VideoFrame | None = first

    def close(self) -> None:
        self._queue.close()
        self.container.close()

    def frames(self) -> Iterator[av.VideoFrame]:
        yield self.first
        yield from self._queue

    def frame_at(self, time: float) -> av.VideoFrame:
        if self.time_base is not None and self.first.pts is not None:
            here = self._seconds(self._shown) if self._shown else 0.0
            if not here <= time <= here + SEEK_BEYOND:
                self._seek(time)
        while self._next is not None and (self._shown is None or self._seconds(self._next) <= time + 1e-6):
            self._shown, self._next = self._next, next(self._queue, None)
        assert self._shown is not None
        return self._shown

    def _seconds(self, frame: av.VideoFrame) -> float:
        if frame.pts is None or self.first.pts is None or self.time_base is None:
            return 0.0 if self._shown is None else math.inf
        return float((frame.pts - self.first.pts) * self.time_base)

    def _seek(self, time: float) -> None:
        """To the key frame before ``time``; to the start where the container's index is not to be trusted."""
        assert self.first.pts is not None and self.time_base is not None
        target = self.first.pts + math.floor(max(0.0, time) / self.time_base)
        for offset in (target, self.first.pts):
            self._queue.close()
            self.container.seek(offset, stream=self.stream, backward=True)
            self._queue = self._decoded()
            self._shown, self._next = None, next(self._queue, None)
            if self._next is not None and self._seconds(self._next) <= time:
                return
        self._next = self._next or self.first

    def _decoded(self) -> Generator[av.VideoFrame]:
        import av

        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:  # the file breaks off; what came before is good
                log.info("%s: reading ends early: %s", self.path, error)
                self.damaged += 1
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError as error:
                log.debug("%s: %s", self.path, error)
                self.damaged += 1


class _Clock:
    """Presentation times from the first frame on, mended where the file gives none or runs backwards."""

    def __init__(self, time_base: Fraction | None, fps: Fraction) -> None:
        self._base = time_base
        self._step = float(1 / fps)
        self._origin: int | None = None
        self._shift = 0.0
        self._last = -math.inf

    def time_of(self, frame: av.VideoFrame) -> float:
        expected = 0.0 if self._last == -math.inf else self._last + self._step
        if frame.pts is None or self._base is None:
            time = expected
        else:
            if self._origin is None:
                self._origin = frame.pts
            time = float((frame.pts - self._origin) * self._base) + self._shift
            if abs(time - expected) > LONGEST_GAP:  # the clock was set anew
                self._shift += expected - time
                time = expected
            elif time <= self._last:  # stamps in the order of decoding, as AVI has them with B-frames
                time = expected
        self._last = time
        return time

    def shown_for(self, frame: av.VideoFrame) -> float:
        if frame.duration and self._base is not None:
            seconds = float(frame.duration * self._base)
            if 0 < seconds <= LONGEST_GAP:
                return seconds
        return self._step


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    import av
    from av.stream import Disposition

    if not path.is_file():
        raise BadInput(path, "is not a file" if path.exists() else "does not exist", "check the path")
    if path.stat().st_size == 0:
        raise BadInput(path, "is empty (0 bytes)", AGAIN)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    try:
        # An absolute path, since FFmpeg takes what stands before a colon for a protocol.
        container = av.open(str(path.absolute()), options=options, metadata_errors="replace")
    except PermissionError as error:
        raise BadInput(path, "cannot be read (permission denied)", "allow reading it") from error
    except av.error.FFmpegError as error:
        raise BadInput(path, "is not a video that can be read, or is cut off before its index", PLAYS) from error
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams:
        reason = "holds only sound and a cover picture" if container.streams.video else "has no video stream"
        container.close()
        raise BadInput(path, reason, PLAYS)
    return container, streams[0]


def _info(decoder: _Decoder, pixels: int) -> FrameInfo:
    stream, first = decoder.stream, decoder.first
    rotation = round(-first.rotation / 90) % 4 * 90
    aspect = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, 8) <= aspect <= 8:
        aspect = Fraction(1)
    width, height = max(1, round(first.width * aspect)), first.height
    if rotation in (90, 270):
        width, height = height, width
    scale = min(1.0, math.sqrt(pixels / (width * height)))
    return FrameInfo(
        path=decoder.path,
        width=width,
        height=height,
        fps=_nominal_rate(stream),
        rotation=rotation,
        picture_width=_multiple_of_4(width * scale),
        picture_height=_multiple_of_4(height * scale),
    )


def _nominal_rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= 1000:
            return Fraction(rate)
    return Fraction(25)


def _multiple_of_4(length: float) -> int:
    return max(SMALLEST, round(length / 4) * 4)


def _plane(plane: VideoPlane) -> NDArray[np.uint8]:
    rows = np.frombuffer(cast("memoryview[int]", plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
