"""The mastering system's steps as pipelines.items runs them: one piece in, its numbers, picture and files out.

Each finds or makes its result through job.py's stages; nothing here computes anything but a summary.
"""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines import result_folders, results
from pipelines.errors import BadInput
from pipelines.items import Produced
from pipelines.mastering import alignment, job, labelling, pictures
from pipelines.mastering.job import Piece
from pipelines.mastering.mastering import Master
from pipelines.media.replacing import replace_bytes, replacing
from pipelines.settings import Settings
from pipelines.storage.cache import Cache


@dataclass(frozen=True, slots=True)
class Chosen:
    """A piece with the preset it is mastered with, who chose it and why. ``folder``: the job in whose results folder
    the person finds the files; None for one that was replaced in the inbox."""

    piece: Piece
    preset: str
    by: str  # owner, a person's label, a model's version, or rule
    confidence: float
    reason: str
    predicted: tuple[float, ...] = ()  # what master_reg expects of the chain, as labelling.TARGETS
    folder: str | None = None
    alignment_confidence: float | None = None
    alignment_says: str = ""  # the version of align_conf, or rule
    pictured: bool = True


def align(settings: Settings, cache: Cache, piece: Piece) -> Produced:
    found = job.align(piece, cache)
    if found is None:
        return Produced(True, {"verdict": "not asked", "reasons": "alignment is switched off"})
    stored = cache.misses == 0
    picture = cache.get_or_put(
        "alignment_picture",
        job.version_of("alignments"),
        piece.content_hash,
        {},
        lambda: alignment.picture(found),
        ".png",
    )
    summary: dict[str, float | int | str] = {
        "lag ms": round(1000 * found.lag_s, 2),
        "drift ppm": round(found.drift_ppm, 1),
        "confidence": found.confidence,
        "verdict": found.verdict,
        "reasons": "; ".join(found.reasons),
    }
    return Produced(stored, summary, picture)


def describe(settings: Settings, cache: Cache, piece: Piece) -> Produced:
    found = job.features(piece, cache)
    stems = [job.stem_features(file, cache) for file in (piece.inst, piece.vocal) if file is not None]
    stored = cache.misses == 0
    wanted = {"duration_s": "seconds", "lufs": "LUFS", "lra": "LRA", "true_peak_dbtp": "dBTP", "crest_db": "crest dB"}
    summary: dict[str, float | int | str] = {name: found.stats[key] for key, name in wanted.items()}
    return Produced(stored, {"kind": "mix" if not stems else "stems", **summary})


def master(settings: Settings, cache: Cache, chosen: Chosen) -> Produced:
    piece = chosen.piece
    path, facts = job.master(piece, chosen.preset, cache)
    stored = cache.misses == 0
    picture = _before_after(cache, chosen, path, facts) if chosen.pictured else None
    folder = "none: the job was replaced in the inbox"
    if chosen.folder is not None:
        folder = results.place_of(settings, cache.objects, chosen.folder)
        with _folder(settings, cache, chosen) as out:
            _copy(path, out / f"{piece.name}.master.wav")
            if picture is not None:
                replace_bytes(out / f"{piece.name}.before-after.png", picture)
            aligned = job.align(piece, cache)
            if aligned is not None and chosen.pictured:
                replace_bytes(out / f"{piece.name}.alignment.png", alignment.picture(aligned))
            text = json.dumps(told(chosen, facts, aligned), ensure_ascii=False, indent=2)
            replace_bytes(out / f"{piece.name}.master.json", text.encode())
    summary: dict[str, float | int | str] = {
        "preset": chosen.preset,
        "chosen by": chosen.by,
        "confidence": chosen.confidence,
        "LUFS before": facts.before.lufs,
        "LUFS": facts.after.lufs,
        "target": facts.settings.target_lufs,
        "dBTP": facts.after.true_peak_dbtp,
        "low shelf dB": facts.settings.low_shelf_db,
        "high shelf dB": facts.settings.high_shelf_db,
        "compression dB": facts.settings.comp_db,
        "warnings": "; ".join(facts.warnings),
        "folder": folder,
    }
    key = path.relative_to(cache.objects.folder).as_posix()
    return Produced(stored, summary, picture, key, {"size": path.stat().st_size})


