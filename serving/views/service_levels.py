"""The service levels as pages tell them; measured now, by pipelines/service_levels.py."""

from __future__ import annotations

from pipelines import service_levels as levels
from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.service_levels import ServiceLevel, ServiceLevels


def service_levels(house: House, caller: Caller) -> ServiceLevels:
    """Raises Unavailable while the database is away."""
    return ServiceLevels(
        items=tuple(
            ServiceLevel(name=one.name, promise=one.promise, measured=one.measured, verdict=one.result)
            for one in levels.measure(house.studio)
        )
    )
