"""Health as routes and pages tell it. What is watched, and how, is serving/api/watching.py's."""

from __future__ import annotations

from serving.api.house import House
from serving.api.watching import Watching
from serving.wire.health import Component, Health, Ready


def health(house: House) -> Health:
    """Of a moment ago: nothing is asked for it, so that it is told at once whatever is away."""
    components = tuple(
        Component(name=name, healthy=reason is None, reason=reason)
        for name, reason in house.one(Watching).reasons().items()
    )
    reasons = tuple(component.reason for component in components if component.reason is not None)
    return Health(
        status="draining" if house.draining else "degraded" if reasons else "ok", reasons=reasons, components=components
    )


def ready(house: House) -> Ready:
    """Ready as soon as the stores were there once: while they are away later, much goes on from memory."""
    return Ready(status="draining" if house.draining else "ready" if house.opened else "starting")
