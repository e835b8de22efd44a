"""Processes that do the same thing at the same moment. Imports little, since each of them imports it anew."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from datetime import datetime
from multiprocessing.synchronize import Barrier
from typing import Any

from pipelines.models import rollout
from pipelines.models.rollout import Routes
from pipelines.settings import Settings
from pipelines.storage.database import Database
from pipelines.studio import Studio


def at_once(deed: Callable[..., None], *arguments: Any) -> None:
    """Runs ``deed(barrier, *arguments)`` in two processes; both must end well."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    workers = [context.Process(target=deed, args=(barrier, *arguments)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]


def promote(barrier: Barrier, settings: Settings, seen: Routes, now: datetime) -> None:
    database = Database(settings)
    with database.session() as session:
        barrier.wait()
        rollout.promote(session, seen.name, seen, now, "rules", "all is well")
    database.dispose()


def roll_back(barrier: Barrier, settings: Settings, seen: Routes, now: datetime) -> None:
    database = Database(settings)
    with database.session() as session:
        barrier.wait()
        rollout.roll_back(session, seen.name, seen, now, "rules", "it fails")
    database.dispose()


def check(barrier: Barrier, studio: Studio) -> None:
    from pipelines.models import watching
    from pipelines.notifier import Notifier

    barrier.wait()
    watching.check(studio, Notifier(studio.settings, studio.database))
    studio.database.dispose()
