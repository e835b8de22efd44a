"""Sound from any media file as float32 samples, whole (`decode`) or block by block (`stream`).

The one place where sound is decoded. No downmix here: loudness needs the channels (see `Audio.mono`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.media.probe import music_stream, open_media

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

logger = logging.getLogger(__name__)

BLOCK = 1 << 16  # samples a block: 1.4 s at 48 kHz, which keeps a block of six channels within 1.6 MB
_LOUDEST = 1e6  # +120 dBFS: above it a float "sample" is garbage, and its square leaves float32
_MOST_BROKEN = 0.01  # share of broken samples up to which a file is still worth hearing

# The order of channels where a file names none, as most WAV files do (FFmpeg's names).
USUAL_CHANNELS = {
    1: ("FC",),
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound at its own rate, full scale = 1. Samples may exceed 1 where the file's do."""

    samples: NDArray[np.float32]  # [n_channels, n_samples]
    sample_rate: int  # Hz
    channels: tuple[str, ...]  # FFmpeg's names, [n_channels]: FL, FR, FC, LFE, BL, BR ...

    @property
    def duration(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate)

    @property
    def mono(self) -> NDArray[np.float32]:
        """[n_samples]: the plain mean of the channels. (swresample's downmix of floats is 3 dB louder.)"""
        return np.asarray(self.samples.mean(axis=0, dtype=np.float32))


def decode(path: Path | str, *, max_hours: float = 4.0) -> Audio:
    """The whole sound of a file in memory (23 MB a stereo minute at 48 kHz; use `stream` where it may be long).

    Raises BadInput as `stream` does.
    """
    blocks = list(stream(path, max_hours=max_hours))
    first = blocks[0]
    samples = first.samples if len(blocks) == 1 else np.concatenate([b.samples for b in blocks], axis=1)
    return Audio(samples, first.sample_rate, first.channels)


def stream(path: Path | str, *, max_hours: float = 4.0) -> Iterator[Audio]:
    """Blocks of about `BLOCK` samples, at least one, all with the first one's rate and channels.

    A file cut short or damaged in places yields what can be decoded, with a warning in the log. Samples that are no
    numbers become silence if they are few. Raises BadInput for what has no sound or none that can be decoded, for
    more than ``max_hours``, and when over 1 % of the samples are not numbers.
    """
    path = Path(path)
    with open_media(path) as container:
        sound = music_stream(container)
        if sound is None:
            raise BadInput(path, "has no sound", "give a file with an audio stream")
        limit = max_hours * 3600
        if sound.duration and sound.time_base:
            _check_length(path, float(sound.duration * sound.time_base), limit)
        total = broken = 0
        for block in _blocks(path, container, sound):
            total += block.samples.shape[1]
            broken += _silence_broken(block.samples)
            _check_length(path, total / block.sample_rate, limit)
            yield block
        if total == 0:
            raise BadInput(path, "has an audio stream without a single sample that can be decoded", "export it again")
        if broken > _MOST_BROKEN * total * len(block.channels):
            share = broken / (total * len(block.channels))
            raise BadInput(path, f"has {share:.0%} samples that are not numbers (NaN or infinite)", "export it again")
        if broken:
            logger.warning("%s: %d samples are not numbers (NaN or infinite) and were taken for silence", path, broken)


def _check_length(path: Path, seconds: float, limit: float) -> None:
    if seconds > limit:
        reason = f"is {seconds / 3600:.2g} hours long, above the limit of {limit / 3600:g}"
        raise BadInput(path, reason, "cut it, or raise ORIMONO_MAX_MEDIA_HOURS")


def _silence_broken(samples: NDArray[np.float32]) -> int:
    """Replaces, in place, NaN, infinite and absurd samples by 0; returns how many there were."""
    if abs(samples).max(initial=0.0) < _LOUDEST:  # False for NaN, which max hands on
        return 0
    wrong = ~(abs(samples) < _LOUDEST)
    samples[wrong] = 0.0
    return int(wrong.sum())


def _blocks(path: Path, container: InputContainer, sound: AudioStream) -> Iterator[Audio]:
    """Frames gathered into blocks; the last may be shorter."""
    rate, filled = 0, 0
    names: tuple[str, ...] = ()
    buffer = np.empty((0, 0), np.float32)
    for frame in _frames(path, container, sound):
        if rate == 0:
            rate, names = frame.sample_rate, _names(frame)
            buffer = np.empty((len(names), BLOCK), np.float32)
        if filled and filled + frame.samples > buffer.shape[1]:
            yield Audio(buffer[:, :filled], rate, names)
            buffer, filled = np.empty((len(names), max(BLOCK, frame.samples)), np.float32), 0
        if frame.samples > buffer.shape[1]:
            buffer = np.empty((len(names), frame.samples), np.float32)
        _write(frame, buffer[:, filled : filled + frame.samples])
        filled += frame.samples
    if filled:
        yield Audio(buffer[:, :filled], rate, names)


def _names(frame: AudioFrame) -> tuple[str, ...]:
    names = tuple(channel.name for channel in frame.layout.channels)
    return USUAL_CHANNELS.get(len(names), names) if "NONE" in names else names


def _frames(path: Path, container: InputContainer, sound: AudioStream) -> Iterator[AudioFrame]:
    """Decoded frames, all with the first one's rate and layout; damaged packets are left out."""
    import av

    packets = container.demux(sound)
    resampler, form, damaged = None, None, 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.error.FFmpegError:  # the container itself breaks off
            damaged += 1
            break
        try:
            frames = sound.decode(packet)
        except av.error.InvalidDataError:
            damaged += 1
            continue
        for frame in frames:
            if form is None:
                form = (frame.sample_rate, frame.layout.name)
            if (frame.sample_rate, frame.layout.name) == form:
                yield frame
            else:  # joined broadcasts and radio recordings change in mid-stream
                resampler = resampler or av.AudioResampler(format="fltp", layout=form[1], rate=form[0])
                yield from resampler.resample(frame)
    if damaged:
        logger.warning("%s: %d damaged places were left out", path, damaged)


def _write(frame: AudioFrame, out: NDArray[np.float32]) -> None:
    """Frame -> float32 in -1..1, [n_channels, n_samples]."""
    data = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, out.shape[0]).T
    if data.dtype.kind == "f":
        out[:] = data
    elif data.dtype == np.uint8:
        np.multiply(data.astype(np.float32) - 128.0, np.float32(1 / 128), out=out)
    else:
        out[:] = data  # then scaled in place: one ufunc that casts and scales took 20 times as long
        out *= np.float32(2.0 ** (1 - 8 * data.dtype.itemsize))
