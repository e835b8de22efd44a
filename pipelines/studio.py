"""The state that a step of a batch works on: settings, database, objects, cache."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.settings import Settings

if TYPE_CHECKING:  # every asset names this type, and the code location is to load without the stores' libraries
    from pipelines.storage.cache import Cache
    from pipelines.storage.database import Database
    from pipelines.storage.objects import Objects


@dataclass(frozen=True, slots=True)
class Studio:
    settings: Settings
    database: Database
    objects: Objects
    cache: Cache

    @classmethod
    def open(cls, settings: Settings) -> Studio:
        """Opens the stores and brings the schema up to date. Raises Unavailable when a store cannot be reached."""
        from pipelines.storage.cache import Cache
        from pipelines.storage.database import Database
        from pipelines.storage.objects import Objects

        database = Database(settings)
        database.migrate()
        objects = Objects.open(settings)
        return cls(settings, database, objects, Cache(objects))


@contextlib.contextmanager
def beside(settings: Settings, cache: Cache) -> Iterator[Studio]:
    """The studio in whatever process a step runs, with the cache that the step was handed."""
    from pipelines.storage.database import Database

    database = Database(settings)
    try:
        yield Studio(settings, database, cache.objects, cache)
    finally:
        database.dispose()
