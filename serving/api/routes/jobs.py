"""Routes of jobs: how far they are, and what failed to be run again. They are sent by submissions' routes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from sse_starlette import EventSourceResponse

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.events import JobEvents
from serving.api.paging import Cursor, JobName, Limit, linked
from serving.views import jobs as views
from serving.wire.base import TEXT, Page
from serving.wire.jobs import Job, JobStatus

router = APIRouter(tags=["jobs"])

Reader = Annotated[Caller, calls("jobs:read")]
Writer = Annotated[Caller, calls("jobs:write")]
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=64, description="of the last event seen")]
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events: `progress` with the whole thing as JSON whenever it changed, then `end` with a reason: "
        "ended, gone, closing or again. Come back with Last-Event-ID after the last two, and when there was no `end`.",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string"},
                        "event": {"enum": ["progress", "end"]},
                        "data": {"type": "string", "contentMediaType": "application/json"},
                        "retry": {"type": "integer", "description": "milliseconds"},
                    },
                }
            }
        },
    }
}


@router.get("/jobs", operation_id="list_jobs", summary="Jobs, newest first", response_model=Page[Job])
def list_jobs(
    request: Request,
    response: Response,
    house: InHouse,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    owner: Annotated[
        str | None, Query(min_length=1, max_length=200, pattern=TEXT, description="only this person's")
    ] = None,
    status: Annotated[JobStatus | None, Query(description="only those of this status")] = None,
) -> Page[Job]:
    page = views.list_jobs(house, caller, limit=limit, cursor=cursor, owner=owner, status=status)
    linked(response, request, page)
    return page


@router.get("/jobs/{name}", operation_id="get_job", summary="One job, with its steps and its run", response_model=Job)
def get_job(name: JobName, house: InHouse, caller: Reader) -> Job:
    return views.get_job(house, caller, name)


@router.post(
    "/jobs/{name}/retry",
    operation_id="retry_job",
    summary="Have what failed in a job run again",
    response_model=Job,
    status_code=202,
)
def retry_job(name: JobName, house: InHouse, caller: Writer, response: Response) -> Job:
    job = views.retry_job(house, caller, name)
    response.headers["Location"] = f"/v1/jobs/{job.name}"
    return job


@router.get(
    "/jobs/{name}/events",
    operation_id="watch_job",
    summary="A job's progress as server-sent events",
    response_class=EventSourceResponse,
    responses=EVENTS,
)
async def watch_job(name: JobName, house: InHouse, caller: Reader, last_event_id: LastEventId = None) -> Response:
    await run_in_threadpool(views.check_job, house, caller, name)
    return house.one(JobEvents).events(caller, name, last_event_id)
