"""Masters and previews to hear, with loudness before and after, and how stems lie against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse
from serving.api.house import House
from serving.pages import rendering, showing
from serving.pages.visits import Visit, visits
from serving.views import jobs, masters
from serving.wire.base import Page
from serving.wire.jobs import Job
from serving.wire.masters import Alignment, Master

router = APIRouter()
FIGURES = (
    ("lufs", "Loudness", "LUFS"),
    ("lra", "Loudness range", "LU"),
    ("true_peak_dbtp", "True peak", "dBTP"),
    ("plr", "Peak to loudness", "dB"),
)


@dataclass(frozen=True, slots=True)
class Mastered:
    job: str
    masters: tuple[Master, ...]
    alignments: tuple[Alignment, ...]


@router.get("/masters")
def list_of_masters(
    request: Request, house: InHouse, visit: Annotated[Visit, visits("jobs:read")], job: str = "", cursor: str = ""
) -> Response:
    if job:
        names, following = [jobs.get_job(house, visit.caller, job).name], None
    else:
        page = jobs.list_jobs(house, visit.caller, limit=40, cursor=cursor or None)
        names, following = _with_masters(page), page.next
    found = [one for one in (_mastered(house, visit.caller, name) for name in names) if one.masters or one.alignments]
    return rendering.render(
        request,
        "masters.html",
        found=found,
        job=job,
        figures=FIGURES,
        page=Page[Job](items=(), next=following),
        later=bool(cursor),
        address_of=showing.address,
    )


def _with_masters(page: Page[Job]) -> list[str]:
    return [one.name for one in page.items if "mastering" in one.systems]


def _mastered(house: House, caller: Caller, name: str) -> Mastered:
    made = masters.list_masters(house, caller, name).items
    return Mastered(name, made, masters.list_alignments(house, caller, name).items)
