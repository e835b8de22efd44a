"""Approvals: wishes to open an original, another person's decision, and the opening, once. The rules are
pipelines/governance/access.py's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.errors import BadInput
from serving.api.callers import InHouse
from serving.pages import deeds, rendering
from serving.pages.visits import Visit, acts, visits
from serving.views import originals as views
from serving.wire.originals import AccessDecision

router = APIRouter()
KINDS = {
    "waiting": "busy",
    "approved": "good",
    "refused": "bad",
    "opened": "idle",
    "lapsed": "warn",
    "gone": "idle",
}


@router.get("/approvals")
def approvals(
    request: Request,
    visit: Annotated[Visit, visits("originals")],
    house: InHouse,
    waiting: str = "",
    cursor: str | None = None,
) -> Response:
    found = views.accesses(house, visit.caller, waiting=bool(waiting), cursor=cursor)
    decides = "approve" in visit.caller.scopes
    return rendering.render(request, "approvals.html", page=found, waiting=bool(waiting), decides=decides, kinds=KINDS)


@router.post("/approvals/{request_id}")
def decide(request: Request, visit: Annotated[Visit, acts("approve")], house: InHouse, request_id: str) -> Response:
    def deed() -> str:
        decision = visit.asked("decision")
        if decision not in ("approve", "refuse"):
            raise BadInput("the decision", "is neither to approve nor to refuse", "use its buttons")
        wish = deeds.wish(AccessDecision, approve=decision == "approve")
        row = views.decide(house, visit.caller, _id(request_id), wish)
        return f"Request {row.id} is {row.status}."

    return deeds.done(request, "/approvals", deed)


@router.post("/approvals/{request_id}/open")
def open_once(
    request: Request, visit: Annotated[Visit, acts("originals")], house: InHouse, request_id: str
) -> Response:
    """The link is on this page alone: it is shown once, and no address leads back to it."""
    try:
        opened = views.open(house, visit.caller, _id(request_id))
    except BadInput as error:
        return deeds.refused(request, "/approvals", error)
    return rendering.render(request, "approval_opened.html", opened=opened, request_number=_id(request_id))


def _id(text: str) -> int:
    return deeds.whole(text, f"access request {text[:40]}")
