"""What the checks of a batch ask: which items failed, what does not hold of the results, read back from the store.

What must hold is said in pipelines/validation and quality.py; each finding is a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines import outcomes
from pipelines.editing import batch
from pipelines.editing import job as stages
from pipelines.editing import shared as sharing
from pipelines.editing.job import EditJob, version_of
from pipelines.editing.plan import Edit
from pipelines.items import Item
from pipelines.storage import edits as edit_table
from pipelines.storage import features as feature_table
from pipelines.storage import jobs as job_table
from pipelines.studio import Studio
from pipelines.validation import invariants


def bad_uploads(studio: Studio, key: str) -> list[str]:
    return [r.error for r in batch.uploads(studio, key) if r.error]


def failures(studio: Studio, key: str, kind: str) -> list[str]:
    return outcomes.failures(studio, key, kind, version_of(kind))


def problems(studio: Studio, key: str, kind: str) -> list[str]:
    """What does not hold of the results of this step, read back from the store."""
    found: list[str] = []
    jobs = list(batch.usable_jobs(studio, key, kind if kind in batch.JOB_STEPS else None))
    for item in jobs:
        job = item.payload
        match kind:
            case "music_features":
                features = stages.music_features(job, studio.cache)
                found += _told(item, job.music.name, invariants.music_problems(features))
            case "video_features":
                for clip in job.clips:
                    problems = invariants.video_problems(stages.analyse_clip(clip, studio.cache))
                    found += _told(item, clip.name, problems)
            case "lyrics_features" if job.lyrics:
                problems = invariants.lyrics_problems(stages.analyse_lyrics(job.lyrics, studio.cache))
                found += _told(item, job.lyrics.name, problems)
            case "edit_patterns":
                for edit in _plans(studio, item):
                    found += _told(item, edit.pattern, invariants.plan_problems(edit))
    return found


def _told(item: Item[EditJob], what: str, problems: Sequence[str]) -> list[str]:
    return [f"{item.name}/{what}: {problem}" for problem in problems]


def alike_patterns(studio: Studio, key: str) -> list[str]:
    from pipelines.editing.quality import DIFFERENT, difference

    found = []
    for item in batch.usable_jobs(studio, key, "edit_patterns"):
        edits = _plans(studio, item)
        if len(edits) > 1 and (value := difference(edits)) < DIFFERENT:
            found.append(f"{item.name}: patterns differ by {value:.2f}, less than {DIFFERENT}; add clips")
    return found


def failed_gates(studio: Studio, key: str) -> list[str]:
    found = []
    with studio.database.session() as session:
        for row in job_table.of_batch(session, key):
            for edit in edit_table.of_job(session, row.id):
                gates: dict[str, dict[str, Any]] = (edit.quality or {}).get("gates", {})
                found += [
                    f"{row.name} {edit.pattern}: {name}: {gate['detail']}"
                    for name, gate in gates.items()
                    if gate["passed"] is False
                ]
    return found


def check_feature_store(studio: Studio, key: str) -> tuple[str, ...]:
    """The batch's rows of ``features_store``, one column a dimension, against their suite; nothing to say of none."""
    import pandas as pd

    from pipelines.validation.suites import check_feature_store

    version = version_of("music_features")
    with studio.database.session() as session:
        rows = [row for row in feature_table.of_batch(session, key) if row.feature_version == version]
    if not rows:
        return ()
    songs = {job.job_id: job.edit for job in batch.load(studio, key)}
    names = stages.music_features(songs[rows[0].job_id], studio.cache).names
    frame = pd.DataFrame([row.vec for row in rows], columns=list(names))
    for column in ("job_id", "content_hash", "clip_kind", "n_dim"):
        frame[column] = [getattr(row, column) for row in rows]
    return check_feature_store(frame, names, docs(studio, "feature_store", key)).failures


def check_shared_features(studio: Studio, key: str) -> tuple[str, ...]:
    """The batch's shared features, one row a job, against their suite; nothing to say of none."""
    import pandas as pd

    from pipelines.validation.suites import check_shared_features

    rows = [
        {"job": f"{item.job_id} {item.name}"} | sharing.summary(stages.shared_features(item.payload, studio.cache))
        for item in batch.usable_jobs(studio, key, "shared_features")
    ]
    if not rows:
        return ()
    return check_shared_features(pd.DataFrame(rows), docs(studio, "shared_features", key)).failures


def _plans(studio: Studio, item: Item[EditJob]) -> list[Edit]:
    return [stages.plan(item.payload, pattern, studio.cache) for pattern in item.payload.patterns]


def docs(studio: Studio, suite: str, key: str) -> Path:
    """The folder of this suite's Data Docs for the batch; index.html is the page to open."""
    return studio.settings.home_path / "data_docs" / suite / key
