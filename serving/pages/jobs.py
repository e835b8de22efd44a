"""Jobs: the list, one of them with its steps and what came of it, another try, and the way to its files."""

from __future__ import annotations

from typing import Annotated, get_args
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from serving.api.callers import InHouse
from serving.pages import rendering, showing
from serving.pages.visits import Visit, acts, visits
from serving.views import jobs, results
from serving.wire.jobs import JobStatus

router = APIRouter()
STATUSES = get_args(JobStatus)
Reader = Annotated[Visit, visits("jobs:read")]


@router.get("/jobs")
def list_of_jobs(
    request: Request, house: InHouse, visit: Reader, status: str = "", owner: str = "", cursor: str = ""
) -> Response:
    status = status if status in STATUSES else ""
    owner = owner.strip() if visit.caller.everybody else ""
    found = jobs.list_jobs(
        house,
        visit.caller,
        limit=40,
        cursor=cursor or None,
        owner=owner or None,
        status=status or None,  # type: ignore[arg-type]
    )
    asked = {name: value for name, value in (("status", status), ("owner", owner)) if value}
    return rendering.render(request, "jobs.html", jobs=found, statuses=STATUSES, asked=asked, later=bool(cursor))


@router.get("/jobs/{name}")
def job(request: Request, house: InHouse, visit: Reader, name: str) -> Response:
    found = jobs.get_job(house, visit.caller, name)
    return rendering.render(request, "job.html", **showing.of_job(house, visit.caller, found))


@router.get("/jobs/{name}/live")
def live(request: Request, house: InHouse, visit: Reader, name: str) -> Response:
    """The part of the page that changes while the job runs."""
    found = jobs.get_job(house, visit.caller, name)
    return rendering.render(request, "job_live.html", **showing.of_job(house, visit.caller, found))


@router.post("/jobs/{name}/retry")
def retry(request: Request, house: InHouse, visit: Annotated[Visit, acts("jobs:write")], name: str) -> Response:
    jobs.retry_job(house, visit.caller, name)
    return rendering.back(request, f"/jobs/{quote(name)}", "What failed runs again.")


@router.get("/jobs/{name}/files/{path:path}")
def file(house: InHouse, visit: Reader, name: str, path: str) -> Response:
    """Off to a link that is good for two minutes: this address is good for as long as one is signed in."""
    found = results.get_result(house, visit.caller, name, path)
    return RedirectResponse(found.url, 307, {"Cache-Control": "no-store"})
