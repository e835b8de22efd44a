"""Routes of scoring jobs: sheets chunk by chunk. They are asked for by submissions' routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from sse_starlette import EventSourceResponse

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.events import ScoringEvents
from serving.api.paging import Cursor, Limit, OfJob, RowId, linked
from serving.api.routes.jobs import EVENTS, LastEventId
from serving.views import scoring as views
from serving.wire.base import Page
from serving.wire.scoring import Chunk, Retried, ScoringJob

router = APIRouter(tags=["scoring"])

Reader = Annotated[Caller, calls("jobs:read")]


@router.get(
    "/scoring-jobs",
    operation_id="list_scoring_jobs",
    summary="Scoring jobs, newest first",
    response_model=Page[ScoringJob],
)
def list_scoring_jobs(
    request: Request,
    response: Response,
    house: InHouse,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    job: OfJob = None,
) -> Page[ScoringJob]:
    page = views.list_scoring_jobs(house, caller, limit=limit, cursor=cursor, job=job)
    linked(response, request, page)
    return page


@router.get(
    "/scoring-jobs/{scoring_job}",
    operation_id="get_scoring_job",
    summary="How far a sheet is, how fast, at what cost, what failed",
    response_model=ScoringJob,
)
def get_scoring_job(scoring_job: RowId, house: InHouse, caller: Reader) -> ScoringJob:
    return views.get_scoring_job(house, caller, scoring_job)


@router.get(
    "/scoring-jobs/{scoring_job}/chunks",
    operation_id="list_chunks",
    summary="A sheet's chunks of 500 rows, in order",
    response_model=Page[Chunk],
)
def list_chunks(
    scoring_job: RowId,
    request: Request,
    response: Response,
    house: InHouse,
    caller: Reader,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> Page[Chunk]:
    page = views.list_chunks(house, caller, scoring_job, limit=limit, cursor=cursor)
    linked(response, request, page)
    return page


@router.post(
    "/scoring-jobs/{scoring_job}/retry",
    operation_id="retry_scoring_job",
    summary="Have failed chunks run again",
    response_model=Retried,
    status_code=202,
)
def retry_scoring_job(scoring_job: RowId, house: InHouse, caller: Annotated[Caller, calls("jobs:write")]) -> Retried:
    return views.retry_scoring_job(house, caller, scoring_job)


@router.get(
    "/scoring-jobs/{scoring_job}/events",
    operation_id="watch_scoring_job",
    summary="A sheet's progress as server-sent events",
    response_class=EventSourceResponse,
    responses=EVENTS,
)
async def watch_scoring_job(
    scoring_job: RowId, house: InHouse, caller: Reader, last_event_id: LastEventId = None
) -> Response:
    await run_in_threadpool(views.check_scoring_job, house, caller, scoring_job)
    return house.one(ScoringEvents).events(caller, scoring_job, last_event_id)
