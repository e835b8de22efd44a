"""Routes of masters, alignments and presets. They are asked for by submissions' routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.paging import JobName
from serving.views import masters as views
from serving.views import presets
from serving.wire.base import Page
from serving.wire.masters import Alignment, Master
from serving.wire.presets import Presets

router = APIRouter(tags=["masters"])

Reader = Annotated[Caller, calls("jobs:read")]


@router.get(
    "/masters/{job}",
    operation_id="list_masters",
    summary="A job's masters, with previews and what was done",
    response_model=Page[Master],
)
def list_masters(job: JobName, house: InHouse, caller: Reader) -> Page[Master]:
    return views.list_masters(house, caller, job)


@router.get(
    "/alignments/{job}",
    operation_id="list_alignments",
    summary="How a job's vocal lies against its instrumental",
    response_model=Page[Alignment],
)
def list_alignments(job: JobName, house: InHouse, caller: Reader) -> Page[Alignment]:
    return views.list_alignments(house, caller, job)


@router.get("/presets", operation_id="list_presets", summary="Presets of the master chain", response_model=Presets)
def list_presets(caller: Reader) -> Presets:
    return presets.list_presets()
