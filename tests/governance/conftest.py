"""Studios over a local object store and over a real S3 API on loopback."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio


def _studio(settings: Settings, database: Database) -> Studio:
    objects = Objects.open(settings)
    return Studio(settings, database, objects, Cache(objects))


@pytest.fixture
def studio(settings: Settings, database: Database) -> Studio:
    return _studio(replace(settings, database_url=database.settings.database_url), database)


@pytest.fixture(params=["local", "s3"])
def any_studio(
    request: pytest.FixtureRequest,
    settings: Settings,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Studio:
    """One after the other: a folder, and S3 with copies on this disk."""
    settings = replace(settings, database_url=database.settings.database_url)
    if request.param == "s3":
        endpoint = request.getfixturevalue("s3_endpoint")
        for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
            monkeypatch.setenv(f"AWS_{name}", value)
        settings = replace(settings, objects_url=f"s3://studio/{tmp_path.name}", s3_endpoint=endpoint)
    return _studio(settings, database)
