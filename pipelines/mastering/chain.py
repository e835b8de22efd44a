"""The master chain: normalise, shelves, compressor, gain to the target, true-peak limiter.

The limiter comes last. An equaliser behind it could lift peaks over the ceiling again, and no ceiling could be
promised. Files are mastering.py's; the parts' own arithmetic is in shelves.py, compressor.py and limiter.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.audio.biquads import filter_blocks
from pipelines.audio.loudness import Loudness, LoudnessMeter
from pipelines.mastering import compressor, leveller, limiter, shelves
from pipelines.mastering.envelopes import along, cell_size
from pipelines.mastering.presets import Preset
from pipelines.mastering.tape import Tape
from pipelines.media.audio import USUAL_CHANNELS

VERSION = "1"  # raise it when the same sound gives another master

REFERENCE = -23.0  # LUFS to which the input is brought first (EBU R 128), so that all that follows sees one level
_FULL = 0.985  # two samples in a row as high as each other and above this: cut off
_LEVEL = 1e-4
_FEW_CLIPS = 1e-5  # share of samples


@dataclass(frozen=True, slots=True)
class Settings4:
    """What a master was made with.

    labelling.py derives its pseudo-labels of the same names from input and output; there comp_db is what the peaks
    lost against the loudness, limiter included, which is more than the compressor's share here.
    """

    low_shelf_db: float
    high_shelf_db: float
    comp_db: float  # mean reduction by the compressor, >= 0, over what is within 10 LU of the loudness
    target_lufs: float

    @property
    def vector(self) -> NDArray[np.float32]:
        return np.array([self.low_shelf_db, self.high_shelf_db, self.comp_db, self.target_lufs], np.float32)


@dataclass(frozen=True, slots=True)
class Reductions:
    """dB >= 0. Means are over what is not silent, and for the limiter over the whole."""

    compressor_mean: float
    compressor_max: float
    limiter_mean: float
    limiter_max: float


@dataclass(frozen=True, slots=True)
class Mastered:
    samples: NDArray[np.float32]  # [n_channels, n_samples]
    sample_rate: int
    settings: Settings4
    reductions: Reductions
    gain_db: float  # from the input to the limiter, but for shelves and compressor
    before: Loudness
    after: Loudness
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sound after shelves and compressor, at `REFERENCE`; the gain and the limiter are still to be set."""

    tape: Tape
    channels: tuple[str, ...]
    peaks: NDArray[np.float64]  # [n_cells] linear
    before: Loudness
    low_shelf_db: float
    high_shelf_db: float
    comp_db: float
    comp_max_db: float
    normalised_db: float  # gain that brought the input to the reference
    preset: Preset
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """A master that `blocks` yields as often as it is asked for."""

    prepared: Prepared
    level: leveller.Level
    target_lufs: float

    @property
    def settings(self) -> Settings4:
        p = self.prepared
        return Settings4(p.low_shelf_db, p.high_shelf_db, p.comp_db, self.target_lufs)

    @property
    def reductions(self) -> Reductions:
        p, limited = self.prepared, self.level.reductions
        return Reductions(p.comp_db, p.comp_max_db, float(limited.mean()), float(limited.max()))

    @property
    def gain_db(self) -> float:
        return self.prepared.normalised_db + self.level.gain_db

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.prepared.warnings + self.level.warnings

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """[n_channels, n] one after another."""
        return leveller.blocks(self.prepared.tape, self.level)


def process(
    samples: NDArray[np.float32],
    sample_rate: int,
    channels: Sequence[str] | None,
    preset: Preset,
    *,
    settings: Settings4 | None = None,
) -> Mastered:
    """Masters ``samples`` [n_channels, n] or [n], full scale = 1, at any rate from 4 kHz; the length stays.

    ``channels`` are FFmpeg's names, or None for the usual order. With ``settings`` (a model's, a person's) the
    shelves, the compression and the target are those instead of what the preset finds. What cannot be reached is said
    in ``warnings``; a silent sound comes back as it is.
    """
    samples = np.atleast_2d(np.asarray(samples, np.float32))
    target = settings.target_lufs if settings else None
    with Tape.of(samples, sample_rate) as source:
        finished = finish(prepare(source, channels, preset, settings=settings), target_lufs=target)
        blocks = list(finished.blocks())
    return Mastered(
        samples=np.concatenate(blocks, axis=1) if blocks else samples.copy(),
        sample_rate=sample_rate,
        settings=finished.settings,
        reductions=finished.reductions,
        gain_db=finished.gain_db,
        before=finished.prepared.before,
        after=finished.level.loudness,
        warnings=finished.warnings,
    )


