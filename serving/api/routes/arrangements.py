"""Routes of arrangements. They are asked for by submissions' routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.paging import Cursor, Limit, OfJob, RowId, linked
from serving.views import arrangements as views
from serving.wire.arrangements import Arrangement, Choice
from serving.wire.base import Page

router = APIRouter(tags=["arrangements"])

Reader = Annotated[Caller, calls("jobs:read")]


@router.get(
    "/arrangements",
    operation_id="list_arrangements",
    summary="Arrangements, newest first",
    response_model=Page[Arrangement],
)
def list_arrangements(
    request: Request,
    response: Response,
    house: InHouse,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    job: OfJob = None,
) -> Page[Arrangement]:
    page = views.list_arrangements(house, caller, limit=limit, cursor=cursor, job=job)
    linked(response, request, page)
    return page


@router.get(
    "/arrangements/{arrangement}",
    operation_id="get_arrangement",
    summary="One arrangement",
    response_model=Arrangement,
)
def get_arrangement(arrangement: RowId, house: InHouse, caller: Reader) -> Arrangement:
    return views.get_arrangement(house, caller, arrangement)


@router.post(
    "/arrangements/{arrangement}/choose",
    operation_id="choose_arrangement",
    summary="Say that this candidate was taken, and none of those beside it",
    response_model=Choice,
)
def choose_arrangement(arrangement: RowId, house: InHouse, caller: Annotated[Caller, calls("jobs:write")]) -> Choice:
    return views.choose_arrangement(house, caller, arrangement)
