"""Sound files as a master or a preview is delivered: which ending means which codec, and writing them in blocks.

What to write, and whether it came out too high, is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput

if TYPE_CHECKING:
    import av

_FRAME = 4096  # samples, where the codec does not mind
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True, slots=True)
class Format:
    name: str
    container: str
    codec: str
    samples: str  # FFmpeg's sample format; s32 carries 24 bits
    bit_rate: int | None = None  # a channel; None: lossless
    rates: tuple[int, ...] = ()  # Hz; empty: any
    most_channels: int = 8

    @property
    def lossy(self) -> bool:
        return self.bit_rate is not None

    def rate_for(self, sample_rate: int) -> int:
        """The rate to write a sound of ``sample_rate`` at: its own, a whole fraction of it, or the next above."""
        if not self.rates or sample_rate in self.rates:
            return sample_rate
        fractions = [rate for rate in self.rates if sample_rate % rate == 0 and rate >= 32_000]
        above = [rate for rate in self.rates if rate > sample_rate]
        return max(fractions) if fractions else min(above) if above else max(self.rates)


WAV = Format("WAV, 24 bit", "wav", "pcm_s24le", "s32")
FLAC = Format("FLAC, 24 bit", "flac", "flac", "s32")
OPUS = Format("Opus", "ogg", "libopus", "flt", 96_000, (48_000,))
MP3 = Format("MP3", "mp3", "libmp3lame", "fltp", 160_000, _MP3_RATES, 2)
# FFmpeg's AAC overshoots by up to 2 dB in places below 160 kbit/s a channel, however low the limiter is set.
AAC = Format("AAC", "mp4", "aac", "fltp", 160_000, (*_MP3_RATES, 64_000, 88_200, 96_000))
FLOAT_WAV = Format("WAV, 32 bit float", "wav", "pcm_f32le", "flt")  # for what may exceed full scale
FORMATS = {".wav": WAV, ".flac": FLAC, ".ogg": OPUS, ".opus": OPUS, ".mp3": MP3, ".m4a": AAC}


def format_of(path: Path) -> Format:
    """Raises BadInput, naming the choices, for any other ending."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        reason = f"has the ending {path.suffix!r}, which is no sound format written here"
        raise BadInput(path, reason, f"choose one of {', '.join(FORMATS)}") from None


def check_channels(path: Path, form: Format, n_channels: int) -> None:
    if n_channels > form.most_channels:
        reason = f"{form.name} holds {form.most_channels} channels, not the source's {n_channels}"
        raise BadInput(path, reason, "choose .wav, .flac or .m4a")


def encode(
    blocks: Iterable[NDArray[np.float32]],
    path: Path,
    sample_rate: int,
    channels: Sequence[str],
    form: Format,
    *,
    bit_rate: int | None = None,
) -> None:
    """Writes float32 ``blocks`` [n_channels, n], full scale = 1, in the layout of FFmpeg's ``channels`` names.

    ``bit_rate`` is that of the whole file, for lossy formats. Same blocks, same bytes. Above full scale is cut off
    where the format holds whole numbers.
    """
    import av

    layout, rate = "+".join(channels), form.rate_for(sample_rate)
    options = {"fflags": "+bitexact"}  # Ogg would take a random serial number, WAV and MP4 a version's name
    options |= {"rf64": "auto"} if form.container == "wav" else {}  # over 4 GB
    options |= {"movflags": "+faststart"} if form.container == "mp4" else {}
    with av.open(str(path), "w", format=form.container, options=options) as container:
        stream = container.add_stream(form.codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        context.format = av.AudioFormat(form.samples)
        context.thread_count = 1  # the bytes do not depend on the machine
        if form.bit_rate is not None:
            context.bit_rate = bit_rate or form.bit_rate * len(channels)
        context.open()
        position = 0
        for part in _even(_at_rate(blocks, sample_rate, rate, layout), context.frame_size or _FRAME):
            container.mux(stream.encode(_frame(part, form.samples, layout, rate, position)))
            position += part.shape[1]
        container.mux(stream.encode(None))


def _at_rate(
    blocks: Iterable[NDArray[np.float32]], sample_rate: int, rate: int, layout: str
) -> Iterator[NDArray[np.float32]]:
    if rate == sample_rate:
        yield from blocks
        return
    import av

    resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
    position = 0
    for block in blocks:
        frame = _frame(block, "fltp", layout, sample_rate, position)
        position += block.shape[1]
        yield from (f.to_ndarray().astype(np.float32, copy=False) for f in resampler.resample(frame))
    yield from (f.to_ndarray().astype(np.float32, copy=False) for f in resampler.resample(None))


def _even(blocks: Iterable[NDArray[np.float32]], size: int) -> Iterator[NDArray[np.float32]]:
    """The same sound in pieces of ``size``, the last one shorter: encoders take no others."""
    rest: NDArray[np.float32] | None = None
    for block in blocks:
        whole = block if rest is None or not rest.shape[1] else np.concatenate([rest, block], axis=1)
        n = whole.shape[1] // size
        for i in range(n):
            yield whole[:, i * size : (i + 1) * size]
        rest = whole[:, n * size :].copy()
    if rest is not None and rest.shape[1]:
        yield rest


def _frame(part: NDArray[np.float32], form: str, layout: str, rate: int, position: int) -> av.AudioFrame:
    import av

    planes = part if form.endswith("p") else part.T.reshape(1, -1)
    if form == "s32":
        # Dither would lie at -144 dB: below the noise of any converter, so rounding it is.
        whole = np.clip(np.rint(planes.astype(np.float64) * 2**23), -(2**23), 2**23 - 1).astype(np.int32) << 8
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(whole, np.int32), format=form, layout=layout)
    else:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes, np.float32), format=form, layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, position, Fraction(1, rate)
    return frame
