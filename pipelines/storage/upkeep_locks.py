"""Locks of upkeep in the database, which fall with whoever held them: one collection of garbage at a time, and none
while a backup copies what it may delete."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import text

from pipelines.errors import Unavailable
from pipelines.storage.database import Database

GARBAGE_LOCK = 5_283_114_906


@contextlib.contextmanager
def no_garbage_collection(database: Database) -> Iterator[None]:
    """Unavailable while one is at work."""
    yield from _held(database, "pg_try_advisory_xact_lock_shared", "objects that nothing refers to are being deleted")


@contextlib.contextmanager
def collecting_garbage(database: Database) -> Iterator[None]:
    """Unavailable while another process does, or a backup is being made."""
    yield from _held(database, "pg_try_advisory_xact_lock", "a backup or another collection is under way")


def _held(database: Database, function: str, reason: str) -> Iterator[None]:
    with database.session() as guard:
        if not guard.execute(text(f"select {function}(:lock)"), {"lock": GARBAGE_LOCK}).scalar():
            raise Unavailable("the object store", reason, 60)
        yield
