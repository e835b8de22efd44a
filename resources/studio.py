"""Hands the assets a Studio: settings, database, object store and cache. No rule of the business lives here."""

from __future__ import annotations

import dagster as dg

from pipelines import settings
from pipelines.studio import Studio


class StudioResource(dg.ConfigurableResource[Studio]):
    """Opened once a run or sensor tick, from ``ORIMONO_*``."""

    def create_resource(self, context: dg.InitResourceContext) -> Studio:
        return Studio.open(settings.load())
