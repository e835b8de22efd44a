"""A preview: the passage that says most about a piece, short, mono and small, to be heard before the whole is fetched.

Which file it is made of, and who may hear it, is left to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.loudness import LoudnessMeter
from pipelines.errors import BadInput
from pipelines.mastering import encoders
from pipelines.mastering.mastering import measure_file
from pipelines.media.audio import Audio, stream
from pipelines.media.replacing import replacing
from pipelines.media.soundtrack import STEREO

VERSION = "1"  # raise it when the same sound gives another preview

BIT_RATE = 96_000  # the whole file's; AAC at 96 kbit/s for one channel is clean
CEILING = -1.0  # dBTP
SHORTEST, LONGEST = 30.0, 60.0  # s
_USUAL = 45.0  # s
_BACK = 3.0  # s that a passage may begin earlier, to begin in a breath
_FADE_IN, _FADE_OUT = 0.25, 2.0  # s
_STEP = 0.1  # s, of loudness's powers
_FORM = replace(encoders.AAC, rates=tuple(rate for rate in encoders.AAC.rates if rate <= 48_000))


def preview(source: Path, out: Path, *, seconds: float = _USUAL) -> Path:
    """Writes ``seconds`` (30 to 60) of ``source`` as AAC, mono, 96 kbit/s in ``out`` (.m4a), faded; returns ``out``.

    The passage is the loudest of that length, begun at the softest point within 3 s before it. What lasts no longer
    than that is taken whole. A peak above -1 dBTP is turned down. Raises BadInput for other endings and as decoding
    does.
    """
    if out.suffix.lower() != ".m4a":
        raise BadInput(out, "is to be a preview, which is AAC in MP4", "give a name that ends in .m4a")
    if not SHORTEST <= seconds <= LONGEST:
        raise BadInput(out, f"cannot be {seconds:g} s long", f"ask for {SHORTEST:g} to {LONGEST:g} s")
    start, length = passage(_powers(source), seconds)
    samples, rate = _taken(source, start, length)
    _fade(samples, rate)
    with replacing(out) as temporary:
        for _ in range(6):
            encoders.encode([samples[None, :]], temporary, rate, ("FC",), _FORM, bit_rate=BIT_RATE)
            over = measure_file(temporary).true_peak - CEILING
            if over <= 0:
                break
            samples *= np.float32(10 ** (-(over + 0.05) / 20))
    return out


def passage(power: NDArray[np.float64], seconds: float) -> tuple[float, float]:
    """(start, length) in s; ``power`` [n] is the mean square of each tenth of a second."""
    n, wanted = len(power), round(seconds / _STEP)
    if n <= wanted:
        return 0.0, max(n * _STEP, _STEP)
    sums = np.concatenate([[0.0], np.cumsum(power)])
    loudest = int(np.argmax(sums[wanted:] - sums[:-wanted]))
    first = max(0, loudest - round(_BACK / _STEP))
    # From the end, so that of several silent points the one nearest to the passage is taken.
    softest = loudest - int(np.argmin(power[first : loudest + 1][::-1]))
    return softest * _STEP, wanted * _STEP


def _powers(source: Path) -> NDArray[np.float64]:
    meter: LoudnessMeter | None = None
    for block in stream(source):
        meter = meter or LoudnessMeter(block.sample_rate, block.channels, true_peak=False)
        meter.push(block.samples)
    if meter is None:
        raise ValueError("no block of sound")
    return meter.finish().power


def _taken(source: Path, start: float, length: float) -> tuple[NDArray[np.float32], int]:
    """Decoded from the beginning, since a seek in a compressed file is not exact to the sample."""
    parts, position, rate = [], 0, 0
    for block in _until(source, start + length):
        rate = block.sample_rate
        first, last = round(start * rate) - position, round((start + length) * rate) - position
        if first < block.samples.shape[1]:
            parts.append(_mono(block)[max(first, 0) : max(last, 0)])
        position += block.samples.shape[1]
    return np.concatenate(parts), rate


def _until(source: Path, seconds: float) -> Iterator[Audio]:
    position = 0
    for block in stream(source):
        yield block
        position += block.samples.shape[1]
        if position >= seconds * block.sample_rate:
            return


def _mono(block: Audio) -> NDArray[np.float32]:
    """Half of left plus right, after ITU-R BS.775's downmix where there are more; the plain mean of others."""
    if len(block.channels) > 2 and all(name in STEREO for name in block.channels):
        weights = np.array([sum(STEREO[name]) / 2 for name in block.channels], np.float32)
        return np.asarray(weights @ block.samples, np.float32)
    return block.mono


def _fade(samples: NDArray[np.float32], rate: int) -> None:
    for seconds, part in ((_FADE_IN, samples), (_FADE_OUT, samples[::-1])):
        n = min(round(seconds * rate), len(samples) // 4)
        part[:n] *= np.sin(np.linspace(0, np.pi / 2, n, endpoint=False), dtype=np.float32) ** 2
