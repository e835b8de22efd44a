"""Rows of which a linear model learns whether an alignment is right, and what the assets do with them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from pipelines.mastering import learning, tasks, training_set
from pipelines.mastering.training_set import CORPUS_OWNER
from pipelines.models import candidates, incremental, snapshots
from pipelines.models.candidates import Released
from pipelines.models.incremental import Summary
from pipelines.models.training_set import TrainingSet
from pipelines.storage import features, generated, labels
from pipelines.studio import Studio

TASK = tasks.get("align_conf")
NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)


def add_rows(
    studio: Studio, first: int, n: int, *, told_by: int = 0, answers: tuple[str, ...] = ("right", "wrong")
) -> None:
    """Ten to a recording; the feature ``told_by`` is high for the first answer and low for the others."""
    rng = np.random.default_rng(first)
    names = training_set.feature_names(TASK.name)
    with studio.database.session() as session:
        job = generated.open_job(session, "rows", "c", CORPUS_OWNER, {})
        for i in range(first, first + n):
            place = i % len(answers)
            vec = rng.normal(size=len(names)).astype(np.float32)
            vec[told_by] += 4 if place == 0 else -4 * place
            version = training_set.feature_version(TASK.name)
            features.record(
                session,
                job_id=job,
                user_id=CORPUS_OWNER,
                clip_kind="vocal",
                vec=vec,
                stats={},
                content_hash=f"{i:064d}",
                feature_version=version,
            )
            labels.record(
                session,
                job_id=job,
                user_id=CORPUS_OWNER,
                task=TASK.name,
                content_hash=f"{i:064d}",
                clip_kind="vocal",
                feature_version=version,
                recording=f"generated-{i // 10}",
                answer=answers[place],
            )


def assembled(studio: Studio) -> TrainingSet:
    with studio.database.session() as session:
        return training_set.assemble(session, TASK.name, now=NOW)


def weekly(studio: Studio) -> Released:
    """What the assets do for this task, one after another."""
    row = snapshots.save(studio, assembled(studio), {"rows": "all"}, NOW, assembled_at=NOW)
    candidates.choose_snapshot(studio, row)
    candidates.train(studio, TASK)
    return candidates.release(studio, TASK, NOW, learning.LICENCES)


def learn_on(studio: Studio) -> Summary:
    def assemble(session: object, task: str) -> TrainingSet:
        return assembled(studio)

    return incremental.learn_on(studio, TASK, assemble, lambda data: {"rows": "all"}, NOW, learning.LICENCES)


def due(studio: Studio) -> str | None:
    return incremental.due(studio, TASK, training_set.feature_version(TASK.name))
