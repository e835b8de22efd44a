"""One note as a sound font sounds it: samples at pitch, loops, envelopes, filter, vibrato, place between the ears.

Which notes, and putting them together, is rendering.py's. Pure numpy and scipy: libraries that play fonts either need
a system's package or, as symusic 0.6 with numpy 2.4, fail to hand over what they rendered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from pipelines.composing.sf2 import SoundFont
from pipelines.composing.sf2_zones import OPEN, Envelope, Zone

SILENT = -80.0  # dB, below which a note has ended
LONGEST = 30.0  # s that a note is held at most; it sounds on in its release
LONGEST_RELEASE = 3.0  # s; fonts let drums ring for half a minute after they are silent
CHOKE = 0.015  # s in which an open hi-hat dies when it is closed
_STEPS = 5  # filters between which a sweep is blended
_CACHED = 64 << 20  # bytes


class _Kept:
    """The waves asked for last, up to so many bytes."""

    def __init__(self) -> None:
        self._waves: OrderedDict[Hashable, NDArray[np.float32]] = OrderedDict()
        self._bytes = 0

    def get(self, name: Hashable) -> NDArray[np.float32] | None:
        if name in self._waves:
            self._waves.move_to_end(name)
        return self._waves.get(name)

    def put(self, name: Hashable, wave: NDArray[np.float32]) -> None:
        old = self._waves.pop(name, None)
        self._waves[name] = wave
        self._bytes += wave.nbytes - (0 if old is None else old.nbytes)
        while self._bytes > _CACHED and len(self._waves) > 1:
            self._bytes -= self._waves.popitem(last=False)[1].nbytes


class Sampler:
    """Sounds of one font at one rate. Equal notes are the same to the bit."""

    def __init__(self, font: SoundFont, sample_rate: int) -> None:
        self.font = font
        self.rate = sample_rate
        self._waves, self._notes = _Kept(), _Kept()

    def note(
        self, program: int, pitch: int, velocity: int, seconds: float, *, drums: bool = False, cut: float | None = None
    ) -> NDArray[np.float32]:
        """float32 [2, n] of a note held for ``seconds``, its release with it; [2, 0] where the font has nothing.

        ``cut``: s after its beginning at which another note of its class ends it. The array is not to be written to.
        """
        velocity, seconds = max(1, velocity), min(seconds, LONGEST)
        key = (program, pitch, velocity, round(seconds * self.rate), drums, None if cut is None else round(cut, 4))
        known = self._notes.get(key)
        if known is None:
            known = self._sound(program, pitch, velocity, seconds, drums, cut)
            self._notes.put(key, known)
        return known

    def _sound(
        self, program: int, pitch: int, velocity: int, seconds: float, drums: bool, cut: float | None
    ) -> NDArray[np.float32]:
        zones = self.font.zones(program, pitch, velocity, drums=drums)
        voices = [(self._voice(zone, pitch, velocity, seconds), zone.pan) for zone in zones]
        out = np.zeros((2, max((len(wave) for wave, _ in voices), default=0)), np.float32)
        for wave, pan in voices:
            angle = (pan + 1) * np.pi / 4
            out[0, : len(wave)] += wave * np.float32(np.cos(angle))
            out[1, : len(wave)] += wave * np.float32(np.sin(angle))
        if cut is not None and out.shape[1] > (end := int((cut + CHOKE) * self.rate)):
            out = out[:, :end]
            fading = min(end, int(CHOKE * self.rate))
            out[:, end - fading :] *= np.linspace(1, 0, fading, dtype=np.float32)
        return out

    def classes(self, program: int, pitch: int, *, drums: bool = False) -> frozenset[int]:
        """Classes whose notes end one another, such as the hi-hat's."""
        return frozenset(z.exclusive for z in self.font.zones(program, pitch, 100, drums=drums) if z.exclusive)

    def _voice(self, zone: Zone, pitch: int, velocity: int, seconds: float) -> NDArray[np.float32]:
        key = pitch if zone.fixed_key < 0 else zone.fixed_key
        hold, decay = (2 ** (by * (60 - key) / 1200) for by in (zone.hold_by_key, zone.decay_by_key))
        e = zone.loudness
        shape = Envelope(e.delay, e.attack, e.hold * hold, e.decay * decay, e.sustain, e.release)
        most = None
        if zone.loop is None and not zone.to_pitch:  # it ends with its sample
            most = int(len(self.font.samples(zone)) / self._step(zone, key)) + 1
        level = _loudness(shape, seconds, self.rate, most)
        wave = self._wave(zone, key, velocity, len(level), seconds)
        n = min(len(wave), len(level))
        _, _, attenuation = zone.modulated(pitch, velocity)
        return np.asarray(wave[:n] * (level[:n] * np.float32(10 ** (-attenuation / 20))), np.float32)

    def _step(self, zone: Zone, key: int) -> float:
        """Samples of the font a sample of the output."""
        return float(2 ** ((key - zone.root) * zone.scale / 1200) * zone.rate / self.rate)

    def _wave(self, zone: Zone, key: int, velocity: int, n: int, seconds: float) -> NDArray[np.float32]:
        """The sample at the key's pitch through the filter, before its envelope: at least ``n`` or all there is."""
        cutoff, sweep, _ = zone.modulated(key, velocity)
        moving = bool(sweep or zone.to_pitch)
        # Only what differs for the ear makes a wave of its own; the length of a note matters where it moves the filter.
        held = round(1000 * seconds) if moving else 0
        name = (zone.sample, zone.start, key, round(100 * zone.root), round(cutoff), round(sweep), zone.to_pitch, held)
        known = self._waves.get(name)
        if known is not None and (len(known) >= n or zone.loop is None):
            return known
        n = n + self.rate if known is not None else n  # held longer now: sooner or later again
        wave = self._resampled(zone, key, n, seconds)
        wave = _filtered(wave, zone, cutoff, sweep, seconds, self.rate)
        self._waves.put(name, wave)
        return wave

    def _resampled(self, zone: Zone, key: int, n: int, seconds: float) -> NDArray[np.float32]:
        """Cubic (Hermite) interpolation between samples, which is 60 dB clean below a quarter of the rate."""
        source = self.font.samples(zone)
        if len(source) < 4:
            return np.zeros(0, np.float32)
        loop = zone.loop
        if loop is not None and not 0 <= loop[0] < loop[1] - 1 < len(source):
            loop = None
        step = self._step(zone, key)
        bend = self._bend(zone, n, seconds)
        if bend is None:
            place = np.arange(n) * step
        else:
            place = np.concatenate([[0.0], np.cumsum(step * 2 ** (bend[:-1] / 1200))])
        if loop is None:
            place = place[: int(np.searchsorted(place, len(source) - 3))]
            padded = source
        else:
            first, last = loop
            beyond = place >= last
            place[beyond] = first + (place[beyond] - first) % (last - first)
            padded = np.concatenate([source[:last], np.resize(source[first:last], 4)])
        whole = place.astype(np.int64)
        t = (place - whole).astype(np.float32)
        before = padded[np.maximum(whole - 1, 0)]
        here, after, later = padded[whole], padded[whole + 1], padded[whole + 2]
        slope, other = (after - before) * np.float32(0.5), (later - here) * np.float32(0.5)
        rise = here - after
        out = ((2 * rise + slope + other) * t - (3 * rise + 2 * slope + other)) * t
        return np.asarray((out + slope) * t + here, np.float32)

    def _bend(self, zone: Zone, n: int, seconds: float) -> NDArray[np.float64] | None:
        """Cents by which vibrato and the modulation envelope move the pitch; None when nothing does."""
        depth, hz, delay = zone.vibrato
        if not depth and not zone.to_pitch:
            return None
        t = np.arange(n) / self.rate
        bend = zone.to_pitch * _share(zone.modulation, seconds, t) if zone.to_pitch else np.zeros(n)
        if depth:
            # It swells over a quarter of a second, as a player's does.
            swell = np.clip((t - delay) * 4, 0, 1)
            bend = bend + depth * swell * np.sin(2 * np.pi * hz * np.maximum(t - delay, 0))
        return np.asarray(bend)


