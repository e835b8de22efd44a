"""From what an asset tells there is a way to the admin page where a person acts on it."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg
import pytest

from assets import governance, models
from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

PAGES = {
    models.model_rollouts: "/models",
    governance.withdrawals: "/withdrawals",
    governance.storage_use: "/",
    governance.audit_trail: "/audit",
}


@pytest.mark.parametrize(("asset", "path"), list(PAGES.items()), ids=lambda one: one if isinstance(one, str) else "")
def test_an_asset_leads_to_its_page(
    settings: Settings, database: Database, objects: Objects, asset: dg.AssetsDefinition, path: str
) -> None:
    settings = replace(settings, api_url="https://studio.example/", database_url=database.settings.database_url)
    with dg.DagsterInstance.ephemeral() as instance:
        studio = Studio(settings, database, objects, Cache(objects))
        done = dg.materialize([asset], instance=instance, resources={"studio": studio})
    (event,) = done.get_asset_materialization_events()
    assert event.materialization.metadata["page"] == dg.MetadataValue.url(f"https://studio.example{path}")
