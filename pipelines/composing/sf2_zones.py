"""A zone of a sound font: one sample as it sounds over keys and velocities, resolved from generators and modulators.

Reading the file is sf2.py's, playing sampler.py's. Numbers are those of the SoundFont Technical Specification 2.04.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 1 << 40  # end of a packed sample that nobody has decoded yet
PACKED = 0x10  # a sample's kind in SF3: Ogg Vorbis
# Generators by their numbers in the specification, 8.1.2.
INSTRUMENT, _KEYS, _VELOCITIES, SAMPLE_ID = 41, 43, 44, 53
_DEFAULTS = {8: 13500, 21: -12000, 23: -12000, 56: 100, 58: -1, 46: -1, 47: -1, **dict.fromkeys(range(25, 29), -12000),
             30: -12000, **dict.fromkeys(range(33, 37), -12000), 38: -12000}  # fmt: skip
CUTOFF, TO_CUTOFF, ATTENUATION = 8, 11, 48
MODULATED = (CUTOFF, TO_CUTOFF, ATTENUATION)
OPEN = 19_913.0  # Hz: a filter that does nothing, 13,500 cents
# Velocity to loudness, 8.4.1: concave and falling, 96 dB. The one to the filter (8.4.2) is left out, as players do.
DEFAULT_MODULATORS = {(0x0502, ATTENUATION): 960}
_ONLY_INSTRUMENT = {0, 1, 2, 3, 4, 12, 45, 46, 47, 50, 54, 57, 58}  # these a preset cannot add to


@dataclass(frozen=True, slots=True)
class Envelope:
    """Seconds, but ``sustain``: dB below the peak for loudness, a share of the peak for modulation."""

    delay: float
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float


@dataclass(frozen=True, slots=True)
class Zone:
    """One sample as it sounds over a range of keys and velocities (both ends belong to it)."""

    keys: tuple[int, int]
    velocities: tuple[int, int]
    sample: int  # index
    start: int  # within the file's samples (SF2), or within the decoded sample (SF3)
    end: int
    loop: tuple[int, int] | None
    rate: int
    root: float  # key at which the sample plays as it is, tuning taken in
    scale: float  # cents a key
    attenuation: float  # dB
    pan: float  # -1 left .. 1 right
    loudness: Envelope
    modulation: Envelope
    to_pitch: float  # cents at the modulation envelope's peak
    to_cutoff: float
    cutoff: float  # Hz
    resonance: float  # dB
    vibrato: tuple[float, float, float]  # cents, Hz, s of delay
    hold_by_key: float  # timecents a key below 60
    decay_by_key: float
    exclusive: int  # 0: none; else a new note ends those of its class
    fixed_key: int  # -1: the note's
    modulators: tuple[tuple[int, int, int], ...]  # source, target (cutoff in cents or attenuation in cB), amount

    def modulated(self, pitch: int, velocity: int) -> tuple[float, float, float]:
        """For a note: cutoff in Hz, cents that the modulation envelope adds to it at its peak, attenuation in dB."""
        added = dict.fromkeys(MODULATED, 0.0)
        for source, target, amount in self.modulators:
            added[target] += _curve(source, (velocity if source & 0x7F == 2 else pitch) / 127) * amount
        cutoff = float(np.clip(self.cutoff * 2 ** (added[CUTOFF] / 1200), 20.0, OPEN))
        return cutoff, self.to_cutoff + added[TO_CUTOFF], max(0.0, self.attenuation + added[ATTENUATION] / 10)


def resolve(
    own: dict[int, int],
    added: dict[int, int],
    modulators: tuple[tuple[int, int, int], ...],
    headers: NDArray[np.void],
    n_samples: int,
) -> Zone | None:
    """The zone of an instrument's generators ``own`` with the preset's ``added`` (specification, 9.4); None where
    nothing can sound. ``headers``: the file's SAMPLE records but the last; ``n_samples`` in the file."""

    def value(kind: int) -> int:
        base = own.get(kind, _DEFAULTS.get(kind, 0))
        return base if kind in _ONLY_INSTRUMENT else base + added.get(kind, 0)

    keys, velocities = (
        (max(a[0], b[0]), min(a[1], b[1]))
        for a, b in ((_range(own, kind), _range(added, kind)) for kind in (_KEYS, _VELOCITIES))
    )
    index = own[SAMPLE_ID] & 0xFFFF
    if keys[0] > keys[1] or velocities[0] > velocities[1] or index >= len(headers):
        return None
    sample = headers[index]
    if int(sample["kind"]) & 0x8000:  # in a synthesiser's ROM
        return None
    places = _places(sample, value, n_samples)
    if places is None:
        return None
    start, end, loop = places
    root = value(58) if 0 <= value(58) <= 127 else int(sample["root"]) if sample["root"] <= 127 else 60
    tuning = value(51) + (value(52) + int(sample["correction"])) / 100
    return Zone(
        keys, velocities, index, start, end, loop, int(np.clip(sample["rate"], 400, 192_000)),
        root=root - tuning * 100 / max(1, value(56)) if value(56) else root - tuning,
        scale=value(56),
        # The EMU hardware that fonts were made for takes 0.4 of what is written; players follow it.
        attenuation=0.04 * max(0, value(48)),
        pan=float(np.clip(value(17) / 500, -1, 1)),
        loudness=_envelope([value(k) for k in range(33, 39)], float(np.clip(value(37) / 10, 0, 144))),
        modulation=_envelope([value(k) for k in range(25, 31)], float(1 - np.clip(value(29), 0, 1000) / 1000)),
        to_pitch=value(7), to_cutoff=value(11),
        cutoff=8.176 * 2 ** (np.clip(value(8), 1500, 13500) / 1200),
        resonance=float(np.clip(value(9) / 10, 0, 96)),
        vibrato=(value(6), 8.176 * 2 ** (np.clip(value(24), -16000, 4500) / 1200), _seconds(value(23))),
        hold_by_key=value(39), decay_by_key=value(40), exclusive=value(57),
        fixed_key=value(46) if 0 <= value(46) <= 127 else -1, modulators=modulators,
    )  # fmt: skip