def _loudness(e: Envelope, seconds: float, rate: int, most: int | None) -> NDArray[np.float32]:
    """Amplitude over time (specification, 8.1.3), ``most`` samples of it: a straight attack, then straight lines in
    decibels, 100 dB a decay or release."""
    attack_end = e.delay + e.attack
    corners = [attack_end + e.hold, attack_end + e.hold + max(1e-3, e.decay * min(e.sustain, 100) / 100)]
    levels = [0.0, -min(e.sustain, 100.0)]
    fall = 100 / max(e.release, 0.008)  # dB a second
    reached = 1.0 if seconds >= attack_end else max(1e-4, (seconds - e.delay) / max(e.attack, 1e-4))
    at_off = float(np.interp(seconds, corners, levels)) + 20 * float(np.log10(reached))
    end = seconds + min(LONGEST_RELEASE, max(0.0, at_off - SILENT) / fall)
    if levels[1] <= SILENT:  # it is silent before it is let go of
        end = min(end, corners[0] + (corners[1] - corners[0]) * SILENT / levels[1])
    n = max(1, int(end * rate))
    t = np.arange(n if most is None else min(n, most)) / rate
    level = np.where(t < seconds, np.interp(t, corners, levels), at_off - (t - seconds) * fall)
    out = (10 ** (level / 20)).astype(np.float32)
    # At least half a millisecond: no click, and no softer blow.
    rising = t < min(max(attack_end, e.delay + 0.0005), seconds)
    out[rising] = np.clip((t[rising] - e.delay) / max(e.attack, 0.0005), 0, 1)
    tail = min(len(out), max(1, int(0.004 * rate)))
    out[-tail:] *= np.linspace(1, 0, tail, dtype=np.float32)
    return out


