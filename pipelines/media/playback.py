"""A clip played at full size: for rising times, the frame on screen at each; what could be skipped is not decoded.

What analysers see of a clip (every frame, small) is frames.py's; fitting a frame into another picture is fitting.py's.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.media.probe import film_stream, open_media

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

NEARLY = Fraction(1, 1000)  # s; Matroska rounds stamps to a millisecond, so a frame may come that much early
SKIPPABLE = {"h264", "hevc", "mpeg4", "mpeg2video"}  # codecs with one packet a shown frame, some never referred to
AGAIN = "export or upload it again"
STAMPED = {"mov", "mp4", "matroska", "webm", "mpegts", "flv"}  # containers whose stamps hold after a seek, too
LONGEST_GAP = Fraction(10)  # s; as in frames.py, a larger jump is a fault of the file
MICROSECOND = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True)
class Reel:
    """Where a clip can be entered, from one pass over its packets (none decoded but the first frames).

    A clip whose stamps are not to be trusted (AVI, MPEG programme streams, jumps) is only played from its start, its
    times mended as frames.py mends them: then there are no ``stamps`` and one entry.
    """

    path: Path
    origin: int  # stamp of the first frame
    keyframes: tuple[int, ...]  # [n] stamps of the key frames, rising
    entries: tuple[int, ...]  # [n] what to seek to for each
    stamps: NDArray[np.int64]  # [n_frames] of all frames, rising
    time_base: Fraction

    def entry(self, time: float) -> int:
        """Index of the last key frame that is not after ``time`` (s from the first frame)."""
        return max(0, bisect.bisect_right(self.keyframes, self.stamp(time)) - 1)

    def stamp(self, time: float) -> int:
        """The last stamp that is due at ``time``."""
        return self.origin + math.floor((Fraction(time) + NEARLY) / self.time_base)

    def shown(self, due: int) -> int:
        """Stamp of the frame that is on screen at the stamp ``due``."""
        index = int(np.searchsorted(self.stamps, due, side="right")) - 1
        return int(self.stamps[index]) if index >= 0 else self.origin

    def runs(self, spans: Sequence[tuple[float, float]]) -> list[list[int]]:
        """Indices of the spans (first and last time), in playing order, in runs that share no group of pictures."""
        runs: list[list[int]] = []
        reached = -1
        for index in sorted(range(len(spans)), key=lambda i: spans[i]):
            start, end = spans[index]
            if self.entry(start) > reached or not runs:
                runs.append([])
            runs[-1].append(index)
            reached = max(reached, self.entry(end))
        return runs


def read_reel(path: Path) -> Reel:
    """Raises BadInput when there is no moving picture or not one frame of it decodes."""
    with open_media(path) as container:
        stream = _film(path, container)
        base = stream.time_base
        first = next(_decoded(container, stream, None), None)
        if first is None:
            raise BadInput(path, "has a video stream, but not one frame of it can be decoded", AGAIN)
        if base is None or first.pts is None or not STAMPED & set(container.format.name.split(",")):
            return _unstamped(path)
        container.seek(min(first.pts, 0), stream=stream, backward=True)
        stamps, found = [], []
        for packet in _packets(container, stream):
            if packet.pts is None:
                if packet.size:
                    return _unstamped(path)
                continue
            stamps.append(packet.pts)
            if packet.is_keyframe:
                found.append((packet.pts, packet.pts if packet.dts is None else packet.dts))
    rising = np.array(sorted(stamps), np.int64)
    if not found or np.diff(rising).max(initial=0) > LONGEST_GAP / base:
        return _unstamped(path)
    keyframes, entries = zip(*sorted(found), strict=True)
    return Reel(path, first.pts, keyframes, entries, rising, base)


def _unstamped(path: Path) -> Reel:
    return Reel(path, 0, (0,), (0,), np.zeros(0, np.int64), MICROSECOND)


class Playback:
    """One open clip; ``with Playback(reel) as clip: for frame in clip.shown_at(times)``."""

    def __init__(self, reel: Reel, *, threads: int = 1) -> None:
        self._reel = reel
        self._threads = threads
        self._open()
        self._shown: tuple[int, av.VideoFrame] | None = None  # with its stamp
        self._next: tuple[int, av.VideoFrame] | None = None
        self._started = False

    def _open(self) -> None:
        self._container = open_media(self._reel.path)
        self._stream = _film(self._reel.path, self._container)
        self._stream.codec_context.thread_type = "AUTO"
        self._stream.codec_context.thread_count = self._threads
        self._wanted: int | None = None  # stamp that is played to, while frames before it may be skipped
        self._queue = self._frames()

    def __enter__(self) -> Playback:
        return self

    def __exit__(self, *exc: object) -> None:
        self._queue.close()
        self._container.close()

    @property
    def pixel_aspect(self) -> Fraction | None:
        """Width of a pixel over its height; None where the file does not say."""
        return self._stream.sample_aspect_ratio

    def shown_at(self, times: Iterable[float]) -> Iterator[av.VideoFrame]:
        """The frame on screen at each time (s from the first frame; rising is quickest), the same object while held.

        Before the first frame that is the first, after the end the last.
        """
        for time in times:
            yield self._frame_at(time)

    def _frame_at(self, time: float) -> av.VideoFrame:
        due = self._reel.stamp(max(0.0, time))
        if self._must_seek(due):
            self._enter(self._reel.entry(time), due)
        while self._next is not None and (self._shown is None or self._next[0] <= due):
            self._shown, self._next = self._next, next(self._queue, None)
        if self._shown is None:
            raise BadInput(self._reel.path, f"cannot be decoded at {time:.2f} s", AGAIN)
        return self._shown[1]

    def _must_seek(self, due: int) -> bool:
        if not self._started or (self._shown is not None and self._shown[0] > due):
            return True
        if self._next is None:
            return False
        entry = bisect.bisect_right(self._reel.keyframes, due) - 1
        return entry >= 0 and self._reel.keyframes[entry] > self._next[0]

    def _enter(self, entry: int, due: int) -> None:
        """Starts decoding at a key frame; one earlier each time that the decoder yields nothing early enough."""
        self._started = True
        for tried in (entry, entry - 1, 0):
            self._queue.close()
            if len(self._reel.stamps):
                self._stream.codec_context.flush_buffers()
                self._container.seek(self._reel.entries[max(0, tried)], stream=self._stream, backward=True)
                self._wanted = self._reel.shown(due) if self._stream.codec_context.name in SKIPPABLE else None
                self._queue = self._frames()
            else:
                self._container.close()
                self._open()
            self._shown, self._next = None, next(self._queue, None)
            if self._next is not None and self._next[0] <= due:
                return

    def _frames(self) -> Generator[tuple[int, av.VideoFrame]]:
        frames = _decoded(self._container, self._stream, self)
        if len(self._reel.stamps):
            return ((frame.pts or 0, frame) for frame in frames)
        return _mended(frames, self._stream)

    def skips(self, packet: Packet[Any]) -> bool:
        """Whether a packet is so far before the wanted frame that it only matters if others refer to it."""
        return self._wanted is not None and packet.pts is not None and packet.pts < self._wanted


def _film(path: Path, container: InputContainer) -> VideoStream:
    stream = film_stream(container)
    if stream is None:
        raise BadInput(path, "has no moving picture", "give a clip that plays (mp4, mov, mkv, webm)")
    return stream


def _mended(frames: Iterable[av.VideoFrame], stream: VideoStream) -> Generator[tuple[int, av.VideoFrame]]:
    """Frames with microseconds from the first: their stamps', or a frame's length on where those fail or run back."""
    base, origin, shift = stream.time_base, None, Fraction(0)
    step = 1 / Fraction(stream.average_rate or stream.guessed_rate or stream.base_rate or 25)
    last = -step
    for frame in frames:
        time = last + step
        if frame.pts is not None and base is not None:
            origin = frame.pts if origin is None else origin
            stamped = (frame.pts - origin) * base + shift
            if abs(stamped - time) > LONGEST_GAP:
                shift += time - stamped
            elif stamped > last:
                time = stamped
        last = time
        yield round(time / MICROSECOND), frame


def _decoded(container: InputContainer, stream: VideoStream, playback: Playback | None) -> Generator[av.VideoFrame]:
    """Frames from here on; damaged packets are left out, as in frames.py."""
    import av

    context = stream.codec_context
    for packet in _packets(container, stream):
        if playback is not None:
            context.skip_frame = "NONREF" if playback.skips(packet) else "DEFAULT"
        try:
            yield from stream.decode(packet)
        except av.error.InvalidDataError:
            continue


def _packets(container: InputContainer, stream: VideoStream) -> Generator[Packet[Any]]:
    """Packets, the flushing one last; a file that breaks off ends where it breaks."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, av.error.FFmpegError):
            return
