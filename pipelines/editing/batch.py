"""The editing system over a batch: which items each step has, and where its results are recorded.

Every step takes the batch's key, skips what is stored, records each item's outcome and returns all of them. What the
checks ask of the results is findings.py's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pipelines import items, outcomes
from pipelines.editing import job as stages
from pipelines.editing import steps
from pipelines.editing.clocks import parse_rate
from pipelines.editing.job import EditJob, version_of
from pipelines.errors import OrimonoError
from pipelines.items import Item, Produced, Result
from pipelines.media.files import MediaFile
from pipelines.outcomes import job_id
from pipelines.storage import edits as edit_table
from pipelines.storage import features as feature_table
from pipelines.storage import items as item_table
from pipelines.storage import jobs as job_table
from pipelines.storage import tables
from pipelines.storage.cache import params_hash
from pipelines.studio import Studio

T = TypeVar("T")
JOB_STEPS = ("shared_features", "edit_patterns", "edit_renders")  # one item a job or a pattern, each from the last


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One job of a batch, its files at hand. ``slug`` names its results folder."""

    job_id: int
    slug: str
    owner: str
    edit: EditJob
    uploads: dict[str, int]  # content hash -> upload id


def load(studio: Studio, key: str) -> list[BatchJob]:
    """The batch's jobs that are to be edited, their files at local paths (fetched when the object store is far)."""
    with studio.database.session() as session:
        rows = job_table.of_batch(session, key)
    return [_batch_job(studio, row) for row in rows if any(u.kind == "music" and u.object_key for u in row.uploads)]


def _batch_job(studio: Studio, row: tables.Job) -> BatchJob:
    def files(kind: str) -> list[MediaFile]:
        return [
            MediaFile(studio.objects.local(u.object_key), u.content_hash, u.name, tuple(u.tags))
            for u in row.uploads
            if u.kind == kind and u.object_key is not None
        ]

    wanted = row.edit
    clips = {c.content_hash: c for c in files("clip")}
    edit = EditJob(
        music=files("music")[0],
        clips=tuple(clips.values()),
        lyrics=next(iter(files("lyrics")), None),
        duration=wanted.get("duration"),
        fps=parse_rate(str(wanted.get("fps") or 25)),
        patterns=tuple(wanted.get("patterns") or stages.DEFAULT_PATTERNS),
        bpm=row.bpm,
    )
    return BatchJob(row.id, row.name, row.owner or "", edit, {u.content_hash: u.id for u in row.uploads})


def uploads(studio: Studio, key: str) -> list[Result[None]]:
    """What came in, refused files and jobs included. Nothing is computed."""
    with studio.database.session() as session:
        rows = job_table.of_batch(session, key)
    return [
        Result(
            Item(f"{row.name}/{u.name}", u.content_hash, None),
            Produced(True, {"kind": u.kind, "owner": u.owner, "MB": u.size / 1e6, "tags": ", ".join(u.tags)}),
            OrimonoError(f"{row.name}/{u.error}") if u.error else None,
        )
        for row in rows
        for u in row.uploads
    ]


def analyse_music(studio: Studio, key: str) -> list[Result[Any]]:
    jobs = load(studio, key)
    work = [
        _item(j, j.edit.music, steps.Song(j.edit.music, j.edit.bpm), params_hash({"bpm": j.edit.bpm})) for j in jobs
    ]
    results = _run(studio, "music_features", work, steps.analyse_music)
    _store_features(studio, jobs, results)
    return results


def analyse_clips(studio: Studio, key: str) -> list[Result[Any]]:
    work = [_item(j, clip, clip) for j in load(studio, key) for clip in j.edit.clips]
    return _run(studio, "video_features", work, steps.analyse_clip)


def analyse_lyrics(studio: Studio, key: str) -> list[Result[Any]]:
    work = [_item(j, j.edit.lyrics, j.edit.lyrics) for j in load(studio, key) if j.edit.lyrics]
    return _run(studio, "lyrics_features", work, steps.analyse_lyrics)


def share(studio: Studio, key: str) -> list[Result[Any]]:
    return _run(studio, "shared_features", list(usable_jobs(studio, key)), steps.share)


def plan(studio: Studio, key: str) -> list[Result[Any]]:
    results = _run(studio, "edit_patterns", list(usable_jobs(studio, key, "shared_features")), steps.plan)
    with studio.database.session() as session:
        for result in results:
            for pattern, plan_key in (result.produced.detail if result.produced else {}).items():
                edit_table.save_plan(session, job_id(result), pattern, plan_key)
    return results


