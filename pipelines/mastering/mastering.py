"""A master as a file: decoded, put through the chain, written, and measured again as it was written.

The sound is chain.py's, the codecs are encoders.py's; a mix of aligned stems is mixing.py's.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipelines.audio.features import measure_blocks, summarise
from pipelines.audio.loudness import Loudness, LoudnessMeter
from pipelines.errors import BadInput
from pipelines.mastering import chain, encoders, presets
from pipelines.mastering.chain import Reductions, Settings4
from pipelines.mastering.mixing import mix
from pipelines.mastering.presets import Preset
from pipelines.mastering.tape import Tape, record
from pipelines.media.audio import Audio, stream
from pipelines.media.replacing import replacing

__all__ = ["Figures", "Master", "Suggestion", "master", "measure_file", "mix"]

logger = logging.getLogger(__name__)

_ATTEMPTS = 8  # at writing a lossy file below the ceiling
_STEP = 0.02  # dB further down than the last file was too high
_CLOSE = 0.1  # LU: a codec that changes the loudness by more is met by another target
_NOTICED = 0.5  # dB of ceiling given up for a codec
TARGETS = (-40.0, -5.0)  # LUFS that may be asked for


@dataclass(frozen=True, slots=True)
class Figures:
    """What one says of a sound's loudness; ``-inf`` is silence."""

    lufs: float
    lra: float  # LU
    max_short_term: float  # LUFS
    max_momentary: float  # LUFS
    true_peak_dbtp: float
    plr: float  # true peak above loudness, dB

    @classmethod
    def of(cls, loudness: Loudness) -> Figures:
        heard = np.isfinite(loudness.integrated) and np.isfinite(loudness.true_peak)
        return cls(
            lufs=loudness.integrated,
            lra=loudness.range,
            max_short_term=loudness.max_short_term,
            max_momentary=loudness.max_momentary,
            true_peak_dbtp=loudness.true_peak,
            plr=loudness.true_peak - loudness.integrated if heard else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Suggestion:
    name: str
    confidence: float  # 0..1
    reason: str


@dataclass(frozen=True, slots=True)
class Master:
    path: Path
    preset: Preset  # with the target that was asked for
    suggestion: Suggestion | None  # how the preset was found, unless a person chose it
    settings: Settings4
    reductions: Reductions
    gain_db: float
    before: Figures  # of the source
    after: Figures  # of the file as written
    duration: float  # s
    sample_rate: int  # Hz, of the file as written
    channels: tuple[str, ...]
    format: str
    warnings: tuple[str, ...]


def master(
    source: Path,
    out: Path,
    preset: str | None = None,
    *,
    target: float | None = None,
    settings: Settings4 | None = None,
    max_hours: float = 4.0,
) -> Master:
    """Masters ``source`` into ``out``, whose ending chooses the format (.wav and .flac with 24 bits, .m4a, .mp3, .ogg).

    Without a ``preset`` the rule suggests one. ``target`` (LUFS) takes the place of the preset's; ``settings``
    (a model's) that of what the chain would find. The true peak of the written file is at or below the preset's
    ceiling: a lossy file is decoded, measured and made again until it is. Works on files beside ``out``, so the memory
    does not grow with the length. Raises BadInput for an unknown preset, ending or target and as decoding does,
    Unavailable when the disk is full.
    """
    form = encoders.format_of(out)
    chosen = None if preset is None else _aimed(presets.get(preset), target)
    if target is not None and not TARGETS[0] <= target <= TARGETS[1]:
        raise BadInput(out.name, f"has a target of {target:g} LUFS", f"give {TARGETS[0]:g} to {TARGETS[1]:g}")
    if out.exists() and source.exists() and out.samefile(source):
        raise BadInput(out, "would take the place of its own source", "give another name for the master")
    with replacing(out) as temporary:
        tape, channels = record(source, out.parent, max_hours=max_hours)
        with tape:
            encoders.check_channels(out, form, tape.n_channels)
            suggestion = None
            if chosen is None:
                suggestion = _suggest(tape, channels)
                chosen = _aimed(presets.get(suggestion.name), target)
            if settings and target is not None:
                settings = replace(settings, target_lufs=target)
            prepared = chain.prepare(tape, channels, chosen, settings=settings)
            finished, after, given_up = _write(prepared, temporary, form, settings)
            duration = tape.n_samples / tape.sample_rate
    return Master(
        path=out,
        preset=chosen,
        suggestion=suggestion,
        settings=finished.settings,
        reductions=finished.reductions,
        gain_db=finished.gain_db,
        before=Figures.of(prepared.before),
        after=Figures.of(after),
        duration=duration,
        sample_rate=form.rate_for(tape.sample_rate),
        channels=channels,
        format=form.name,
        warnings=finished.warnings + _told_of_codec(given_up, form.name),
    )


def _told_of_codec(given_up: float, form: str) -> tuple[str, ...]:
    if given_up < _NOTICED:
        return ()
    reason = f"{form} moves peaks, so the limiter works {given_up:.1f} dB lower than for a WAV or FLAC"
    return (f"{reason}; a lower target (--target) would sound freer",)


def measure_file(path: Path | str) -> Loudness:
    """Loudness of a file, block by block. Raises BadInput as decoding does."""
    meter: LoudnessMeter | None = None
    for block in stream(path):
        meter = meter or LoudnessMeter(block.sample_rate, block.channels)
        meter.push(block.samples)
    if meter is None:
        raise ValueError("no block of sound")
    return meter.finish()


def _aimed(preset: Preset, target: float | None) -> Preset:
    return preset if target is None else replace(preset, target_lufs=target)


def _suggest(tape: Tape, channels: tuple[str, ...]) -> Suggestion:
    blocks = (Audio(block, tape.sample_rate, channels) for block in tape.blocks())
    return Suggestion(*presets.suggest(summarise(measure_blocks(blocks))))


def _write(
    prepared: chain.Prepared, path: Path, form: encoders.Format, settings: Settings4 | None
) -> tuple[chain.Finished, Loudness, float]:
    """Codecs move peaks by up to some dB, and more the denser the sound: the limiter's ceiling goes down until the
    decoded file keeps the promise, so that the loudness stays; only if that does not help the whole is turned down.
    Last of what comes back: by how many dB the ceiling went down.
    """
    ceiling = prepared.preset.ceiling_dbtp
    target = settings.target_lufs if settings else prepared.preset.target_lufs
    allowed, aimed = ceiling, target
    rate, channels = prepared.tape.sample_rate, prepared.channels
    for attempt in range(_ATTEMPTS):
        finished = chain.finish(prepared, target_lufs=aimed, ceiling_dbtp=allowed)
        encoders.encode(finished.blocks(), path, rate, channels, form)
        after = measure_file(path)
        over = after.true_peak - ceiling
        lost = finished.level.loudness.integrated - after.integrated
        changed = bool(np.isfinite(lost)) and abs(lost) > _CLOSE and attempt == 0
        if over <= 0 and not changed:
            return replace(finished, target_lufs=target), after, ceiling - allowed
        logger.debug("%s: %.2f dB over the ceiling, %.2f LU lost in coding", path.name, over, lost)
        if changed:
            aimed = target + lost
        if over > 0:
            allowed -= over + _STEP
            if attempt >= _ATTEMPTS // 2:  # what stands out is the codec's own noise
                aimed -= over + _STEP
    raise BadInput(path.name, f"stays {over:.1f} dB above {ceiling:g} dBTP as {form.name}", "choose .wav or .flac")
