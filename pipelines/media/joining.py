"""Encoded picture files of one kind and a sound file into one MP4, packet by packet, nothing encoded again.

Encoding is left to encoding.py; which files belong together to the caller.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.media.encoding import EXACT_CLOCK

if TYPE_CHECKING:
    import av

UNDECODED = {"skip_frame": "all", "probesize": "32"}  # else opening decodes several frames: 8 ms a part instead of 0.4


class JoinError(Exception):
    """A part that does not belong: damaged, of another length, or encoded with other settings."""

    def __init__(self, part: Path, reason: str) -> None:
        super().__init__(f"{part}: {reason}")
        self.part = part


def join(parts: Sequence[tuple[Path, int]], sound: Path, out: Path, rate: Fraction) -> int:
    """Writes ``out`` with the index in front; ``parts`` are files and their frame counts. Returns the frame count.

    Frame k is shown at exactly k / rate. Decoding order is kept by giving packet k the decoding time k - delay for one
    delay over the whole, so stamps rise without a gap across the seams. Raises JoinError.
    """
    import av

    delay = max(_delay(path, count) for path, count in dict.fromkeys(parts))
    with av.open(str(parts[0][0])) as first, av.open(str(sound)) as music:
        options = {"movflags": "+faststart", "brand": "mp42", **EXACT_CLOCK}
        with av.open(str(out), "w", format="mp4", container_options=options) as container:
            picture_stream = container.add_stream_from_template(first.streams.video[0])
            picture_stream.time_base = 1 / rate
            sound_stream = container.add_stream_from_template(music.streams.audio[0])
            container.start_encoding()
            pictures = _pictures(parts, picture_stream, rate, delay)
            for _, _, packet in heapq.merge(pictures, _sound(music, sound_stream), key=lambda item: item[:2]):
                container.mux_one(packet)
    return sum(count for _, count in parts)


def _pictures(
    parts: Sequence[tuple[Path, int]], stream: av.VideoStream, rate: Fraction, delay: int
) -> Iterator[tuple[float, int, av.Packet[Any]]]:
    start = 0
    headers = None
    for path, count in parts:
        order, packets, extradata = _read(path, count)
        headers = extradata if headers is None else headers
        if extradata != headers:
            raise JoinError(path, "was encoded with other settings than the first part")
        for number, (shown, packet) in enumerate(zip(order, packets, strict=True)):
            packet.stream = stream
            packet.time_base = 1 / rate
            packet.pts = start + shown
            packet.dts = start + number - delay
            packet.duration = 1
            yield float(packet.dts / rate), 0, packet
        start += count


def _sound(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[tuple[float, int, av.Packet[Any]]]:
    for packet in container.demux(audio=0):
        if packet.size and packet.dts is not None and packet.time_base is not None:
            packet.stream = stream
            yield float(packet.dts * packet.time_base), 1, packet


def _delay(path: Path, count: int) -> int:
    """By how many frames decoding must run ahead of showing."""
    order, _, _ = _read(path, count)
    return max(number - shown for number, shown in enumerate(order))


def _read(path: Path, count: int) -> tuple[list[int], list[av.Packet[Any]], bytes]:
    """In decoding order: each packet and the number of the frame it holds; and the headers."""
    import av

    try:
        with av.open(str(path), options=UNDECODED) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            extradata = stream.codec_context.extradata or b""
    except (av.error.FFmpegError, IndexError) as error:
        raise JoinError(path, f"cannot be read ({error})") from error
    stamps = sorted(packet.pts for packet in packets if packet.pts is not None)
    if len(stamps) != count or len(packets) != count or len(set(stamps)) != count:
        raise JoinError(path, f"holds {len(packets)} frames, not {count}")
    numbers = {stamp: number for number, stamp in enumerate(stamps)}
    if not packets[0].is_keyframe or numbers[packets[0].pts or 0] != 0:
        raise JoinError(path, "does not start with a key frame")
    return [numbers[packet.pts or 0] for packet in packets], packets, extradata
