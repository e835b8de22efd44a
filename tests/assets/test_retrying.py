"""What is away is asked again, what is bad is not: for assets and for their checks, as Dagster runs them."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import dagster as dg
import pytest

from definitions import build_defs
from pipelines.editing import batch, findings
from pipelines.errors import BadInput, Unavailable
from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

KEY = "20200101-0001"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        found.add_dynamic_partitions("batches", [KEY])
        yield found


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(settings, database, objects, Cache(objects))


@pytest.mark.parametrize(
    ("module", "function"), [(batch, "uploads"), (findings, "bad_uploads")], ids=["asset", "check"]
)
@pytest.mark.parametrize(
    ("error", "failing", "calls", "succeeds"),
    [
        (Unavailable("the store", "is away", 0), 2, 3, True),
        (Unavailable("the store", "is away", 0), 99, 4, False),
        (BadInput("song.ogg", "is empty", "upload it again"), 1, 1, False),
    ],
)
def test_only_what_is_away_is_tried_again(
    studio: Studio,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    function: str,
    error: Exception,
    failing: int,
    calls: int,
    succeeds: bool,
) -> None:
    made = 0

    def away(*_: object) -> list[object]:
        nonlocal made
        made += 1
        if made <= failing:
            raise error
        return []

    monkeypatch.setattr(findings, "bad_uploads", lambda *_: [])  # which asks batch.uploads itself
    monkeypatch.setattr(module, function, away)
    result = (
        build_defs(resources={"studio": studio})
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            instance=instance, partition_key=KEY, asset_selection=[dg.AssetKey("uploads")], raise_on_error=False
        )
    )
    assert (made, result.success) == (calls, succeeds)