def _before_after(cache: Cache, chosen: Chosen, path: Path, facts: Master) -> bytes:
    return cache.get_or_put(
        "before_after",
        job.version_of("masters"),
        chosen.piece.content_hash,
        {"preset": chosen.preset},
        lambda: pictures.before_after(job.mixed(chosen.piece, cache), path, facts),
        ".png",
    )


def told(chosen: Chosen, facts: Master, aligned: alignment.Alignment | None) -> dict[str, Any]:
    """What a person or a program may want to know of a master, as JSON."""
    predicted = dict(zip(labelling.TARGETS, chosen.predicted, strict=True)) if chosen.predicted else None
    return {
        "preset": {
            "name": chosen.preset,
            "chosen_by": chosen.by,
            "confidence": chosen.confidence,
            "reason": chosen.reason,
        },
        "settings": asdict(facts.settings),
        "reductions_db": asdict(facts.reductions),
        "gain_db": facts.gain_db,
        "ceiling_dbtp": facts.preset.ceiling_dbtp,
        "before": asdict(facts.before),
        "after": asdict(facts.after),
        "seconds": facts.duration,
        "sample_rate": facts.sample_rate,
        "channels": list(facts.channels),
        "format": facts.format,
        "warnings": list(facts.warnings),
        "predicted_changes": predicted,
        "alignment": None
        if aligned is None
        else {
            "lag_s": aligned.lag_s,
            "drift_ppm": aligned.drift_ppm,
            "confidence": chosen.alignment_confidence,
            "confidence_by": chosen.alignment_says,
            "verdict": aligned.verdict,
            "reasons": list(aligned.reasons),
        },
    }


def preview(settings: Settings, cache: Cache, chosen: Chosen) -> Produced:
    path = job.preview(chosen.piece, chosen.preset, cache)
    stored = cache.misses == 0
    if chosen.folder is not None:
        with _folder(settings, cache, chosen) as out:
            _copy(path, out / f"{chosen.piece.name}.preview.m4a")
    key = path.relative_to(cache.objects.folder).as_posix()
    size = path.stat().st_size
    return Produced(stored, {"preset": chosen.preset, "KB": size / 1e3}, None, key, {"size": size})


def draw(settings: Settings, cache: Cache, chosen: Chosen) -> Produced:
    peaks = job.peaks(chosen.piece, chosen.preset, cache)
    picture = job.waveform_picture(chosen.piece, chosen.preset, cache)
    stored = cache.misses == 0
    if chosen.folder is not None:
        with _folder(settings, cache, chosen) as out:
            replace_bytes(out / f"{chosen.piece.name}.peaks.json", peaks)
            replace_bytes(out / f"{chosen.piece.name}.waveform.png", picture)
    return Produced(stored, {"preset": chosen.preset, "points": json.loads(peaks)["length"]}, picture)


def label(settings: Settings, cache: Cache, chosen: Chosen) -> Produced:
    before = job.features(chosen.piece, cache)
    after = job.mastered_features(chosen.piece, chosen.preset, cache)
    try:
        targets = labelling.pseudo_labels(before, after)
    except BadInput as error:  # silence: mastered as it is, and nothing to learn from
        return Produced(cache.misses == 0, {"preset": chosen.preset, "quality": f"not labelled: {error.reason}"})
    # The corpus's presets are of sounds before they were damaged; here the rule heard only what came.
    preset, quality = labelling.preset_label(before)[0], "low"
    if chosen.by == "owner":  # somebody who knows the piece said so
        preset, quality = chosen.preset, "human"
    detail = {"y_reg": [float(v) for v in targets], "preset": preset, "quality": quality}
    summary = {name: float(v) for name, v in zip(labelling.TARGETS, targets, strict=True)}
    return Produced(cache.misses == 0, {**summary, "preset": preset, "quality": quality}, detail=detail)


def _folder(settings: Settings, cache: Cache, chosen: Chosen) -> AbstractContextManager[Path]:
    """Each piece's own: a job may have several, which are written side by side."""
    assert chosen.folder is not None
    return result_folders.opened(settings, cache.objects, chosen.folder, f"mastering {chosen.piece.name}")


def _copy(source: Path, target: Path) -> None:
    with replacing(target, durable=False) as temporary:
        shutil.copyfile(source, temporary)


def facts_of(chosen: Chosen) -> dict[str, Any]:
    """The choice alone, as it is kept for the steps after mastering."""
    kept = asdict(chosen)
    return {key: kept[key] for key in ("preset", "by", "confidence", "reason", "predicted")}
