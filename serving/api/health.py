"""Routes of health: alive, ready, and what it does without. No key is asked for, and no limit holds."""

from __future__ import annotations

from fastapi import APIRouter, Response

from serving.api.callers import InHouse
from serving.views import health as views
from serving.wire.health import Alive, Health, Ready

router = APIRouter(prefix="/health", tags=["status"])


@router.get("/live", include_in_schema=False)
async def get_live() -> Alive:
    """This process answers."""
    return Alive()


@router.get("/ready", include_in_schema=False)
async def get_ready(house: InHouse, response: Response) -> Ready:
    """503 before the stores were there once, and from when this server is to stop."""
    found = views.ready(house)
    if found.status != "ready":
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return found


@router.get("", operation_id="get_health", summary="What works, and what this server does without")
async def get_health(house: InHouse) -> Health:
    return views.health(house)