def _share(e: Envelope, seconds: float, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The modulation envelope 0..1: all straight lines."""
    attack_end = e.delay + e.attack
    decay_from = attack_end + e.hold
    settled = decay_from + max(1e-3, e.decay * (1 - e.sustain))
    corners = [e.delay, max(attack_end, e.delay + 1e-4), max(decay_from, e.delay + 2e-4), max(settled, e.delay + 3e-4)]
    level = np.interp(t, corners, [0.0, 1.0, 1.0, e.sustain])
    at_off = float(np.interp(seconds, corners, [0.0, 1.0, 1.0, e.sustain]))
    return np.where(t < seconds, level, np.maximum(0, at_off - (t - seconds) / max(e.release, 1e-3)))


def _filtered(
    wave: NDArray[np.float32], zone: Zone, cutoff: float, sweep: float, seconds: float, rate: int
) -> NDArray[np.float32]:
    """Through the low-pass; a sweep of the cutoff is blended from a few filters an octave or so apart."""
    if not len(wave) or (cutoff >= 0.9 * OPEN and sweep >= 0):
        return wave
    if not sweep:
        return _low_pass(wave, cutoff, zone.resonance, rate)
    n = min(_STEPS, 2 + int(abs(sweep) / 1200))
    share = _share(zone.modulation, seconds, np.arange(len(wave)) / rate) * (n - 1)
    out = np.zeros_like(wave)
    for k in range(n):
        weight = np.maximum(0, 1 - np.abs(share - k)).astype(np.float32)
        if weight.any():
            edge = float(np.clip(cutoff * 2 ** (sweep * k / (n - 1) / 1200), 20, OPEN))
            out += weight * _low_pass(wave, edge, zone.resonance, rate)
    return out


def _low_pass(wave: NDArray[np.float32], cutoff: float, resonance: float, rate: int) -> NDArray[np.float32]:
    """A second-order low-pass (bilinear transform, R. Bristow-Johnson's cookbook); 0 dB of ``resonance`` is flat."""
    from scipy.signal import sosfilt

    w = 2 * np.pi * min(cutoff, 0.45 * rate) / rate
    q = 10 ** ((resonance - 3.01) / 20)
    alpha, c = np.sin(w) / (2 * q), np.cos(w)
    gain = 10 ** (-resonance / 40)  # half of what the peak adds, as the specification's 8.1.3 has it
    b = gain * np.array([(1 - c) / 2, 1 - c, (1 - c) / 2])
    sections = np.array([[*b, 1 + alpha, -2 * c, 1 - alpha]]) / (1 + alpha)
    return np.asarray(sosfilt(sections.astype(np.float32), wave), np.float32)
