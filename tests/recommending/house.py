"""A studio that has taken tables in, and goes through the steps of the job `recommending` without Dagster."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from pipelines.intake import batches, ingest, scan
from pipelines.recommending import batch, learning
from pipelines.studio import Studio


def take(studio: Studio, folder: Path) -> str:
    """Puts the job folder through the intake and reads its tables; the key of its batch."""
    settings = studio.settings
    ingest.ingest(folder, settings.inbox, settings)
    time.sleep(settings.number("settle_seconds"))
    found = scan.scan(settings.inbox, studio.database, studio.objects, settings)
    assert found.problems == []
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session, datetime.now(UTC))
        batches.mark_requested(session, made.key)
    results = batch.load(studio, made.key)
    assert [r.error for r in results] == [None] * len(results)
    with studio.database.session() as session:
        batches.mark_finished(session, made.key)
    return made.key


def candidates_folder(studio: Studio) -> Path:
    return studio.objects.folder / "features" / "candidate"


def learn(studio: Studio, kept: Path | None = None) -> None:
    """Interactions to judged candidate. ``kept``: where the same trainings may lie from an earlier test."""
    assert learning.assemble(studio) is not None
    target = candidates_folder(studio)
    if kept is not None and kept.is_dir() and not target.exists():
        shutil.copytree(kept, target)
    learning.train(studio)
    learning.evaluate(studio)
    if kept is not None and not kept.exists():
        shutil.copytree(target, kept)


def release(studio: Studio) -> None:
    """Registered, embedded, rolled out."""
    learning.register(studio)
    learning.sync(studio)
    learning.begin(studio)
