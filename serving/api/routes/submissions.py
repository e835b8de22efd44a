"""Routes of new jobs. Reading them is jobs.py's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.idempotency import Idempotent, token_of
from serving.api.problems import request_id
from serving.views import submissions as view
from serving.wire.jobs import Job
from serving.wire.submissions import (
    AlignmentWanted,
    ArrangementWanted,
    EditWanted,
    JobWish,
    MasterWanted,
    ScoringWanted,
)

router = APIRouter(route_class=Idempotent)
Sender = Annotated[Caller, calls("jobs:write")]
_ACCEPTED: dict[str, Any] = {
    "status_code": 202,
    "responses": {202: {"headers": {"Location": {"description": "the job", "schema": {"type": "string"}}}}},
}


@router.post("/jobs", operation_id="create_job", summary="Send a job", tags=["jobs"], **_ACCEPTED)
def create_job(wish: JobWish, request: Request, response: Response, caller: Sender, house: InHouse) -> Job:
    """Takes uploads that are ready. Dagster works on the job; follow it at /v1/jobs/{name}/events."""
    return _sent(view.create_job, wish, request, response, caller, house)


@router.post(
    "/edits", operation_id="create_edit", summary="Send a song and clips to be cut", tags=["edits"], **_ACCEPTED
)
def create_edit(wish: EditWanted, request: Request, response: Response, caller: Sender, house: InHouse) -> Job:
    return _sent(view.create_edit, wish, request, response, caller, house)


@router.post("/masters", operation_id="create_master", summary="Send a mix or stems", tags=["masters"], **_ACCEPTED)
def create_master(wish: MasterWanted, request: Request, response: Response, caller: Sender, house: InHouse) -> Job:
    return _sent(view.create_master, wish, request, response, caller, house)


@router.post(
    "/alignments", operation_id="create_alignment", summary="Send stems to be aligned", tags=["masters"], **_ACCEPTED
)
def create_alignment(
    wish: AlignmentWanted, request: Request, response: Response, caller: Sender, house: InHouse
) -> Job:
    return _sent(view.create_alignment, wish, request, response, caller, house)


@router.post(
    "/arrangements",
    operation_id="create_arrangement",
    summary="Send a melody to be arranged",
    tags=["arrangements"],
    **_ACCEPTED,
)
def create_arrangement(
    wish: ArrangementWanted, request: Request, response: Response, caller: Sender, house: InHouse
) -> Job:
    return _sent(view.create_arrangement, wish, request, response, caller, house)


@router.post(
    "/scoring-jobs",
    operation_id="create_scoring_job",
    summary="Send a sheet to be scored",
    tags=["scoring"],
    **_ACCEPTED,
)
def create_scoring_job(
    wish: ScoringWanted, request: Request, response: Response, caller: Sender, house: InHouse
) -> Job:
    return _sent(view.create_scoring_job, wish, request, response, caller, house)


def _sent(
    create: Callable[..., Job], wish: Any, request: Request, response: Response, caller: Caller, house: InHouse
) -> Job:
    job = create(house, caller, wish, request_id=request_id(request), token=token_of(request))
    response.headers["Location"] = f"/v1/jobs/{quote(job.name)}"
    return job