def prepare(
    source: Tape, channels: Sequence[str] | None, preset: Preset, *, settings: Settings4 | None = None
) -> Prepared:
    """Everything before the gain: measures, sets the shelves and the compressor, and goes through both."""
    names = tuple(channels or USUAL_CHANNELS.get(source.n_channels, ("FC",) * source.n_channels))
    loudness, balance, clipped = _look(source, names)
    warnings = _warn(source, loudness, clipped)
    if not np.isfinite(loudness.integrated):
        peaks = limiter.cell_peaks(source)
        return Prepared(source, names, peaks, loudness, 0.0, 0.0, 0.0, 0.0, 0.0, preset, warnings)
    normalised = REFERENCE - loudness.integrated
    low, high = (settings.low_shelf_db, settings.high_shelf_db) if settings else shelves.gains(balance, preset.tone)
    shaped, detector = _shelve(source, names, normalised, shelves.sections(low, high, preset.tone, source.sample_rate))
    levels = detector.levels()
    rate = source.sample_rate / cell_size(source.sample_rate)
    chosen = preset.compressor
    if settings:
        chosen = compressor.reaching(settings.comp_db, levels, REFERENCE, chosen, rate)
    reduction = compressor.reductions(levels, REFERENCE, chosen, rate)
    tape = _compress(shaped, source.like(), reduction) if reduction.any() else shaped
    return Prepared(
        tape=tape,
        channels=names,
        peaks=limiter.cell_peaks(tape),
        before=loudness,
        low_shelf_db=low,
        high_shelf_db=high,
        comp_db=compressor.mean_reduction(reduction, levels, REFERENCE),
        comp_max_db=float(reduction.max(initial=0.0)),
        normalised_db=normalised,
        preset=preset,
        warnings=warnings,
    )


def finish(prepared: Prepared, *, target_lufs: float | None = None, ceiling_dbtp: float | None = None) -> Finished:
    """The gain and the limiter with which the target is met below the ceiling (None: the preset's)."""
    preset = prepared.preset
    target = preset.target_lufs if target_lufs is None else target_lufs
    ceiling = preset.ceiling_dbtp if ceiling_dbtp is None else ceiling_dbtp
    level = leveller.find(
        prepared.tape, prepared.channels, prepared.peaks, target, ceiling, preset.limiter, prepared.normalised_db
    )
    return Finished(prepared, level, target)


def _look(source: Tape, channels: Sequence[str]) -> tuple[Loudness, shelves.Balance, int]:
    meter = LoudnessMeter(source.sample_rate, channels)
    spectrum = shelves.Spectrograph(source.sample_rate)
    tonal = shelves.tonal(channels)
    clipped = 0
    for block in source.blocks():
        meter.push(block)
        spectrum.push(block if len(tonal) == len(block) else block[tonal])
        high = np.abs(block) > _FULL
        if high.any():
            clipped += int((high[:, 1:] & (np.abs(np.diff(block, axis=1)) < _LEVEL)).sum())
    return meter.finish(), spectrum.balance(), clipped


def _warn(source: Tape, loudness: Loudness, clipped: int) -> tuple[str, ...]:
    warnings = []
    seconds = source.n_samples / source.sample_rate
    if not np.isfinite(loudness.integrated):
        warnings.append("the sound is silent or below -70 LUFS: it was left as it is")
    elif seconds < 0.4:
        warnings.append(f"{seconds:.2f} s is shorter than the 0.4 s that loudness is defined over")
    if clipped > max(_FEW_CLIPS * source.n_samples * source.n_channels, 8):
        warnings.append(f"the input is clipped in {clipped} places; the master cannot undo that")
    return tuple(warnings)


def _shelve(
    source: Tape, channels: Sequence[str], gain_db: float, sections: NDArray[np.float64]
) -> tuple[Tape, compressor.Detector]:
    """The LFE gets the gain only: it has no tone of its own."""
    out, detector = source.like(), compressor.Detector(source.sample_rate, channels)
    tonal = shelves.tonal(channels)
    state = np.zeros((len(sections), len(tonal), 2))
    gain = np.float32(10 ** (gain_db / 20))
    for block in source.blocks():
        shaped = block * gain
        shaped[tonal], state = filter_blocks(sections, shaped[tonal], state)
        detector.push(shaped)
        out.append(shaped)
    return out, detector


def _compress(shaped: Tape, out: Tape, reduction: NDArray[np.float64]) -> Tape:
    cell = cell_size(shaped.sample_rate)
    nodes = 10 ** (-np.insert(reduction, 0, reduction[0]) / 20)
    start = 0
    for block in shaped.blocks():
        out.append(block * along(nodes, cell, start, block.shape[1]))
        start += block.shape[1]
    shaped.close()
    return out
