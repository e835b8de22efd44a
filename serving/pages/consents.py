"""Consents: what a person allows, job by job and as a viewer, and changing it. One's own; an operator's page can show
anybody's. Taking everything back is withdrawals.py's."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from serving.api.callers import InHouse
from serving.pages import deeds, rendering
from serving.pages.visits import Visit, acts, visits
from serving.views import consents as views
from serving.wire.consents import ConsentWish, ViewerConsentWish

router = APIRouter()
Acts = Annotated[Visit, acts("consents")]


@router.get("/consents")
def consents(
    request: Request,
    visit: Annotated[Visit, visits("consents")],
    house: InHouse,
    owner: Annotated[str, Query(max_length=200)] = "",
    cursor: str | None = None,
) -> Response:
    whose = owner.strip() or None
    found = views.listed(house, visit.caller, whose, cursor=cursor)
    viewer = views.viewer(house, visit.caller, whose)
    return rendering.render(
        request,
        "consents.html",
        page=found,
        viewer=viewer,
        owner=owner.strip(),
        own=whose is None or visit.caller.owns(whose),
    )


@router.post("/consents/jobs/{job}")
def give(request: Request, visit: Acts, house: InHouse, job: str) -> Response:
    def deed() -> str:
        wish = deeds.wish(
            ConsentWish, quality=visit.form.get("quality") == "on", training=visit.form.get("training") == "on"
        )
        given = views.give(house, visit.caller, job, wish)
        quality, training = (f"{'' if on else 'not '}allowed" for on in (given.quality, given.training))
        return f"{given.job}: listening for quality is {quality}, learning is {training}."

    return deeds.done(request, _to(visit), deed)


@router.post("/consents/viewer")
def give_viewer(request: Request, visit: Acts, house: InHouse) -> Response:
    def deed() -> str:
        wish = deeds.wish(
            ViewerConsentWish, training=visit.asked("to") == "allow", owner=visit.form.get("owner", "").strip() or None
        )
        given = views.give_viewer(house, visit.caller, wish)
        return f"Models may {'' if given.training else 'not '}learn from these decisions."

    return deeds.done(request, _to(visit), deed)


def _to(visit: Visit) -> str:
    owner = visit.form.get("owner", "").strip()
    return f"/consents?{urlencode({'owner': owner})}" if owner else "/consents"
