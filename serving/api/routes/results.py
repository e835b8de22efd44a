"""Routes of what came of a job, as files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.paging import JobName
from serving.views import results as views
from serving.wire.results import Results

router = APIRouter(tags=["results"])


@router.get(
    "/jobs/{name}/results",
    operation_id="list_results",
    summary="A job's files, each with a link that is good for 120 s",
    response_model=Results,
)
def list_results(name: JobName, house: InHouse, caller: Annotated[Caller, calls("jobs:read")]) -> Results:
    return views.list_results(house, caller, name)
