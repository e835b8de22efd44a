"""The editing system's steps as pipelines.items runs them: one item in, its numbers and its picture out.

Each finds or makes its result through job.py's stages; nothing here computes anything but a summary.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines import result_folders, results
from pipelines.editing import job as stages
from pipelines.editing import publishing, quality
from pipelines.editing.job import EditJob
from pipelines.items import Produced
from pipelines.media.files import MediaFile
from pipelines.settings import Settings
from pipelines.storage.cache import Cache


@dataclass(frozen=True, slots=True)
class Song:
    file: MediaFile
    bpm: float | None


@dataclass(frozen=True, slots=True)
class Pattern:
    job: EditJob
    name: str


@dataclass(frozen=True, slots=True)
class Publication:
    """``folder``: the job whose results folder it goes to; None for one that is only to be measured."""

    job: EditJob
    folder: str | None


def analyse_music(settings: Settings, cache: Cache, song: Song) -> Produced:
    from pipelines.audio import analysis, pictures

    features = stages.analyse_music(song.file, song.bpm, cache)
    stored = cache.misses == 0
    picture = cache.get_or_put(
        "music_picture",
        analysis.VERSION,
        song.file.content_hash,
        {"bpm": song.bpm},
        lambda: pictures.mel_with_beats(song.file.path, features),
        ".png",
    )
    summary: dict[str, float | int | str] = {
        "seconds": features.duration,
        "BPM": round(features.bpm, 2),
        "BPM confidence": features.bpm_confidence,
        "beats": len(features.beats),
        "bars": len(features.downbeats),
        "sections": " ".join(features.section_labels),
        "LUFS": features.loudness_lufs,
        "LRA": features.loudness_range,
        "dBTP": features.true_peak_dbtp,
    }
    return Produced(stored, summary, picture)


def analyse_clip(settings: Settings, cache: Cache, clip: MediaFile) -> Produced:
    from pipelines.video import analysis, pictures

    features = stages.analyse_clip(clip, cache)
    stored = cache.misses == 0
    picture = cache.get_or_put(
        "video_picture",
        analysis.version(),
        clip.content_hash,
        {},
        lambda: pictures.strip_of_shots(clip.path, features),
        ".png",
    )
    summary: dict[str, float | int | str] = {
        "seconds": features.duration,
        "fps": features.fps,
        "size": f"{features.width}x{features.height}",
        "shots": len(features.shot_boundaries) + 1,
        "cuts at": ", ".join(map(str, features.shot_boundaries[:8])),
        "motion": float(np.mean(features.motion)),
        "brightness": float(np.mean(features.brightness)),
        "tags": ", ".join(dict.fromkeys(t for shot in features.shot_tags for t in shot)),
    }
    return Produced(stored, summary, picture)


def analyse_lyrics(settings: Settings, cache: Cache, words: MediaFile) -> Produced:
    from pipelines.lyrics import analysis, pictures

    features = stages.analyse_lyrics(words, cache)
    stored = cache.misses == 0
    end = float(np.nanmax(features.ends)) if features.timed else float(len(features.texts))
    picture = cache.get_or_put(
        "lyrics_picture",
        analysis.VERSION,
        words.content_hash,
        {},
        lambda: pictures.emotions_over_time(features, end),
        ".png",
    )
    strongest = np.asarray(analysis.EMOTIONS)[features.emotions.mean(axis=0).argmax()]
    summary: dict[str, float | int | str] = {
        "language": features.language,
        "phrases": len(features.texts),
        "timed": "yes" if features.timed else "no",
        "mood": str(strongest),
        "valence": float(features.valence.mean()),
        "arousal": float(features.arousal.mean()),
        "warnings": len(features.warnings),
    }
    return Produced(stored, summary, picture)


def share(settings: Settings, cache: Cache, job: EditJob) -> Produced:
    before = cache.misses
    shared = stages.shared_features(job, cache)
    summary: dict[str, float | int | str] = {
        "slots": len(shared.slot_energy),
        "windows": len(shared.window_clip),
        "heads": ", ".join(sorted(shared.heads)),
        "confidence": shared.confidence,
    }
    return Produced(cache.misses == before, summary)


def plan(settings: Settings, cache: Cache, job: EditJob) -> Produced:
    from pipelines.editing import pictures

    shared = stages.shared_features(job, cache)
    before = cache.misses
    edits = [stages.plan(job, pattern, cache) for pattern in job.patterns]
    stored = cache.misses == before
    keys = {e.pattern: cache.objects.put_bytes(e.to_json(), ".json") for e in edits}
    summary: dict[str, float | int | str] = {"seconds": edits[0].duration, "fps": float(edits[0].rate)}
    for edit in edits:
        summary[f"{edit.pattern} cuts"] = len(edit.segments) - 1
    summary["confidence"] = min(e.confidence for e in edits)
    return Produced(stored, summary, pictures.patterns_over_time(edits, shared), detail=keys)


def render(settings: Settings, cache: Cache, wanted: Pattern) -> Produced:
    from pipelines.video import pictures

    before = cache.misses
    path = stages.render(wanted.job, wanted.name, cache, segments_folder(settings))
    stored = cache.misses == before
    edit = stages.plan(wanted.job, wanted.name, cache)
    summary: dict[str, float | int | str] = {
        "pattern": wanted.name,
        "size": f"{edit.width}x{edit.height}",
        "frames": edit.n_frames,
        "MB": path.stat().st_size / 1e6,
    }
    key = path.relative_to(cache.objects.folder).as_posix()
    return Produced(stored, summary, pictures.contact_sheet(path, 15), key)


def publish(settings: Settings, cache: Cache, wanted: Publication) -> Produced:
    job, segments = wanted.job, segments_folder(settings)
    before = cache.misses
    judged = {pattern: stages.judge(job, pattern, cache, segments).to_dict() for pattern in job.patterns}
    stored = cache.misses == before
    summary: dict[str, float | int | str] = {f"{n} confidence": q["aggregateConfidence"] for n, q in judged.items()}
    if len(job.patterns) > 1:
        summary["difference"] = quality.difference([stages.plan(job, pattern, cache) for pattern in job.patterns])
    summary["failed gates"] = sum(g["passed"] is False for q in judged.values() for g in q["gates"].values())
    summary["folder"] = "none: the job was replaced in the inbox"
    if wanted.folder is not None:
        with result_folders.opened(settings, cache.objects, wanted.folder, "editing", own=_of_an_edit) as out:
            publishing.drop_former(out, job.patterns)
            publishing.publish(publishing.beside(job, out), out, cache, segments)
        summary["folder"] = results.place_of(settings, cache.objects, wanted.folder)
    return Produced(stored, summary, detail=judged)


def _of_an_edit(path: str) -> bool:
    return "/" not in path and results.described(path, 0).system == "editing"


def segments_folder(settings: Settings) -> Path:
    return settings.home_path / "segments"


def warm_clip(settings: Settings, cache: Cache, clip: MediaFile) -> Produced:
    """Only puts a clip's features into the cache, without their picture."""
    stages.analyse_clip(clip, cache)
    return Produced(cache.misses == 0)
