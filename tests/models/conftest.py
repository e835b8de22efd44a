"""A studio over the test's own database and objects."""

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
    return Studio(replace(settings, workers="1"), database, objects, Cache(objects))
