"""What the checks of a batch ask: which items failed, what does not hold of the results, read back from the store.

What must hold is said in pipelines/validation and quality.py; each finding is a sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.editing import batch
from pipelines.editing import job as stages
from pipelines.editing import shared as sharing
from pipelines.editing.job import EditJob, version_of
from pipelines.editing.plan import Edit
from pipelines.items import Item
from pipelines.storage import edits as edit_table
from pipelines.storage import features as feature_table
from pipelines.storage import items as item_table
from pipelines.storage import jobs as job_table
from pipelines.studio import Studio
from pipelines.validation import invariants

if TYPE_CHECKING:
    from pipelines.validation.gate import Verdict


def bad_uploads(studio: Studio, key: str) -> list[str]:
    return [r.error for r in batch.uploads(studio, key) if r.error]


def failures(studio: Studio, key: str, kind: str) -> list[str]:
    """Why items of this step failed, in its present version."""
    with studio.database.session() as session:
        return [row.error or "" for row in item_table.failures(session, key, kind, version_of(kind))]


def problems(studio: Studio, key: str, kind: str) -> list[str]:
    """What does not hold of the results of this step, read back from the store."""
    jobs = list(batch.usable_jobs(studio, key))
    found: dict[str, list[str]] = {}
    for item in jobs:
        job = item.payload
        match kind:
            case "music_features":
                found[job.music.name] = invariants.music_problems(stages.music_features(job, studio.cache))
            case "video_features":
                for clip in job.clips:
                    found[clip.name] = invariants.video_problems(stages.analyse_clip(clip, studio.cache))
            case "lyrics_features" if job.lyrics:
                found[job.lyrics.name] = invariants.lyrics_problems(stages.analyse_lyrics(job.lyrics, studio.cache))
            case "edit_patterns":
                for edit in _plans(studio, item):
                    found[f"{item.name} {edit.pattern}"] = invariants.plan_problems(edit)
    return [f"{name}: {problem}" for name, sentences in found.items() for problem in sentences]


def alike_patterns(studio: Studio, key: str) -> list[str]:
    from pipelines.editing.quality import DIFFERENT, difference

    found = []
    for item in batch.usable_jobs(studio, key):
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


def check_feature_store(studio: Studio, key: str) -> Verdict:
    """The batch's rows of ``features_store``, one column a dimension, against their suite."""
    import pandas as pd

    from pipelines.validation.suites import check_feature_store

    with studio.database.session() as session:
        rows = feature_table.of_batch(session, key)
    items_ = list(batch.usable_jobs(studio, key))
    names = stages.music_features(items_[0].payload, studio.cache).names if items_ else ()
    frame = pd.DataFrame([row.vec for row in rows], columns=list(names) if rows else None)
    for column in ("job_id", "content_hash", "clip_kind", "n_dim"):
        frame[column] = [getattr(row, column) for row in rows]
    return check_feature_store(frame, names, _docs(studio, "feature_store", key))


def check_shared_features(studio: Studio, key: str) -> Verdict:
    import pandas as pd

    from pipelines.validation.suites import check_shared_features

    frame = pd.DataFrame(
        [
            {"job": item.name} | sharing.summary(stages.shared_features(item.payload, studio.cache))
            for item in batch.usable_jobs(studio, key)
        ]
    )
    return check_shared_features(frame, _docs(studio, "shared_features", key))


def _plans(studio: Studio, item: Item[EditJob]) -> list[Edit]:
    return [stages.plan(item.payload, pattern, studio.cache) for pattern in item.payload.patterns]


def _docs(studio: Studio, suite: str, key: str) -> Path:
    return studio.settings.home_path / "data_docs" / suite / key
