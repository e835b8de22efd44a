"""The built-in font's pitched sounds: partials that die and loop, some for each family of General MIDI's instruments.

A sketch of each instrument, made in seconds and small, so that an arrangement can be heard where no sound font is
installed. Drums are drum_sounds.py's; which program takes which sound is told by PROGRAMS.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

RATE = 28_000
_HIGHEST = 12_500.0  # Hz of a partial
_LEVEL = 0.16  # RMS of every wave


@dataclass(frozen=True, slots=True)
class Timbre:
    """A head in which upper partials die away, then a loop of whole periods in which nothing changes any more."""

    name: str
    tilt: float = -6.0  # dB an octave of the partials
    even: float = 0.0  # dB of the even ones: a closed pipe or a clarinet has them low
    formants: tuple[tuple[float, float, float], ...] = ()  # Hz, width in octaves, dB
    ratios: tuple[tuple[float, float, float], ...] = ()  # instead: ratio, level, s to -60 dB against the rest
    stretch: float = 0.0  # inharmonicity B: partial k lies at k sqrt(1 + B k²)
    pluck: float = 0.0  # where along the string, 0..0.5; its partials' nodes are missing
    fade: float = 0.0  # dB a second and partial by which upper ones die faster than the first
    voices: tuple[float, ...] = (0.0,)  # cents of each player
    breath: float = 0.0  # noise that goes on, against the tone
    knock: tuple[float, float, float] = (0.0, 1000.0, 0.03)  # of the beginning: level, Hz, s to -60 dB
    drive: float = 0.0  # how hard it is distorted
    attack: float = 0.01  # s
    decay: float = 0.0  # s to -60 dB of the whole; 0: it goes on
    release: float = 0.25  # s to -60 dB
    vibrato: tuple[float, float, float] = (0.0, 5.2, 0.4)  # cents, Hz, s of delay
    head: float = 0.12  # s
    loop: float = 0.4  # s
    roots: tuple[int, ...] = (43, 55, 67, 79, 91)


_AH = ((700, 0.5, 10.0), (1150, 0.4, 7.0), (2800, 0.5, 6.0))
_OO = ((320, 0.6, 12.0), (800, 0.5, 6.0))
_BODY = ((290, 0.4, 5.0), (520, 0.4, 5.0), (1300, 0.8, 4.0), (2700, 0.6, 6.0))
_ENSEMBLE = (-9.0, -4.0, 0.0, 5.0, 8.0)
_BASS = (28, 40, 52)

TIMBRES: tuple[Timbre, ...] = (
    Timbre("Piano", -7, stretch=3e-4, pluck=0.12, fade=2.6, voices=(-0.7, 0.8), knock=(0.10, 900, 0.05), attack=0.002,
           decay=9, release=0.35, head=0.9, loop=0.25, roots=(33, 45, 57, 69, 81, 93)),
    Timbre("Electric Piano", ratios=((1, 1, 99), (2, 0.25, 5), (3, 0.1, 3), (4, 0.05, 2), (14, 0.12, 0.35)),
           knock=(0.03, 2500, 0.02), attack=0.003, decay=7, release=0.3, roots=(40, 58, 76), head=0.5, loop=0.2),
    Timbre("Harpsichord", -3, pluck=0.1, fade=0.9, knock=(0.06, 4000, 0.02), attack=0.001, decay=4.5, release=0.2,
           roots=(40, 55, 70), head=0.5, loop=0.2),
    Timbre("Bell", ratios=((1, 1, 99), (2.76, 0.5, 1.6), (5.4, 0.25, 0.8), (8.93, 0.12, 0.4)), attack=0.001, decay=4,
           release=1.5, roots=(60, 78, 96), head=0.5, loop=0.2),
    Timbre("Bars", ratios=((1, 1, 99), (3.93, 0.35, 0.45), (9.2, 0.15, 0.2)), knock=(0.15, 1200, 0.02), attack=0.001,
           decay=0.9, release=0.4, roots=(48, 66, 84), head=0.4, loop=0.1),
    Timbre("Vibraphone", ratios=((1, 1, 99), (4, 0.3, 1.2), (10, 0.08, 0.4)), attack=0.002, decay=5, release=0.8,
           roots=(53, 77), head=0.5, loop=0.2),
    Timbre("Tubular Bells", ratios=((0.5, 0.25, 99), (1, 1, 99), (1.5, 0.5, 4), (2.0, 0.45, 3), (2.66, 0.3, 1.6),
           (3.4, 0.2, 1.0)), attack=0.001, decay=6, release=1.5, roots=(55, 70), head=0.5, loop=0.2),
    Timbre("Dulcimer", -4, stretch=2e-4, pluck=0.15, fade=1.6, voices=(-3, 3), knock=(0.1, 2500, 0.02), attack=0.001,
           decay=4, release=0.5, roots=(50, 70), head=0.5, loop=0.2),
    Timbre("Organ", ratios=((0.5, 0.5, 99), (1, 1, 99), (1.5, 0.4, 99), (2, 0.6, 99), (3, 0.3, 99), (4, 0.3, 99),
           (6, 0.12, 99), (8, 0.15, 99)), attack=0.006, release=0.06, voices=(-2, 2), head=0.05),
    Timbre("Church Organ", -2, ratios=((0.5, 0.6, 99), (1, 1, 99), (2, 0.8, 99), (3, 0.3, 99), (4, 0.55, 99),
           (6, 0.2, 99), (8, 0.3, 99), (12, 0.1, 99)), attack=0.05, release=0.35, voices=(-4, 0, 4), breath=0.01),
    Timbre("Reed Organ", -4, formants=((900, 0.8, 6), (2400, 0.6, 4)), attack=0.05, release=0.12, voices=(-6, 6)),
    Timbre("Nylon Guitar", -7, pluck=0.22, fade=2.4, knock=(0.08, 500, 0.03), attack=0.002, decay=4, release=0.25,
           roots=(40, 52, 64, 76), head=0.5, loop=0.2),
    Timbre("Steel Guitar", -4.5, stretch=5e-5, pluck=0.14, fade=1.5, knock=(0.06, 2500, 0.02), attack=0.001, decay=5,
           release=0.25, roots=(40, 52, 64, 76), head=0.5, loop=0.2),
    Timbre("Electric Guitar", -6, pluck=0.27, fade=1.0, formants=((1800, 0.7, 5),), knock=(0.03, 1500, 0.02),
           attack=0.002, decay=7, release=0.2, roots=(40, 56, 72), head=0.5, loop=0.2),
    Timbre("Muted Guitar", -8, pluck=0.2, fade=8, knock=(0.2, 700, 0.03), attack=0.001, decay=0.45, release=0.12,
           roots=(40, 56, 72), head=0.3, loop=0.1),
    Timbre("Distorted Guitar", -4, pluck=0.2, drive=6, formants=((900, 0.8, 4), (2500, 0.6, 5)), attack=0.004, decay=14,
           release=0.15, roots=(40, 56, 72), head=0.1),
    Timbre("Acoustic Bass", -9, pluck=0.2, fade=4, formants=((110, 0.6, 4), (700, 0.6, 4)), knock=(0.12, 400, 0.04),
           attack=0.004, decay=2.2, release=0.18, roots=_BASS, head=0.5, loop=0.2),
    Timbre("Electric Bass", -7, pluck=0.18, fade=2.2, formants=((700, 0.8, 4),), knock=(0.08, 1200, 0.02), attack=0.003,
           decay=4.5, release=0.15, roots=_BASS, head=0.5, loop=0.2),
    Timbre("Fretless Bass", -8, pluck=0.25, fade=1.0, formants=((450, 0.8, 6),), attack=0.02, decay=6, release=0.2,
           vibrato=(6, 4.5, 0.5), roots=_BASS, head=0.5, loop=0.2),
    Timbre("Slap Bass", -4, pluck=0.08, fade=1.8, knock=(0.3, 3000, 0.02), attack=0.001, decay=3, release=0.12,
           roots=_BASS, head=0.5, loop=0.2),
    Timbre("Synth Bass", -5, fade=1.0, attack=0.002, decay=6, release=0.1, voices=(-4, 4), roots=_BASS,
           head=0.5, loop=0.2),
    Timbre("Violin", -5, formants=_BODY, attack=0.06, release=0.2, breath=0.006, vibrato=(14, 5.6, 0.25),
           roots=(55, 67, 79, 91)),
    Timbre("Cello", -5.5, formants=((180, 0.5, 5), (420, 0.5, 5), (1100, 0.8, 3)), attack=0.08, release=0.25,
           breath=0.006, vibrato=(12, 5.0, 0.3), roots=(36, 48, 60, 72)),
    Timbre("Pizzicato", -8, pluck=0.25, fade=6, formants=_BODY, knock=(0.1, 600, 0.03), attack=0.002, decay=0.8,
           release=0.3, roots=(43, 60, 77), head=0.4, loop=0.1),
    Timbre("Harp", -8, pluck=0.35, fade=2.2, knock=(0.05, 700, 0.03), attack=0.002, decay=4, release=0.9,
           roots=(36, 52, 68, 84), head=0.5, loop=0.2),
    Timbre("Timpani", ratios=((1, 1, 99), (1.5, 0.6, 1.2), (1.98, 0.35, 0.9), (2.44, 0.2, 0.6)),
           knock=(0.3, 300, 0.06), attack=0.002, decay=2.2, release=0.9, roots=(40, 52), head=0.5, loop=0.2),
    Timbre("Strings", -5.5, formants=_BODY, attack=0.14, release=0.45, voices=_ENSEMBLE, breath=0.008, loop=0.6,
           roots=(36, 48, 60, 72, 84)),
    Timbre("Synth Strings", -6, attack=0.2, release=0.6, voices=(-12, -5, 5, 12), loop=0.6, roots=(40, 58, 76)),
    Timbre("Choir", -8, formants=_AH, attack=0.11, release=0.35, voices=(-8, -3, 3, 9), breath=0.012,
           vibrato=(8, 5.1, 0.4), loop=0.6, roots=(41, 48, 55, 62, 69, 76, 83)),
    Timbre("Oohs", -11, formants=_OO, attack=0.11, release=0.35, voices=(-7, 0, 7), breath=0.01,
           vibrato=(8, 5.0, 0.4), loop=0.6, roots=(41, 53, 65, 77)),
    Timbre("Orchestra Hit", -4, attack=0.003, decay=0.9, release=0.3, fade=2, voices=(-10, 0, 10),
           knock=(0.4, 400, 0.1), roots=(48, 66), head=0.5, loop=0.2),
    Timbre("Trumpet", -4, formants=((1300, 0.9, 9), (2700, 0.7, 5)), attack=0.035, release=0.12,
           vibrato=(5, 5.3, 0.5), roots=(55, 67, 79)),
    Timbre("Trombone", -5, formants=((550, 0.8, 7), (1600, 0.8, 4)), attack=0.05, release=0.14, roots=(36, 48, 60)),
    Timbre("Muted Trumpet", -3, formants=((1900, 0.5, 12),), attack=0.03, release=0.1, roots=(55, 67, 79)),
    Timbre("Horn", -9, formants=((400, 0.9, 7),), attack=0.06, release=0.2, roots=(38, 50, 62, 74)),
    Timbre("Brass", -4.5, formants=((800, 0.9, 6), (1900, 0.8, 5)), attack=0.04, release=0.16, voices=(-6, 0, 6),
           roots=(43, 57, 71)),
    Timbre("Saxophone", -4.5, formants=((650, 0.7, 5), (1500, 0.7, 5)), attack=0.035, release=0.12, breath=0.012,
           vibrato=(9, 5.0, 0.4), roots=(44, 58, 72)),
    Timbre("Oboe", -4, formants=((1050, 0.5, 10), (2900, 0.5, 6)), attack=0.035, release=0.1, vibrato=(7, 5.4, 0.4),
           roots=(58, 70, 82)),
    Timbre("Bassoon", -5, formants=((470, 0.5, 9), (1200, 0.5, 4)), attack=0.04, release=0.12, roots=(36, 50, 64)),
    Timbre("Clarinet", -6, even=-22, formants=((1500, 0.8, 4),), attack=0.04, release=0.12, roots=(50, 64, 78)),
    Timbre("Flute", -13, formants=((900, 0.8, 3),), breath=0.03, attack=0.05, release=0.15, vibrato=(9, 5.1, 0.35),
           roots=(60, 72, 84, 96)),
    Timbre("Recorder", -15, even=-6, breath=0.012, attack=0.03, release=0.1, roots=(60, 76, 92)),
    Timbre("Pan Flute", -14, even=-10, breath=0.08, knock=(0.2, 1500, 0.08), attack=0.04, release=0.15, roots=(60, 80)),
    Timbre("Square Lead", -6, even=-60, voices=(-3, 3), attack=0.005, release=0.1, roots=(48, 66, 84)),
    Timbre("Saw Lead", -6, voices=(-8, 0, 8), attack=0.005, release=0.12, loop=0.6, roots=(48, 66, 84)),
    Timbre("Warm Pad", -10, voices=(-10, -4, 4, 10), attack=0.35, release=0.9, loop=0.7, roots=(43, 61, 79)),
    Timbre("Bright Pad", -5.5, voices=(-11, -4, 4, 11), attack=0.25, release=0.9, loop=0.7, breath=0.01,
           roots=(43, 61, 79)),
    Timbre("Sitar", -2.5, pluck=0.08, fade=0.7, formants=((2200, 0.6, 8),), attack=0.002, decay=4, release=0.4,
           roots=(48, 66), head=0.5, loop=0.2),
    Timbre("Banjo", -4, pluck=0.12, fade=4, formants=((1000, 0.7, 6),), knock=(0.15, 1500, 0.02), attack=0.001,
           decay=1.2, release=0.2, roots=(48, 62, 76), head=0.4, loop=0.1),
    Timbre("Koto", -5, pluck=0.12, fade=1.8, knock=(0.1, 2000, 0.02), attack=0.001, decay=3, release=0.5,
           roots=(48, 62, 76), head=0.5, loop=0.2),
    Timbre("Bagpipe", -2.5, formants=((1100, 0.5, 8), (2600, 0.5, 6)), attack=0.02, release=0.05, roots=(57, 72)),
    Timbre("Steel Drum", ratios=((1, 1, 99), (2.0, 0.7, 2.0), (3.01, 0.35, 0.9), (4.1, 0.2, 0.5)), attack=0.003,
           decay=1.6, release=0.5, knock=(0.08, 1500, 0.02), roots=(55, 75), head=0.5, loop=0.2),
    Timbre("Wood Block", ratios=((1, 1, 99), (2.4, 0.4, 0.3)), knock=(0.3, 1500, 0.02), attack=0.001, decay=0.18,
           release=0.1, roots=(60, 78), head=0.2, loop=0.1),
    Timbre("Taiko", ratios=((1, 1, 99), (1.59, 0.5, 0.6), (2.14, 0.3, 0.4)), knock=(0.5, 300, 0.06), attack=0.002,
           decay=1.1, release=0.6, roots=(40, 58), head=0.4, loop=0.2),
    Timbre("Wind", ratios=((1, 1, 99),), breath=6.0, attack=0.3, release=0.6, loop=0.7, roots=(60,)),
)  # fmt: skip

_SPANS = (
    (0, "Piano"), (4, "Electric Piano"), (6, "Harpsichord"), (8, "Bell"), (11, "Vibraphone"), (12, "Bars"),
    (14, "Tubular Bells"), (15, "Dulcimer"), (16, "Organ"), (19, "Church Organ"), (20, "Reed Organ"),
    (24, "Nylon Guitar"), (25, "Steel Guitar"), (26, "Electric Guitar"), (28, "Muted Guitar"),
    (29, "Distorted Guitar"), (31, "Electric Guitar"), (32, "Acoustic Bass"), (33, "Electric Bass"),
    (35, "Fretless Bass"), (36, "Slap Bass"), (38, "Synth Bass"), (40, "Violin"), (42, "Cello"), (44, "Strings"),
    (45, "Pizzicato"), (46, "Harp"), (47, "Timpani"), (48, "Strings"), (50, "Synth Strings"), (52, "Choir"),
    (53, "Oohs"), (55, "Orchestra Hit"), (56, "Trumpet"), (57, "Trombone"), (59, "Muted Trumpet"), (60, "Horn"),
    (61, "Brass"), (64, "Saxophone"), (68, "Oboe"), (70, "Bassoon"), (71, "Clarinet"), (72, "Flute"), (74, "Recorder"),
    (75, "Pan Flute"), (78, "Recorder"), (80, "Square Lead"), (81, "Saw Lead"), (88, "Warm Pad"), (90, "Bright Pad"),
    (91, "Choir"), (92, "Bright Pad"), (95, "Warm Pad"), (96, "Bright Pad"), (98, "Bell"), (99, "Bright Pad"),
    (104, "Sitar"), (105, "Banjo"), (107, "Koto"), (108, "Bars"), (109, "Bagpipe"), (110, "Violin"), (111, "Oboe"),
    (112, "Bell"), (114, "Steel Drum"), (115, "Wood Block"), (116, "Taiko"), (119, "Wind"), (123, "Recorder"),
    (124, "Bell"), (125, "Wind"), (128, ""),
)  # fmt: skip
PROGRAMS: tuple[str, ...] = tuple(name for (first, name), (last, _) in pairwise(_SPANS) for _ in range(first, last))


def wave(timbre: Timbre, root: int) -> tuple[NDArray[np.float32], float, tuple[int, int]]:
    """float32 [n] at RATE for the key ``root``, the Hz of its fundamental, and its loop.

    All partials are whole multiples of the loop's own frequency, so that it closes without a seam; the fundamental
    lies a few cents off for that, which the zone's tuning takes back.
    """
    rng = np.random.default_rng(root)
    n_loop, n_head = round(timbre.loop * RATE), round(timbre.head * RATE)
    grid = RATE / n_loop
    f0 = max(1, round(440 * 2 ** ((root - 69) / 12) / grid)) * grid
    n = n_head + n_loop
    t = np.arange(n, dtype=np.float32) / RATE
    dying = np.minimum(t, np.float32(timbre.head))  # beyond the head nothing changes
    out = np.zeros(n, np.float32)
    for ratio, level, loss in _partials(timbre, f0):
        for cents in timbre.voices:
            hz = max(1, round(f0 * ratio * 2 ** (cents / 1200) / grid)) * grid
            if hz < _HIGHEST:
                phase = np.float32(rng.uniform(0, 2 * np.pi) if len(timbre.voices) > 1 else 0.7 * ratio * ratio)
                partial = np.sin(np.float32(2 * np.pi * hz) * t + phase)
                out += np.float32(level) * partial * 10 ** (dying * np.float32(-loss / 20))
    out *= _LEVEL / max(1e-9, float(np.sqrt(np.mean(out[n_head:] ** 2))) if not timbre.decay else _rms(out))
    if timbre.drive:
        out = np.tanh(out * timbre.drive) * np.float32(_LEVEL * 1.5)
    if timbre.breath:
        out += timbre.breath * _LEVEL * _breath(rng, n_loop, n, f0)
    level, hz, dies = timbre.knock
    if level:
        out += level * _knock(rng, n, hz) * 10 ** (-3 * t / dies)
    peak = float(np.abs(out).max())
    return (out / max(1.0, peak / 0.98)).astype(np.float32), f0, (n_head, n)


def _rms(wave: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(wave[: RATE // 4] ** 2)))


def _partials(timbre: Timbre, f0: float) -> list[tuple[float, float, float]]:
    """(ratio, level, dB a second by which it dies faster than the whole)."""
    if timbre.ratios:
        return [(ratio, level, 0.0 if dies >= 99 else 60 / dies) for ratio, level, dies in timbre.ratios]
    found = []
    for k in range(1, min(60, int(_HIGHEST / f0)) + 1):
        hz = f0 * k
        level = timbre.tilt * np.log2(k) + (timbre.even if k % 2 == 0 else 0.0)
        level += sum(gain * np.exp(-((np.log2(hz / at) / width) ** 2)) for at, width, gain in timbre.formants)
        if timbre.pluck:
            level += 20 * np.log10(0.05 + abs(np.sin(np.pi * k * timbre.pluck)))
        if level > -70:
            ratio = k * np.sqrt(1 + timbre.stretch * k * k)
            # Upper strings lose their highs sooner.
            found.append((ratio, 10 ** (level / 20), timbre.fade * (k - 1) * (0.5 + f0 / 440)))
    return found


def _breath(rng: np.random.Generator, n_loop: int, n: int, f0: float) -> NDArray[np.float32]:
    """Noise around and above the note that repeats with the loop."""
    spectrum = np.exp(2j * np.pi * rng.random(n_loop // 2 + 1))
    hz = np.fft.rfftfreq(n_loop, 1 / RATE)
    noise = np.fft.irfft(spectrum * (hz / (hz + f0)) / (1 + (hz / 5000) ** 2), n_loop)
    noise /= np.sqrt(np.mean(noise**2))
    return np.roll(np.resize(noise, n), n % n_loop).astype(np.float32)


def _knock(rng: np.random.Generator, n: int, hz: float) -> NDArray[np.float32]:
    short = min(n, RATE // 4)
    bins = np.fft.rfftfreq(short, 1 / RATE)
    spectrum = np.fft.rfft(rng.standard_normal(short)) / (1 + (bins / hz) ** 2)
    noise = np.fft.irfft(spectrum, short)
    return np.pad(noise / np.abs(noise).max(), (0, n - short)).astype(np.float32)
