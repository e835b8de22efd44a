"""Routes of flags."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.routes.models import CHANGED, IfMatch
from serving.views import flags as views
from serving.wire.flags import Flag, Flags, FlagWish

router = APIRouter(tags=["flags"])
Operating = Annotated[Caller, calls("operate")]
FlagName = Annotated[str, Path(max_length=100, pattern=r"^[a-z0-9_]+$")]


@router.get("/flags", operation_id="list_flags", summary="The switches, and how they stand")
def list_flags(caller: Operating, house: InHouse) -> Flags:
    return views.listed(house, caller)


@router.get("/flags/{name}", operation_id="get_flag", summary="One switch")
def get_flag(caller: Operating, house: InHouse, response: Response, name: FlagName) -> Flag:
    found = views.find(house, caller, name)
    response.headers["ETag"] = f'"{found.etag}"'
    return found


@router.put("/flags/{name}", operation_id="set_flag", summary="Turn a switch", responses=CHANGED)
def set_flag(
    caller: Operating, house: InHouse, response: Response, name: FlagName, wish: FlagWish, if_match: IfMatch = None
) -> Flag:
    """Counts from the next item of work on. With `If-Match` 412 when somebody turned it meanwhile."""
    found = views.switch(house, caller, name, wish, if_match)
    response.headers["ETag"] = f'"{found.etag}"'
    return found
