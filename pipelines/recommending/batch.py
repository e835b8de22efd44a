"""The decisions of a batch: the tables of its jobs, read into the database, every outcome recorded.

How a table is read is importing.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines import outcomes
from pipelines.items import Item, Produced, Result
from pipelines.recommending import importing
from pipelines.settings import Settings
from pipelines.storage import jobs
from pipelines.storage.cache import Cache
from pipelines.studio import Studio

STEP = "decisions"
VERSION = "1"
KINDS = frozenset({"videos", "decisions", "tags"})


@dataclass(frozen=True, slots=True)
class Tables:
    job_id: int


def load(studio: Studio, key: str) -> list[Result[Any]]:
    """One item a job that holds tables. They are read each time, since decisions may have been withdrawn or deleted
    since; rows that are there already change nothing."""
    with studio.database.session() as session:
        rows = [row for row in jobs.of_batch(session, key) if KINDS & {u.kind for u in row.uploads if u.object_key}]
    work = [Item(row.name, row.content_hash, Tables(row.id), job_id=row.id) for row in rows]
    return outcomes.run(studio, STEP, VERSION, work, read, ahead=None)


def read(settings: Settings, cache: Cache, tables: Tables) -> Produced:
    """The step of one job, wherever it runs."""
    from pipelines.storage.database import Database

    database = Database(settings)
    try:
        found = importing.load(Studio(settings, database, cache.objects, cache), tables.job_id)
    finally:
        database.dispose()
    return Produced(stored=False, summary=found.summary())


def failures(studio: Studio, key: str) -> list[str]:
    """Why tables of the batch could not be read."""
    return outcomes.failures(studio, key, STEP, VERSION)
