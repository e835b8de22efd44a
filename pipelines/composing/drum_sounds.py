"""The built-in font's drums: each a few dying tones and bands of noise, by General MIDI's percussion map.

How timbres with a pitch are made is timbres.py's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 32_000


@dataclass(frozen=True, slots=True)
class Tone:
    hz: float
    decay: float  # s to -60 dB
    level: float = 1.0
    sweep: float = 0.0  # octaves that it falls by ...
    within: float = 0.03  # ... in so many seconds, about


@dataclass(frozen=True, slots=True)
class Noise:
    low: float  # Hz
    high: float
    decay: float  # s to -60 dB
    level: float = 1.0
    strokes: tuple[float, ...] = (0.0,)  # s: each begins anew


@dataclass(frozen=True, slots=True)
class Drum:
    key: int
    name: str
    tones: tuple[Tone, ...] = ()
    noises: tuple[Noise, ...] = ()
    level: float = 0.8
    exclusive: int = 0


def _metal(base: float, decay: float, level: float) -> tuple[Tone, ...]:
    """Inharmonic partials of a plate."""
    ratios = (1.0, 1.483, 1.932, 2.546, 2.63, 3.897, 4.61, 5.49)
    return tuple(Tone(base * r, decay / r**0.3, level / len(ratios) ** 0.5) for r in ratios)


def _skin(hz: float, decay: float, snap: float = 0.25) -> tuple[tuple[Tone, ...], tuple[Noise, ...]]:
    tones = (
        Tone(hz, decay, 1.0, 0.35, 0.04),
        Tone(hz * 1.59, decay * 0.6, 0.45, 0.2, 0.04),
        Tone(hz * 2.14, decay * 0.4, 0.2),
    )
    return tones, (Noise(hz * 4, 6000, 0.05, snap),)


def _toms() -> tuple[Drum, ...]:
    keys = ((41, "Low Floor Tom", 78), (43, "High Floor Tom", 92), (45, "Low Tom", 108), (47, "Low-Mid Tom", 128),
            (48, "Hi-Mid Tom", 150), (50, "High Tom", 178))  # fmt: skip
    return tuple(Drum(key, name, *_skin(hz, 0.75), 0.8) for key, name, hz in keys)


def _hands() -> tuple[Drum, ...]:
    keys = ((60, "High Bongo", 420, 0.18), (61, "Low Bongo", 310, 0.22), (62, "Mute Conga", 330, 0.09),
            (63, "Open High Conga", 270, 0.35), (64, "Low Conga", 200, 0.4), (65, "High Timbale", 520, 0.4),
            (66, "Low Timbale", 380, 0.45))  # fmt: skip
    return tuple(Drum(key, name, *_skin(hz, decay, 0.3), 0.7) for key, name, hz, decay in keys)


KIT: tuple[Drum, ...] = (
    Drum(35, "Bass Drum 2", (Tone(46, 0.6, 1.0, 1.3, 0.03),), (Noise(1500, 5000, 0.015, 0.15),), 0.95),
    Drum(36, "Bass Drum 1", (Tone(52, 0.45, 1.0, 1.6, 0.025),), (Noise(2000, 7000, 0.02, 0.25),), 0.95),
    Drum(37, "Side Stick", (Tone(820, 0.06), Tone(1710, 0.04, 0.6)), (Noise(1800, 8000, 0.03, 0.6),), 0.6),
    Drum(38, "Snare", (Tone(186, 0.22, 0.8, 0.3), Tone(331, 0.14, 0.4, 0.2)), (Noise(900, 11_000, 0.28, 0.8),), 0.85),
    Drum(39, "Hand Clap", (),
         (Noise(900, 6000, 0.05, 0.8, (0.0, 0.011, 0.021)), Noise(900, 5000, 0.25, 0.6, (0.03,))), 0.75),
    Drum(40, "Electric Snare", (Tone(210, 0.16, 0.9, 0.5),), (Noise(1500, 14_000, 0.22, 0.9),), 0.85),
    *_toms(),
    Drum(42, "Closed Hi-hat", _metal(3300, 0.09, 0.25), (Noise(7000, 15_000, 0.14, 0.9),), 0.5, 1),
    Drum(44, "Pedal Hi-hat", _metal(3000, 0.06, 0.25), (Noise(5500, 14_000, 0.13, 0.8),), 0.45, 1),
    Drum(46, "Open Hi-hat", _metal(3300, 0.6, 0.3), (Noise(6500, 15_000, 0.75, 0.8),), 0.42, 1),
    Drum(49, "Crash Cymbal 1", _metal(1900, 1.8, 0.3), (Noise(3000, 15_000, 2.1, 0.8),), 0.62),
    Drum(51, "Ride Cymbal 1", _metal(2350, 1.5, 0.5), (Noise(5000, 14_000, 1.1, 0.35),), 0.45),
    Drum(52, "Chinese Cymbal", _metal(1400, 1.1, 0.5), (Noise(2000, 13_000, 1.2, 0.8),), 0.55),
    Drum(53, "Ride Bell", (Tone(1050, 1.4), Tone(2130, 1.0, 0.6), *_metal(2900, 0.9, 0.3)), (), 0.45),
    Drum(54, "Tambourine", _metal(4200, 0.2, 0.4), (Noise(6000, 15_000, 0.22, 0.7, (0.0, 0.03)),), 0.45),
    Drum(55, "Splash Cymbal", _metal(2600, 0.8, 0.3), (Noise(4500, 15_000, 0.8, 0.8),), 0.5),
    Drum(56, "Cowbell", (Tone(545, 0.35, 0.8), Tone(815, 0.3, 0.8), Tone(1640, 0.15, 0.3)), (), 0.5),
    Drum(57, "Crash Cymbal 2", _metal(2150, 1.6, 0.3), (Noise(3500, 15_000, 1.8, 0.8),), 0.6),
    Drum(58, "Vibraslap", (), (Noise(2200, 5000, 0.09, 0.8, tuple(0.028 * i for i in range(16))),), 0.45),
    Drum(59, "Ride Cymbal 2", _metal(2500, 1.4, 0.5), (Noise(5500, 14_000, 1.0, 0.4),), 0.45),
    *_hands(),
    Drum(67, "High Agogo", (Tone(940, 0.4), Tone(2470, 0.25, 0.5)), (), 0.45),
    Drum(68, "Low Agogo", (Tone(650, 0.4), Tone(1710, 0.25, 0.5)), (), 0.45),
    Drum(69, "Cabasa", (), (Noise(6000, 14_000, 0.09, 0.8, (0.0, 0.02, 0.04)),), 0.4),
    Drum(70, "Maracas", (), (Noise(5000, 13_000, 0.06, 0.9),), 0.38),
    Drum(71, "Short Whistle", (Tone(2350, 0.25), Tone(2420, 0.25, 0.7)), (), 0.35, 2),
    Drum(72, "Long Whistle", (Tone(2350, 0.8), Tone(2420, 0.8, 0.7)), (), 0.35, 2),
    Drum(73, "Short Guiro", (), (Noise(2500, 8000, 0.02, 0.9, tuple(0.012 * i for i in range(8))),), 0.4, 3),
    Drum(74, "Long Guiro", (), (Noise(2500, 8000, 0.02, 0.9, tuple(0.018 * i for i in range(24))),), 0.4, 3),
    Drum(75, "Claves", (Tone(2500, 0.08), Tone(5020, 0.04, 0.3)), (), 0.55),
    Drum(76, "High Wood Block", (Tone(1080, 0.09), Tone(2310, 0.05, 0.5)), (Noise(800, 4000, 0.02, 0.3),), 0.55),
    Drum(77, "Low Wood Block", (Tone(720, 0.11), Tone(1580, 0.06, 0.5)), (Noise(600, 3000, 0.02, 0.3),), 0.55),
    Drum(78, "Mute Cuica", (Tone(640, 0.16, 1.0, -0.4, 0.06), Tone(1290, 0.1, 0.4, -0.4, 0.06)), (), 0.5, 4),
    Drum(79, "Open Cuica", (Tone(420, 0.4, 1.0, 0.5, 0.12), Tone(850, 0.3, 0.4, 0.5, 0.12)), (), 0.5, 4),
    Drum(80, "Mute Triangle", (Tone(4120, 0.15), Tone(6330, 0.12, 0.6)), (), 0.4, 5),
    Drum(81, "Open Triangle", (Tone(4120, 1.8), Tone(6330, 1.3, 0.6), Tone(8740, 0.9, 0.3)), (), 0.4, 5),
)  # fmt: skip


def sound(drum: Drum) -> NDArray[np.float32]:
    """float32 [n] at RATE, its highest sample at the drum's level. The same each time."""
    rng = np.random.default_rng(drum.key)
    longest = max([t.decay for t in drum.tones] + [n.decay + n.strokes[-1] for n in drum.noises])
    n = int((longest + 0.02) * RATE)
    t = np.arange(n) / RATE
    out = np.zeros(n)
    for tone in drum.tones:
        octaves = tone.sweep * np.exp(-t / tone.within)
        phase = 2 * np.pi * np.cumsum(tone.hz * 2**octaves) / RATE
        out += tone.level * np.sin(phase) * 10 ** (-3 * t / tone.decay)
    for noise in drum.noises:
        white = rng.standard_normal(n)
        spectrum, hz = np.fft.rfft(white), np.fft.rfftfreq(n, 1 / RATE)
        band = 1 / np.sqrt((1 + (noise.low / np.maximum(hz, 1)) ** 6) * (1 + (hz / noise.high) ** 6))
        wave = np.fft.irfft(spectrum * band, n)
        wave /= np.abs(wave).max()
        for start in noise.strokes:
            at = int(start * RATE)
            out[at:] += noise.level * wave[: n - at] * 10 ** (-3 * t[: n - at] / noise.decay)
    # Below -50 dB it is under everything else.
    out = out[: int((0.85 * longest + 0.02) * RATE)]
    out[-256:] *= np.linspace(1, 0, 256)
    return np.asarray(out * (drum.level / np.abs(out).max()), np.float32)
