"""Clips whose every frame carries its number as black and white stripes, songs of noise, and edits made by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipelines.editing.plan import Edit, Segment, Source
from pipelines.media.hashing import content_hash

BITS = 10


def stripes(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """uint8 [height, width, 3]."""
    bits = np.array([(number >> bit) & 1 for bit in range(BITS)])
    columns = np.arange(width) * BITS // width
    row = np.where(bits[columns] > 0, 220, 35).astype(np.uint8)
    return np.repeat(np.repeat(row[None, :, None], height, axis=0), 3, axis=2)


def number_in(luma: NDArray[np.uint8]) -> int:
    height, width = luma.shape
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    values = [luma[height // 4 : 3 * height // 4, x - 1 : x + 2].mean() for x in centres]
    return sum(int(value > 127) << bit for bit, value in enumerate(values))


def make_clip(
    path: Path,
    stamps: Sequence[Fraction],
    *,
    size: tuple[int, int] = (160, 96),
    rate: Fraction = Fraction(25),
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
) -> Source:
    """A clip with a frame at each stamp (s); its container's clock ticks 1/90000 s (Matroska: 1/1000 s)."""
    base = Fraction(1, 90_000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {"preset": "ultrafast", "crf": "18"})
        stream.codec_context.width, stream.codec_context.height = size
        stream.codec_context.pix_fmt = "yuv420p"
        stream.codec_context.time_base = base
        for number, stamp in enumerate(stamps):
            picture = stripes(number, *size) if pictures is None else pictures[number]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(stamp / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    duration = float(stamps[-1] - stamps[0] + 1 / rate)
    fps = (rate.numerator, rate.denominator)
    return Source(str(path), content_hash(path), duration, fps, len(stamps), *size)


def steady(rate: Fraction, count: int) -> list[Fraction]:
    return [number / rate for number in range(count)]


def make_song(path: Path, seconds: float = 6.0, rate: int = 48_000, channels: int = 2) -> tuple[Source, NDArray]:
    """Soft noise below 2 kHz, all channels different, as 16-bit WAV; and its samples [channels, n]."""
    import wave

    from scipy.signal import butter, sosfilt

    rng = np.random.default_rng(7)
    noise = sosfilt(butter(8, 2000, fs=rate, output="sos"), rng.normal(0, 0.2, (channels, round(seconds * rate))))
    samples = (noise.clip(-1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.T.tobytes())
    return Source(str(path), content_hash(path), seconds), samples / 32768


def make_edit(
    clips: Sequence[Source],
    music: Source,
    shots: Sequence[tuple[int, float, int]],
    *,
    fps: Fraction = Fraction(25),
    size: tuple[int, int] = (160, 96),
    music_start: float = 0.0,
) -> Edit:
    """``shots``: clip, source time and frames, one after the other."""
    segments, at = [], 0
    for number, (clip, start, length) in enumerate(shots):
        segments.append(Segment(at, at + length, clip, number, start))
        at += length
    rate = (fps.numerator, fps.denominator)
    return Edit("dynamic", rate, at, *size, music, music_start, tuple(clips), tuple(segments), 0, {"sync": 1.0}, 0.9)


def turn(path: Path) -> None:
    """Writes a quarter turn clockwise into an MP4's track header, as a telephone held upright does."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def luma_of(path: Path) -> list[NDArray[np.uint8]]:
    """Luma of every frame, decoded so strictly that any error of the stream raises."""
    with av.open(str(path), options={"err_detect": "explode"}) as container:
        context = container.streams.video[0].codec_context
        context.options = {"err_detect": "explode+crccheck+bitstream+buffer"}
        out = []
        for frame in container.decode(video=0):
            assert not frame.is_corrupt
            out.append(frame.to_ndarray()[: frame.height].copy())
        return out
