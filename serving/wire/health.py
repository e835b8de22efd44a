"""Health: whether this server works, and what it does without."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.wire.base import Answered


class Alive(Answered):
    status: Literal["alive"] = "alive"


class Ready(Answered):
    status: Literal["ready", "starting", "draining"]


class Component(Answered):
    """A part that is watched."""

    name: str
    healthy: bool
    reason: Annotated[str | None, Field(description="what is wrong and what it means, where something is")] = None


class Health(Answered):
    """``degraded``: it goes on answering, without what the reasons say."""

    status: Literal["ok", "degraded", "draining"]
    reasons: tuple[str, ...]
    components: tuple[Component, ...]
