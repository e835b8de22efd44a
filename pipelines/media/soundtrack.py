"""A stretch of a song as the stereo sound of a video: 48 kHz, exact to the sample, faded at both ends.

Decoding is audio.py's, encoding encoding.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.media.audio import Audio, stream
from pipelines.media.encoding import SAMPLE_RATE

FADE_IN = 0.005  # s; long enough that no click is heard, short enough that no attack is lost
FADE_OUT = 0.03
MISSING = 0.1  # s that a song may end early and silence takes over
SIDE = math.sqrt(0.5)  # ITU-R BS.775-4, table 2: centre and surrounds at -3 dB, low-frequency effects left out
STEREO = {
    "FL": (1.0, 0.0), "FR": (0.0, 1.0), "FC": (SIDE, SIDE), "LFE": (0.0, 0.0),
    "BL": (SIDE, 0.0), "SL": (SIDE, 0.0), "BR": (0.0, SIDE), "SR": (0.0, SIDE), "BC": (0.5, 0.5),
}  # fmt: skip
UNNAMED = ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR")  # what six or eight channels without names are, as in WAV


def cut_song(path: Path, start: float, seconds: Fraction) -> NDArray[np.float32]:
    """float32 [2, n], n = ``seconds`` at 48 kHz rounded, from ``start`` s of the song on.

    More than two channels are mixed down and, only if that would clip, lowered as a whole. Raises BadInput when the
    song ends before.
    """
    wanted = round(seconds * SAMPLE_RATE)
    samples, rate = _taken(path, start, float(seconds))
    if samples.shape[1] < (float(seconds) - MISSING) * rate:
        reason = f"ends {float(seconds) - samples.shape[1] / rate:.1f} s before the edit does"
        raise BadInput(path, reason, "make the edit shorter or start it earlier in the song")
    samples = _resampled(samples, rate)[:, :wanted]
    samples = np.pad(samples, ((0, 0), (0, wanted - samples.shape[1])))
    for count, part in (
        (round(FADE_IN * SAMPLE_RATE), slice(None)),
        (round(FADE_OUT * SAMPLE_RATE), slice(None, None, -1)),
    ):
        count = min(count, wanted)
        samples[:, part][:, :count] *= np.sin(np.linspace(0, np.pi / 2, count, endpoint=False), dtype=np.float32) ** 2
    return samples


def _taken(path: Path, start: float, seconds: float) -> tuple[NDArray[np.float32], int]:
    """Decoded from the beginning, since a seek in a compressed song is not exact, and only as far as needed."""
    blocks: list[NDArray[np.float32]] = []
    position, rate = 0, 0
    for block in _until(path, start + seconds + MISSING):
        rate = block.sample_rate
        first = round(start * rate)
        begin, end = max(0, first - position), block.samples.shape[1]
        if begin < end:
            blocks.append(_stereo(block)[:, begin:])
        position += end
    samples = np.concatenate(blocks, axis=1) if blocks else np.zeros((2, 0), np.float32)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > 1.0:
        samples /= peak
    return samples, rate


def _until(path: Path, seconds: float) -> Iterator[Audio]:
    position = 0
    for block in stream(path):
        yield block
        position += block.samples.shape[1]
        if position >= seconds * block.sample_rate:
            return


def _stereo(block: Audio) -> NDArray[np.float32]:
    if len(block.channels) == 1:
        return np.repeat(block.samples, 2, axis=0)
    names = block.channels
    if any(name not in STEREO for name in names):
        if len(names) not in (6, 8):  # in turn left and right
            return np.stack([block.samples[0::2].mean(axis=0), block.samples[1::2].mean(axis=0)])
        names = UNNAMED[: len(names)]
    matrix = np.array([STEREO[name] for name in names], np.float32).T
    return np.asarray(matrix @ block.samples, np.float32)


def _resampled(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    if rate == SAMPLE_RATE:
        return samples
    import av

    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=SAMPLE_RATE)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
    frame.sample_rate = rate
    out = [f.to_ndarray() for f in (*resampler.resample(frame), *resampler.resample(None))]
    return np.asarray(np.concatenate(out, axis=1), np.float32)