def _places(
    sample: np.void, value: Callable[[int], int], n_samples: int
) -> tuple[int, int, tuple[int, int] | None] | None:
    packed = bool(int(sample["kind"]) & PACKED)
    # A packed sample is decoded only when it sounds; how long it is comes out then.
    size = UNKNOWN if packed else n_samples
    origin = 0 if packed else int(sample["start"])
    start = origin + value(0) + 32768 * value(4)
    end = size if packed else int(sample["end"]) + value(1) + 32768 * value(12)
    loop_start = int(sample["loop_start"]) + value(2) + 32768 * value(45)
    loop_end = int(sample["loop_end"]) + value(3) + 32768 * value(50)
    start, end = max(0, start), min(size, max(end, loop_end if value(54) & 1 else end))
    if end - start < 2:
        return None
    looped = bool(value(54) & 1) and start <= loop_start and loop_start + 2 <= loop_end <= end
    return start, end, (loop_start - start, loop_end - start) if looped else None


def _range(generators: dict[int, int], kind: int) -> tuple[int, int]:
    both = generators.get(kind, 0x7F00) & 0xFFFF
    return both & 0xFF, min(127, both >> 8)


def _seconds(timecents: int) -> float:
    return 0.0 if timecents <= -12000 else float(2 ** (min(timecents, 8000) / 1200))


def _envelope(stages: list[int], own_sustain: float) -> Envelope:
    delay, attack, hold, decay, _, release = (_seconds(stage) for stage in stages)
    return Envelope(delay, attack, hold, decay, own_sustain, release)


def _curve(source: int, x: float) -> float:
    """A modulator's source (8.2) at ``x`` 0..1: falling, bipolar, and its shape in decibels or straight."""
    x = 1 - x if source & 0x100 else x
    shape = source >> 10
    if shape == 1:
        y = min(1.0, -40 / 96 * float(np.log10(max(1e-9, 1 - x))))
    elif shape == 2:
        y = max(0.0, 1 + 40 / 96 * float(np.log10(max(1e-9, x))))
    else:
        y = float(x >= 0.5) if shape == 3 else x
    return 2 * y - 1 if source & 0x200 else y
