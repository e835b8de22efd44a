"""A stem as alignment hears it: mono at 8 kHz, and where in it something sounds.

Decoding is left to pipelines.media.audio, comparing two stems to gcc.py and warping.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.mastering.gcc import RATE
from pipelines.media.audio import Audio

SHORTEST = 1.0  # s
_SILENT = 10 ** (-80 / 20)  # RMS of the loudest quarter of a second: a noise floor, not music
_QUIET = 10 ** (-40 / 20)  # against the loudest second: a breath, bleed, hiss
_CANCELLED = 10 ** (-12 / 20)  # of the channels' level; what is left of an out-of-phase pair's mean


def hear(path: Path | str, *, max_hours: float = 4.0) -> NDArray[np.float32]:
    """[n] mono at 8 kHz (2 MB a minute), block by block.

    Raises BadInput as `pipelines.media.audio.stream` does, and for less than a second or no sound.
    """
    from pipelines.media.audio import stream

    return _checked(_resampled(stream(path, max_hours=max_hours)), path)


def hear_samples(samples: NDArray[np.float32], sample_rate: int, what: str) -> NDArray[np.float32]:
    """The same of mono samples [n] in memory; ``what`` names them in errors. Samples that are no numbers are zeros."""
    if samples.ndim != 1:
        raise BadInput(what, f"has {samples.ndim} dimensions of samples", "give mono samples [n]")
    block = 1 << 16
    whole = np.nan_to_num(np.asarray(samples, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    blocks = (Audio(whole[None, i : i + block], sample_rate, ("FC",)) for i in range(0, len(whole), block))
    return _checked(_resampled(blocks), what)


def level(sound: NDArray[np.float32], seconds: float = 1.0) -> NDArray[np.float32]:
    """[ceil(duration / seconds)] RMS of each stretch."""
    size = round(seconds * RATE)
    edges = np.arange(0, len(sound), size)
    power = np.add.reduceat(np.square(sound, dtype=np.float32), edges) / np.diff(np.append(edges, len(sound)))
    return np.asarray(np.sqrt(power), np.float32)


def sounding(sound: NDArray[np.float32]) -> NDArray[np.bool_]:
    """[ceil(duration)] whether something is heard in each second: within 40 dB of the loudest."""
    levels = level(sound)
    return np.asarray(levels > max(float(levels.max(initial=0.0)) * _QUIET, 1e-7))


def _checked(sound: NDArray[np.float32], what: Path | str) -> NDArray[np.float32]:
    if len(sound) < SHORTEST * RATE:
        seconds = len(sound) / RATE
        raise BadInput(what, f"lasts {seconds:.2g} s, too short to be aligned", "give at least one second of sound")
    sound -= np.float32(sound.mean(dtype=np.float64))  # a converter's offset is no sound
    if level(sound, 0.25).max() < _SILENT:
        raise BadInput(what, "is silent: no sound to be aligned by", "give the stem with its sound")
    return sound


def _resampled(blocks: Iterator[Audio]) -> NDArray[np.float32]:
    """Every block's mean channel, through one resampler."""
    import av

    resampler: av.AudioResampler | None = None
    whole = _Growing()
    for block in blocks:
        if block.sample_rate == RATE:
            whole.add(_mono(block))
            continue
        resampler = resampler or av.AudioResampler(format="flt", layout="mono", rate=RATE)
        frame = av.AudioFrame.from_ndarray(_mono(block)[None], format="flt", layout="mono")
        frame.sample_rate = block.sample_rate
        for out in resampler.resample(frame):
            whole.add(out.to_ndarray()[0])
    if resampler is not None:
        for out in resampler.resample(None):
            whole.add(out.to_ndarray()[0])
    return whole.samples()


class _Growing:
    """Samples in one array that grows in place: joining parts at the end would need twice the memory."""

    def __init__(self) -> None:
        self._room = np.empty(1 << 20, np.float32)
        self._n = 0

    def add(self, samples: NDArray[np.float32]) -> None:
        end = self._n + len(samples)
        if end > len(self._room):
            self._room.resize(max(end, len(self._room) * 5 // 4), refcheck=False)
        self._room[self._n : end] = samples
        self._n = end

    def samples(self) -> NDArray[np.float32]:
        return self._room[: self._n]


def _mono(block: Audio) -> NDArray[np.float32]:
    """The mean of the channels; the first channel alone where they cancel each other (a side or inverted stem)."""
    mono = block.mono
    if len(block.samples) > 1:
        rms = float(np.sqrt(np.mean(np.square(block.samples))))
        if rms > 0 and float(np.sqrt(np.mean(np.square(mono)))) < _CANCELLED * rms:
            return np.ascontiguousarray(block.samples[0])
    return mono
