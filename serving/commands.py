"""Orimono: a studio's uploads become features, models and finished work.

Each function is one command: it returns what --json prints and what a person reads. Arguments are cli.py's.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.editing.job import EditJob
    from pipelines.media.files import MediaFile
    from pipelines.storage.cache import Cache

UNSURE = 0.3  # tempo confidence below which an editor should listen before trusting the cuts
Answer = tuple[dict[str, Any], str]


def features(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.audio import analysis

    path = Path(arguments.file)
    music = analysis.analyse(path, max_hours=settings.number("max_media_hours"))
    result = {
        "file": str(path),
        "n_dim": len(music.vector),
        "names": list(music.names),
        "vector": [float(v) for v in music.vector],
        "loudness": {
            "integrated_lufs": music.loudness_lufs,
            "range_lu": music.loudness_range,
            "true_peak_dbtp": music.true_peak_dbtp,
        },
        "tempo": {"bpm": music.bpm, "confidence": music.bpm_confidence, "beats_per_bar": music.beats_per_bar},
    }
    text = (
        f"{path.name}: {music.duration:.2f} s, {len(music.vector)} features\n"
        f"loudness  {music.loudness_lufs:.1f} LUFS, range {music.loudness_range:.1f} LU, "
        f"true peak {music.true_peak_dbtp:.1f} dBTP\n"
        f"tempo     {music.bpm:.2f} BPM (confidence {music.bpm_confidence:.2f}), {music.beats_per_bar} beats a bar"
    )
    return result, text


def analyse(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.video.analysis import analyse as analyse_video

    path = Path(arguments.video)
    found = analyse_video(path)
    boundaries = [int(b) for b in found.shot_boundaries]
    result = {
        "file": str(path),
        "fps": found.fps,
        "frames": found.n_frames,
        "duration": found.duration,
        "width": found.width,
        "height": found.height,
        "shot_boundaries": boundaries,
        "motion": {
            "mean": float(found.motion.mean()),
            "max": float(found.motion.max()),
            "shape": list(found.motion.shape),
        },
        "histograms": {"shape": list(found.histograms.shape)},
        "shot_tags": [list(t) for t in found.shot_tags],
    }
    text = (
        f"{path.name}: {found.width}x{found.height}, {found.fps:g} fps, {found.n_frames} frames, "
        f"{found.duration:.2f} s\n"
        f"shots      {len(boundaries) + 1}, boundaries at frames {', '.join(map(str, boundaries)) or 'none'}\n"
        f"motion     mean {found.motion.mean():.3f} diagonals a second\n"
        f"histograms {found.histograms.shape[0]} x {found.histograms.shape[1]}"
    )
    return result, text


def edit(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.editing import job as stages
    from pipelines.editing import publishing
    from pipelines.editing.clocks import parse_rate
    from pipelines.storage.cache import Cache
    from pipelines.storage.objects import Objects

    out = _folder(arguments.out)
    cache = Cache(Objects.open(settings))
    clips = {c.content_hash: c for c in (_media(p) for p in arguments.video)}
    job = stages.EditJob(
        music=_media(arguments.music),
        clips=tuple(clips.values()),
        lyrics=_media(arguments.lyrics) if arguments.lyrics else None,
        duration=arguments.duration,
        fps=parse_rate(arguments.fps),
        patterns=_patterns(arguments.patterns),
    )
    if job.duration is None:
        job = stages.with_default_duration(job, cache)
    _analyse_all(job, settings, cache)
    result = publishing.publish(job, out, cache, settings.home_path / "segments", rendered=not arguments.no_render)
    result["notes"] = _notes(job, cache)
    count = len(job.patterns)
    lines = [*result["notes"], f"{count} edit{'s' * (count != 1)} in {out}"]
    for name in job.patterns:
        score = result["quality"]["patterns"][name]["aggregateConfidence"] if result["rendered"] else None
        lines.append(
            f"  {name:12}" + (f" confidence {score:.2f}  {name}.mp4" if score is not None else f" {name}.otio")
        )
    if result["rendered"]:
        lines.append(f"report      {result['report']}")
    return result, "\n".join(lines)


def _notes(job: EditJob, cache: Cache) -> list[str]:
    """What the inputs lack and the edits therefore rest on less."""
    from pipelines.editing import job as stages

    notes = []
    music = stages.music_features(job, cache)
    if not len(music.beats):
        notes.append(f"{job.music.name}: no steady beat was found, so cuts are spaced evenly")
    elif music.bpm_confidence < UNSURE:
        notes.append(f"{job.music.name}: its beat is uncertain (confidence {music.bpm_confidence:.2f})")
    if job.lyrics:
        words = stages.analyse_lyrics(job.lyrics, cache)
        notes += [f"{job.lyrics.name}: {warning}" for warning in words.warnings[:5]]
        if not words.timed:
            notes.append(f"{job.lyrics.name}: has no times, so its lines are spread evenly over the song")
    return notes


def _analyse_all(job: EditJob, settings: Settings, cache: Cache) -> None:
    """Side by side, in processes; a bad file among the inputs is the caller's error here, not one item's."""
    from pipelines import items
    from pipelines.editing import steps

    work = [items.Item(c.name, c.content_hash, c) for c in job.clips]
    for result in items.run(settings, work, steps.warm_clip):
        if result.failure:
            raise result.failure


def _media(text: str) -> MediaFile:
    from pipelines.media.files import MediaFile
    from pipelines.media.hashing import content_hash

    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise BadInput(text, "is not a file", "check the path")
    return MediaFile(path, content_hash(path), path.name)


def _folder(text: str) -> Path:
    """Where results may be written, told before anything is computed; it is not made yet."""
    path = Path(text).expanduser().resolve()
    there = next(p for p in (path, *path.parents) if p.exists())
    if not there.is_dir():
        raise BadInput(there, "is a file", "give another --out folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(there, "may not be written to", "give another --out folder, or allow writing")
    return path


def _patterns(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(n.strip() for n in text.split(",") if n.strip()))
    if not names:
        raise BadInput("--patterns", "names no pattern", "give some, such as dynamic,narrative")
    return names


def ingest(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.intake import ingest as intake

    target = intake.ingest(Path(arguments.dir).expanduser(), settings.inbox, settings)
    return {"job": target.name, "inbox": str(target)}, f"{target.name} is in the inbox: {target}"


def status(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines import status as states
    from pipelines.studio import Studio

    report = states.report(Studio.open(settings))
    return report.to_dict(), "\n".join(report.lines()) or "Nothing is waiting, nothing has failed."


def retry(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines import status as states
    from pipelines.studio import Studio

    asked = states.retry(Studio.open(settings))
    lines = []
    if asked.batches:
        lines.append(f"{len(asked.batches)} batches will run again: {', '.join(asked.batches)}")
    if asked.refused_jobs:
        lines.append(f"{asked.refused_jobs} refused jobs will be looked at again")
    if asked.chunks:
        lines.append(f"{asked.chunks} chunks of sheets will be asked about again")
    result = {"batches": list(asked.batches), "refused_jobs": asked.refused_jobs, "chunks": asked.chunks}
    return result, "\n".join(lines) or "Nothing has failed."


def config(arguments: Namespace, settings: Settings) -> Answer:
    rows: Sequence[dict[str, Any]] = [
        {
            "variable": f"ORIMONO_{f.name.upper()}",
            "value": _shown(getattr(settings, f.name), bool(f.metadata["secret"])),
            "default": f.default,
            "set": any(os.environ.get(f"ORIMONO_{f.name.upper()}{end}") for end in ("", "_FILE")),
            "help": f.metadata["help"],
        }
        for f in fields(settings)
    ]
    width = max(len(r["variable"]) for r in rows)
    lines = [f"{r['variable']:{width}} = {r['value'] or '(unset)'}\n{'':{width}}   {r['help']}" for r in rows]
    return {"settings": rows}, "\n".join(lines)


def up(arguments: Namespace, settings: Settings) -> Answer:
    from serving.up import up as start

    port, api_port = arguments.port or settings.whole("port"), arguments.api_port or settings.whole("api_port")
    return {"exit_code": start(settings, port, api_port)}, "stopped"


def serve(arguments: Namespace, settings: Settings) -> Answer:
    from serving.api.server import serve as start

    return {"exit_code": start(settings, arguments.port)}, "stopped"


def demo(arguments: Namespace, settings: Settings) -> Answer:
    from pipelines.settings import PROJECT
    from serving.demo import demo as make

    return make(settings, Path(arguments.samples or PROJECT / "sample" / "jobs"))


def _shown(value: str, secret: bool) -> str:
    return "(hidden)" if secret and value else value
