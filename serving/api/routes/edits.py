"""Routes of edits. They are asked for by submissions' routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.paging import Cursor, JobName, Limit, OfJob, linked
from serving.views import edits as views
from serving.wire.base import TEXT, Page
from serving.wire.edits import Edit

router = APIRouter(tags=["edits"])

Reader = Annotated[Caller, calls("jobs:read")]
Pattern = Annotated[str, Path(min_length=1, max_length=200, pattern=TEXT, description="such as dynamic")]


@router.get("/edits", operation_id="list_edits", summary="Edits, newest first", response_model=Page[Edit])
def list_edits(
    request: Request,
    response: Response,
    house: InHouse,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    job: OfJob = None,
) -> Page[Edit]:
    page = views.list_edits(house, caller, limit=limit, cursor=cursor, job=job)
    linked(response, request, page)
    return page


@router.get("/edits/{job}/{pattern}", operation_id="get_edit", summary="A job's edit", response_model=Edit)
def get_edit(job: JobName, pattern: Pattern, house: InHouse, caller: Reader) -> Edit:
    return views.get_edit(house, caller, job, pattern)
