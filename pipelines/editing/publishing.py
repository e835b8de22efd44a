"""What a person takes away from a job: a folder of MP4s, timelines, the quality and the report.

How each comes about is left to job.py's stages, how files are written to timelines.py and report.py.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines import results
from pipelines.editing import job as stages
from pipelines.editing import quality, report, timelines
from pipelines.editing.job import EditJob
from pipelines.editing.plan import Edit
from pipelines.editing.verdicts import Quality
from pipelines.media.files import MediaFile
from pipelines.media.replacing import replacing
from pipelines.storage.cache import Cache


def beside(job: EditJob, out: Path) -> EditJob:
    """The job with its files under ``out/media`` by their own names, where timelines of that folder find them."""
    folder = out / results.ORIGINALS
    folder.mkdir(parents=True, exist_ok=True)

    def link(file: MediaFile) -> MediaFile:
        place = folder / file.name
        if not (place.is_symlink() and place.readlink() == file.path):
            temporary = folder / f".{file.content_hash[:16]}.new"  # a name of its own may be as long as names can be
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(file.path)
            temporary.replace(place)
        return replace(file, path=place)

    return replace(job, music=link(job.music), clips=tuple(link(c) for c in job.clips))


def drop_former(out: Path, patterns: Sequence[str]) -> None:
    """Removes the files of patterns that the results in ``out`` have and the next ones will not; no other file."""
    try:
        former = json.loads((out / "quality.json").read_text(encoding="utf-8"))["patterns"]
    except FileNotFoundError:
        return
    for pattern in set(former) - set(patterns):
        for ending in ("otio", "edl", "xml", "fcpxml", "json", "mp4"):
            (out / f"{pattern}.{ending}").unlink(missing_ok=True)


def publish(job: EditJob, out: Path, cache: Cache, segments: Path, *, rendered: bool = True) -> dict[str, Any]:
    """Writes what a person takes away into the folder ``out``; returns what lies where and how good it is.

    Per pattern NAME.otio .edl .xml .fcpxml .json and, when ``rendered``, NAME.mp4; then quality.json and report.html.
    """
    edits = [stages.bind(stages.plan(job, pattern, cache), job) for pattern in job.patterns]
    # All that can fail comes before the first file is written, so old and new results never lie side by side.
    qualities = [stages.judge(job, e.pattern, cache, segments) for e in edits] if rendered else []
    music = stages.music_features(job, cache)
    sections = list(zip(music.section_boundaries[:-1].tolist(), music.section_labels, strict=True))
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, dict[str, str]] = {}
    for edit in edits:
        written = timelines.write(edit, out, edit.pattern, sections=sections)
        files[edit.pattern] = {k: str(p) for k, p in written.items()}
    result: dict[str, Any] = {"out": str(out), "patterns": files, "rendered": rendered}
    if rendered:
        result |= _publish_renders(job, edits, qualities, out, cache, segments, files)
    return result


def _publish_renders(
    job: EditJob,
    edits: Sequence[Edit],
    qualities: Sequence[Quality],
    out: Path,
    cache: Cache,
    segments: Path,
    files: dict[str, dict[str, str]],
) -> dict[str, Any]:
    for edit in edits:
        video_file = out / f"{edit.pattern}.mp4"
        with replacing(video_file) as temporary:
            shutil.copyfile(stages.render(job, edit.pattern, cache, segments), temporary)
        files[edit.pattern]["mp4"] = str(video_file)
    summary = {
        "patterns": {q.pattern: q.to_dict() for q in qualities},
        "difference": quality.difference(edits),
    }
    with replacing(out / "quality.json") as temporary:
        temporary.write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    report.write(
        edits,
        qualities,
        stages.music_features(job, cache),
        [stages.analyse_clip(c, cache) for c in job.clips],
        stages.analyse_lyrics(job.lyrics, cache) if job.lyrics else None,
        stages.shared_features(job, cache),
        out / "report.html",
        videos={e.pattern: f"{e.pattern}.mp4" for e in edits},
    )
    return {"quality": summary, "report": str(out / "report.html")}
