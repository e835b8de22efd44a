"""Originals: what is kept of a person and how long, asking to open one, and legal holds. Who may open one is decided in
approvals.py; the rules are pipelines/governance/vault.py's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from serving.api.callers import InHouse
from serving.pages import deeds, rendering
from serving.pages.visits import Visit, acts, visits
from serving.views import originals as views
from serving.wire.originals import AccessWish, HoldWish

router = APIRouter()
Looks = Annotated[Visit, visits("originals")]
Acts = Annotated[Visit, acts("originals")]


@router.get("/originals")
def originals(
    request: Request,
    visit: Looks,
    house: InHouse,
    owner: Annotated[str, Query(max_length=200)] = "",
    held: str = "",
    cursor: str | None = None,
) -> Response:
    found = views.listed(house, visit.caller, owner.strip() or None, held=bool(held), cursor=cursor)
    return rendering.render(request, "originals.html", page=found, owner=owner.strip(), held=bool(held))


@router.get("/originals/{item_id}")
def original(request: Request, visit: Looks, house: InHouse, item_id: str) -> Response:
    found = views.find(house, visit.caller, _id(item_id))
    administers = visit.caller.actor.role == "administrator"
    return rendering.render(request, "original.html", item=found, administers=administers)


@router.post("/originals/{item_id}/ask")
def ask(request: Request, visit: Acts, house: InHouse, item_id: str) -> Response:
    def deed() -> str:
        wish = deeds.wish(AccessWish, item=_id(item_id), reason=visit.asked("reason"))
        made = views.ask(house, visit.caller, wish)
        return f"Request {made.id} is made; another person decides on it."

    return deeds.done(request, "/approvals", deed, f"/originals/{_id(item_id)}")


@router.post("/originals/{item_id}/hold")
def hold(request: Request, visit: Acts, house: InHouse, item_id: str) -> Response:
    def deed() -> str:
        views.hold(house, visit.caller, _id(item_id), deeds.wish(HoldWish, reason=visit.asked("reason")))
        return f"Original {item_id} is under a legal hold: nothing deletes it."

    return deeds.done(request, f"/originals/{_id(item_id)}", deed)


@router.post("/originals/{item_id}/release")
def release(request: Request, visit: Acts, house: InHouse, item_id: str) -> Response:
    def deed() -> str:
        views.release(house, visit.caller, _id(item_id))
        return f"The hold on original {item_id} has ended; what should be gone by now goes within the hour."

    return deeds.done(request, f"/originals/{_id(item_id)}", deed)


def _id(text: str) -> int:
    return deeds.whole(text, f"original {text[:40]}")
