"""Route of the status: what waits, runs and failed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.views import status as views
from serving.wire.status import Status

router = APIRouter(tags=["status"])


@router.get("/status", operation_id="get_status", summary="What waits, runs and failed, and how full the store is")
def get_status(caller: Annotated[Caller, calls("operate")], house: InHouse) -> Status:
    return views.status(house, caller)
