"""Flags: what each switches, who turned it last and why, and turning it. What they mean is storage/flags.py's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.errors import BadInput
from serving.api.callers import InHouse
from serving.pages import deeds, rendering
from serving.pages.visits import Visit, acts, visits
from serving.views import flags as views
from serving.wire.flags import FlagWish

router = APIRouter()


@router.get("/flags")
def flags(request: Request, visit: Annotated[Visit, visits("operate")], house: InHouse) -> Response:
    return rendering.render(request, "flags.html", flags=views.listed(house, visit.caller).items)


@router.post("/flags/{name}")
def switch(request: Request, visit: Annotated[Visit, acts("operate")], house: InHouse, name: str) -> Response:
    def deed() -> str:
        to = visit.asked("to")
        if to not in ("on", "off"):
            raise BadInput(name, "was not told to be on or off", "use its button")
        wish = deeds.wish(FlagWish, enabled=to == "on", reason=visit.asked("reason"))
        flag = views.switch(house, visit.caller, name, wish, if_match=visit.asked("etag"))
        return f"{flag.name} is {'on' if flag.enabled else 'off'} now."

    return deeds.done(request, "/flags", deed)
