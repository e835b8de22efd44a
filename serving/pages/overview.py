"""The overview: what waits, what failed and what to do about it, how full the store is, what was promised and kept."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.errors import Unavailable
from serving.api.callers import InHouse
from serving.api.house import House
from serving.pages import rendering
from serving.pages.visits import Visit, acts, visits
from serving.views import health, jobs, service_levels, status
from serving.wire.service_levels import ServiceLevels
from serving.wire.status import Status

router = APIRouter()
SHOWN = 8  # of each kind; the rest is counted


@router.get("/")
def overview(request: Request, house: InHouse, visit: Annotated[Visit, visits("jobs:read")]) -> Response:
    caller = visit.caller
    newest = jobs.list_jobs(house, caller, limit=8)
    if not ("operate" in caller.scopes and caller.everybody):
        return rendering.render(request, "own_overview.html", jobs=newest)
    found = status.status(house, caller)
    return rendering.render(
        request,
        "overview.html",
        jobs=newest,
        state=found,
        troubles=_troubles(found),
        health=health.health(house),
        levels=_levels(house, visit),
        shown=SHOWN,
    )


@router.post("/retry")
def retry(request: Request, house: InHouse, visit: Annotated[Visit, acts("operate")]) -> Response:
    """Everything that failed, as `orimono retry` does."""
    from pipelines import status as of_all

    done = of_all.retry(house.studio)
    parts = [
        f"{len(done.batches)} batches run again",
        f"{done.refused_jobs} refused jobs are judged anew",
        f"{done.chunks} chunks of sheets run again",
    ]
    return rendering.back(request, "/", f"{'; '.join(parts)}.")


def _troubles(found: Status) -> int:
    counts = found.counts
    counted = counts.failed_steps + counts.refused_jobs + counts.overdue_withdrawals
    return counted + len(found.failed_batches) + len(found.refused_files)


def _levels(house: House, visit: Visit) -> ServiceLevels | None:
    """None while they cannot be told."""
    try:
        return service_levels.service_levels(house, visit.caller)
    except Unavailable:
        return None
