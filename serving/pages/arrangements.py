"""Arrangements to see, hear and choose: the candidates of a melody in one style stand beside each other."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.api.callers import InHouse
from serving.pages import rendering, showing
from serving.pages.showing import Number
from serving.pages.visits import Visit, acts, visits
from serving.views import arrangements
from serving.wire.arrangements import Arrangement

router = APIRouter()


@router.get("/arrangements")
def list_of_arrangements(
    request: Request, house: InHouse, visit: Annotated[Visit, visits("jobs:read")], job: str = "", cursor: str = ""
) -> Response:
    found = arrangements.list_arrangements(house, visit.caller, limit=48, cursor=cursor or None, job=job or None)
    groups: dict[tuple[str | None, str, str], list[Arrangement]] = {}
    for one in found.items:
        groups.setdefault((one.job, one.name, one.style), []).append(one)
    for some in groups.values():
        some.sort(key=lambda one: one.candidate)
    context = {"page": found, "groups": groups, "job": job, "later": bool(cursor)}
    context["may_write"] = "jobs:write" in visit.caller.scopes
    return rendering.render(request, "arrangements.html", **context, address_of=showing.address)


@router.post("/arrangements/{number}/choose")
def choose(request: Request, house: InHouse, visit: Annotated[Visit, acts("jobs:write")], number: Number) -> Response:
    choice = arrangements.choose_arrangement(house, visit.caller, number)
    found = arrangements.get_arrangement(house, visit.caller, number)
    said = f"Noted: candidate {choice.candidate} of {choice.among}. What comes next is ranked by your choices."
    where = f"/arrangements?job={quote(found.job)}" if found.job else "/arrangements"
    return rendering.back(request, where, said)
