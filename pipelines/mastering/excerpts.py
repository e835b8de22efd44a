"""The sounds that recipes describe: a mix as it was meant and as it came, and a pair of stems.

A process decodes a source once and keeps it, since its recipes all draw on the same few pieces.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.mastering.degrading import Samples, apply
from pipelines.mastering.recipes import Mix, Pair, Recording

RATE = 44_100  # Hz of every excerpt, so that features of all have the same bands
_VOCAL = (250.0, 4000.0)  # Hz, where a voice lies
_SILENT = 1e-4  # peak


def mix(recipe: Mix) -> tuple[Samples, Samples]:
    """([2, n] as it was meant, [2, n] as it came). BadInput when the passage is silent or its file has changed."""
    meant = apply(recipe.character, _excerpt(recipe.recording, recipe.start, recipe.seconds), RATE)
    return meant, apply(recipe.damage, meant, RATE)


def pair(recipe: Pair) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """([n] instrumental, [n] vocal), both mono. BadInput when a passage is silent or its file has changed."""
    inst = _excerpt(recipe.inst, recipe.inst_start, recipe.seconds)
    vocal = _excerpt(recipe.vocal, recipe.vocal_start, recipe.seconds)
    bleed = np.float32(10 ** (recipe.bleed_db / 20))
    rest, voice = _split(recipe.split, inst)
    _, sung = _split(recipe.split, vocal)
    backing = apply(recipe.inst_changes, rest + bleed * voice, RATE)
    return backing[0], apply(recipe.vocal_changes, sung, RATE)[0]


def _split(how: str, samples: Samples) -> tuple[Samples, Samples]:
    """([1, n] the rest, [1, n] the voice) of a stereo sound."""
    middle = samples.mean(axis=0, dtype=np.float32)[None]
    if how == "copy":
        return middle, middle
    voice = _voiced(middle)
    if how == "bands" or len(samples) == 1:
        return middle - voice, voice
    return (samples[:1] - samples[1:2]) / 2 + (middle - voice) / 2, voice


def _voiced(samples: Samples) -> Samples:
    from scipy.signal import butter, sosfiltfilt

    return np.asarray(sosfiltfilt(butter(2, _VOCAL, "bandpass", fs=RATE, output="sos"), samples, axis=1), np.float32)


def _excerpt(recording: Recording, start: float, seconds: float) -> Samples:
    """[2, n] at `RATE`."""
    whole = _decoded(recording.path, recording.content_hash)
    first = round(start * RATE)
    samples = whole[:, first : first + round(seconds * RATE)]
    if np.abs(samples).max(initial=0.0) < _SILENT:
        raise BadInput(recording.name, f"is silent from {start:.1f} s on", "nothing needs doing; the item is left out")
    return samples


@lru_cache(maxsize=8)
def _decoded(path: Path, content_hash: str) -> Samples:
    """[2, n] at `RATE`, read-only."""
    from pipelines.media import hashing
    from pipelines.media.audio import decode

    if hashing.content_hash(path) != content_hash:
        raise BadInput(path, "has changed since its recipes were drawn", "generate the corpus again")
    audio = decode(path)
    samples = np.repeat(audio.samples, 2, axis=0) if len(audio.samples) == 1 else audio.samples[:2]
    if audio.sample_rate != RATE:
        from math import gcd

        from scipy.signal import resample_poly

        shared = gcd(audio.sample_rate, RATE)
        samples = resample_poly(samples, RATE // shared, audio.sample_rate // shared, axis=1).astype(np.float32)
    samples.flags.writeable = False
    return samples
