"""One piece to be mastered, from its files to what a person takes away, stage by stage, each stored by its content.

A piece is a mix, or an instrumental and a vocal. As in editing, a stage asks the one before it, which is answered from
the cache. The trades are the other modules'; which preset is taken when nobody said one is suggesting.py's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines import work_folders
from pipelines.audio.features import AudioFeatures
from pipelines.errors import BadInput
from pipelines.mastering import alignment, chain, mastering, previews, waveform
from pipelines.mastering.training_set import FEATURE_VERSION
from pipelines.media.files import MediaFile, saying_names
from pipelines.storage.cache import Cache

VERSION = "1"  # of how the stages are put together; each trade has its own besides


@dataclass(frozen=True, slots=True)
class Piece:
    """Either ``mix`` or both stems. ``preset``: the owner's wish; ``aligned``: whether stems are to be aligned."""

    name: str
    mix: MediaFile | None = None
    inst: MediaFile | None = None
    vocal: MediaFile | None = None
    preset: str | None = None
    aligned: bool = True

    @property
    def files(self) -> tuple[MediaFile, ...]:
        return tuple(f for f in (self.mix, self.inst, self.vocal) if f is not None)

    @property
    def content_hash(self) -> str:
        """The mix's own, or one over both stems and whether they are aligned."""
        if self.mix is not None:
            return self.mix.content_hash
        parts = [*(f.content_hash for f in self.files), self.aligned]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def version_of(step: str) -> str:
    """The code version of a step's results: its own and those of the steps it reads."""
    mixed = (VERSION, alignment.VERSION)
    versions = {
        "alignments": (alignment.VERSION,),
        "mastering_features": (*mixed, FEATURE_VERSION),
        "masters": (*mixed, chain.VERSION),
        "previews": (*mixed, chain.VERSION, previews.VERSION),
        "waveforms": (*mixed, chain.VERSION, waveform.VERSION),
        "mastering_labels": (*mixed, chain.VERSION, FEATURE_VERSION),
    }
    return ".".join(versions[step])


def align(piece: Piece, cache: Cache) -> alignment.Alignment | None:
    """None for a mix, and where alignment is switched off."""
    inst, vocal = piece.inst, piece.vocal
    if inst is None or vocal is None or not piece.aligned:
        return None
    return cache.get_or_compute(
        "alignment",
        version_of("alignments"),
        piece.content_hash,
        {},
        lambda: saying_names(lambda: alignment.align(inst.path, vocal.path), inst, vocal),
        alignment.Alignment,
    )


def mixed(piece: Piece, cache: Cache) -> Path:
    """The mix, or the stems mixed as they were aligned. BadInput for stems that do not belong together."""
    if piece.mix is not None:
        return piece.mix.path
    assert piece.inst is not None and piece.vocal is not None
    inst, vocal = piece.inst, piece.vocal
    found = align(piece, cache)
    if found is not None and found.verdict == "fail":
        raise BadInput(piece.name, f"cannot be mixed: {'; '.join(found.reasons)}", "give stems of one recording")
    lag, drift = (found.lag_s, found.drift_ppm) if found is not None else (0.0, 0.0)
    return cache.get_or_make_file(
        "mixdown",
        ".".join((VERSION, alignment.VERSION, chain.VERSION)),
        piece.content_hash,
        {},
        lambda out: saying_names(lambda: mastering.mix(inst.path, vocal.path, out, lag, drift), inst, vocal),
        ".wav",
    )


def features(piece: Piece, cache: Cache) -> AudioFeatures:
    """Of the mix before mastering."""
    return _features(piece, cache, {"of": "mix"}, lambda: mixed(piece, cache))


def mastered_features(piece: Piece, preset: str, cache: Cache) -> AudioFeatures:
    """Of the master."""
    params = {"of": "master", "preset": preset, "chain": chain.VERSION}
    return _features(piece, cache, params, lambda: master(piece, preset, cache)[0])


def _features(piece: Piece, cache: Cache, params: Mapping[str, Any], path: Any) -> AudioFeatures:
    from pipelines.audio.features import extract

    version = ".".join((VERSION, alignment.VERSION, FEATURE_VERSION))
    return cache.get_or_compute(
        "sound",
        version,
        piece.content_hash,
        params,
        lambda: saying_names(lambda: extract(path()), *piece.files),
        AudioFeatures,
    )


def stem_features(file: MediaFile, cache: Cache) -> AudioFeatures:
    from pipelines.audio.features import extract

    return cache.get_or_compute(
        "sound",
        FEATURE_VERSION,
        file.content_hash,
        {"of": "stem"},
        lambda: saying_names(lambda: extract(file.path), file),
        AudioFeatures,
    )


def master(piece: Piece, preset: str, cache: Cache) -> tuple[Path, mastering.Master]:
    """The mastered file (24-bit WAV, read-only) and what was done."""
    version, params = version_of("masters"), {"preset": preset}
    made: list[mastering.Master] = []

    def make(out: Path) -> None:
        source = mixed(piece, cache)
        made.append(saying_names(lambda: mastering.master(source, out, preset), *piece.files))

    path = cache.get_or_make_file("master", version, piece.content_hash, params, make, ".wav")

    def told() -> mastering.Master:
        if not made:  # the file is stored, but whoever made it died before it could say how: the same again says so
            with work_folders.opened() as folder:
                make(folder / "again.wav")
        return made[0]

    facts = cache.get_or_compute("master", version, piece.content_hash, params, told, mastering.Master)
    return path, replace(facts, path=path)


def preview(piece: Piece, preset: str, cache: Cache) -> Path:
    source = master(piece, preset, cache)[0]
    return cache.get_or_make_file(
        "preview",
        version_of("previews"),
        piece.content_hash,
        {"preset": preset},
        lambda out: previews.preview(source, out),
        ".m4a",
    )


def peaks(piece: Piece, preset: str, cache: Cache) -> bytes:
    """audiowaveform's JSON."""
    source = master(piece, preset, cache)[0]
    return cache.get_or_put(
        "peaks",
        version_of("waveforms"),
        piece.content_hash,
        {"preset": preset},
        lambda: json.dumps(waveform.peaks(source)).encode(),
        ".json",
    )


def waveform_picture(piece: Piece, preset: str, cache: Cache) -> bytes:
    source = master(piece, preset, cache)[0]
    return cache.get_or_put(
        "waveform",
        version_of("waveforms"),
        piece.content_hash,
        {"preset": preset},
        lambda: waveform.picture(source),
        ".png",
    )
