from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    """A studio with nothing in it."""
    found = replace(settings, database_url=database.settings.database_url)  # for steps that open it themselves
    return Studio(found, database, objects, Cache(objects))
