"""What a rendered file is made of: H.264 and AAC settings, and encoding frames or samples into one file of their own.

Every picture file made here with one size, rate and `Preset` has the same parameter sets, so that such files can be
joined packet by packet (joining.py). Which frames to show is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

SAMPLE_RATE = 48_000  # Hz, what video files carry
# Ticks a second of the movie's clock: a whole number for a sample at 48 kHz and for a frame at every usual rate. With
# FFmpeg's 1000 the lengths in the edit lists would be rounded to a millisecond.
EXACT_CLOCK = {"movie_timescale": "240000"}
BT709 = 1


@dataclass(frozen=True, slots=True)
class Preset:
    """How to encode. Measured at 1280x720 (film and street scenes): superfast takes about half of veryfast's time and
    twice its bits, 2 dB nearer to the source; ultrafast half the time again, 1.6 times the bits. CRF 20: over 50 dB.
    """

    speed: str = "superfast"
    crf: int = 20
    audio_bit_rate: int = 192_000

    @property
    def picture_options(self) -> dict[str, str]:
        # "stitchable" keeps the headers free of what depends on the pictures. One thread: the bytes do not depend on
        # the machine, and the cores are used by rendering several segments at once.
        return {"preset": self.speed, "crf": str(self.crf), "profile": "high", "x264-params": "stitchable=1:open-gop=0"}

    def describe(self) -> str:
        """Everything that decides the bytes: settings and the encoders' versions."""
        import av

        versions = ".".join(str(n) for n in av.library_versions["libavcodec"])
        return f"{asdict(self)} {sorted(self.picture_options.items())} libavcodec {versions} {av.__version__}"


def encode_pictures(frames: Iterable[av.VideoFrame], path: Path, rate: Fraction, preset: Preset) -> int:
    """Writes yuv420p frames of one size as one closed group or more, starting with an IDR; returns how many."""
    import av

    count = 0
    with av.open(str(path), "w", format="mp4", options=EXACT_CLOCK) as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = add_picture_stream(container, frame.width, frame.height, rate, preset)
            frame.pts = count
            frame.time_base = 1 / rate
            frame.pict_type = av.video.frame.PictureType.NONE
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode(None))
    return count


def add_picture_stream(
    container: av.container.OutputContainer, width: int, height: int, rate: Fraction, preset: Preset
) -> av.VideoStream:
    stream = container.add_stream("libx264", rate=rate, options=preset.picture_options)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = 1 / rate
    context.gop_size = max(1, round(2 * rate))
    context.thread_count = 1
    context.color_primaries = context.color_trc = context.colorspace = context.color_range = BT709
    return stream


def encode_sound(samples: NDArray[np.float32], path: Path, preset: Preset) -> None:
    """``samples`` float32 [2, n] at 48 kHz as AAC in MP4, n samples long to the sample."""
    import av

    with av.open(str(path), "w", format="mp4", options=EXACT_CLOCK) as container:
        stream = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo", bit_rate=preset.audio_bit_rate)
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1024
        for start in range(0, samples.shape[1], size):
            block = np.ascontiguousarray(samples[:, start : start + size])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
