"""Edits to watch: the patterns of a job side by side, with what was measured on them."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.api.callers import InHouse
from serving.pages import rendering, showing
from serving.pages.visits import Visit, visits
from serving.views import edits

router = APIRouter()


@router.get("/edits")
def list_of_edits(
    request: Request, house: InHouse, visit: Annotated[Visit, visits("jobs:read")], job: str = "", cursor: str = ""
) -> Response:
    found = edits.list_edits(house, visit.caller, limit=30, cursor=cursor or None, job=job or None)
    by_job = [(name, list(some)) for name, some in groupby(found.items, lambda one: one.job)]
    context = {"edits": found, "jobs": by_job, "job": job, "later": bool(cursor)}
    return rendering.render(request, "edits.html", **context, address_of=showing.address)