def render(studio: Studio, key: str) -> list[Result[Any]]:
    work = [
        Item(f"{i.name} {p}", i.content_hash, steps.Pattern(i.payload, p), _params(i.payload, p), i.job_id)
        for i in usable_jobs(studio, key, "edit_patterns")
        for p in i.payload.patterns
    ]
    results = _run(studio, "edit_renders", work, steps.render)
    with studio.database.session() as session:
        for result in results:
            if result.produced and result.produced.object_key:
                pattern = result.item.payload.name
                edit_table.save_render(session, job_id(result), pattern, result.produced.object_key)
    return results


def judge(studio: Studio, key: str) -> list[Result[Any]]:
    """Measures every MP4, then publishes each job's results folder.

    The folder is the inbox folder's of the same name, so a job that was replaced there is measured, but not published.
    """
    work = []
    for item in list(usable_jobs(studio, key, "edit_renders")):
        with studio.database.session() as session:
            replaced = job_table.presented(session, item.name) != item.job_id
        payload = steps.Publication(item.payload, None if replaced else item.name)
        # Each job has a folder to itself, however alike their contents are.
        params = params_hash({"job": item.job_id})
        work.append(Item(item.name, item.content_hash, payload, params, item.job_id))
    results = _run(studio, "edit_quality", work, steps.publish, ahead=lambda one: replace(one, folder=None))
    with studio.database.session() as session:
        for result in results:
            for pattern, quality in (result.produced.detail if result.produced else {}).items():
                edit_table.save_quality(session, job_id(result), pattern, quality)
    return results


def usable_jobs(studio: Studio, key: str, after: str | None = None) -> Iterator[Item[EditJob]]:
    """Jobs without the files whose analysis failed; a job that has no music or no clip left is not among them.

    Nor is one that failed at the step ``after`` or before it: that has been told, and would only fail here again.
    """
    jobs = load(studio, key)
    steps_before = JOB_STEPS[: JOB_STEPS.index(after) + 1] if after else ()
    with studio.database.session() as session:
        failed = {
            (row.job_id, kind, row.content_hash)
            for kind in ("music_features", "video_features", "lyrics_features")
            for row in item_table.failures(session, key, kind, version_of(kind))
        }
        ended = {row.job_id for s in steps_before for row in item_table.failures(session, key, s, version_of(s))}
    for job in jobs:
        if job.job_id in ended:
            continue
        edit = job.edit
        clips = tuple(c for c in edit.clips if (job.job_id, "video_features", c.content_hash) not in failed)
        if (job.job_id, "music_features", edit.music.content_hash) in failed or not clips:
            continue
        words = edit.lyrics
        if words and (job.job_id, "lyrics_features", words.content_hash) in failed:
            words = None
        usable = replace(edit, clips=clips, lyrics=words)
        if usable.duration is None:
            usable = stages.with_default_duration(usable, studio.cache)
        yield Item(job.slug, usable.content_hash(), usable, _params(usable, *usable.patterns), job.job_id)


def _params(job: EditJob, *patterns: str) -> str:
    """What distinguishes two jobs of equal content: ``items.run`` computes equal items once."""
    return params_hash({"fps": str(job.fps), "patterns": patterns})


def _item(job: BatchJob, file: MediaFile, payload: T, params: str = "") -> Item[T]:
    return Item(
        f"{job.slug}/{file.name}", file.content_hash, payload, params, job.job_id, job.uploads[file.content_hash]
    )


def _run(
    studio: Studio, kind: str, work: Sequence[Item[T]], step: items.Step[T], ahead: items.Ahead[T] = items.whole
) -> list[Result[T]]:
    return outcomes.run(studio, kind, version_of(kind), work, step, ahead=ahead)


def _store_features(studio: Studio, jobs: Sequence[BatchJob], results: Sequence[Result[Any]]) -> None:
    found = []
    for job, result in zip(jobs, results, strict=True):
        if result.error is None:
            features = stages.music_features(job.edit, studio.cache)
            stats = {"duration": features.duration, "bpm": features.bpm, "lufs": _json(features.loudness_lufs)}
            made_of = (job.edit.music.content_hash, version_of("music_features"))
            found.append(feature_table.NewFeatures(job.job_id, job.owner, "mix", features.vector, stats, *made_of))
    with studio.database.session() as session:
        feature_table.record_all(session, found)


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None
