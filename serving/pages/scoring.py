"""Sheets that are being scored: how far, how fast, at what cost; each chunk as one cell of a cloth."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse
from serving.api.house import House
from serving.pages import rendering, showing
from serving.pages.showing import Number
from serving.pages.visits import Visit, acts, visits
from serving.views import scoring
from serving.wire.scoring import Chunk

router = APIRouter()
Reader = Annotated[Visit, visits("jobs:read")]
MOST = 2000  # chunks that are drawn: a million rows
WORDS = {
    "planned": "planned",
    "requested": "asked for",
    "running": "running",
    "finished": "done",
    "failed": "failed, runs again",
    "given_up": "given up",
}
KINDS = {"planned": "idle", "requested": "idle", "running": "busy", "finished": "good", "failed": "warn"}
KINDS |= {"given_up": "bad", "stopped": "warn", "partly failed": "bad"}


@router.get("/scoring")
def list_of_sheets(request: Request, house: InHouse, visit: Reader, job: str = "", cursor: str = "") -> Response:
    found = scoring.list_scoring_jobs(house, visit.caller, limit=30, cursor=cursor or None, job=job or None)
    return rendering.render(request, "sheets.html", sheets=found, job=job, later=bool(cursor), kinds=KINDS)


@router.get("/scoring/{number}")
def sheet(request: Request, house: InHouse, visit: Reader, number: Number) -> Response:
    return rendering.render(request, "sheet.html", **_shown(house, visit.caller, number))


@router.get("/scoring/{number}/live")
def live(request: Request, house: InHouse, visit: Reader, number: Number) -> Response:
    """The part of the page that changes while it runs."""
    return rendering.render(request, "sheet_live.html", **_shown(house, visit.caller, number))


@router.post("/scoring/{number}/retry")
def retry(request: Request, house: InHouse, visit: Annotated[Visit, acts("jobs:write")], number: Number) -> Response:
    again = scoring.retry_scoring_job(house, visit.caller, number).chunks
    return rendering.back(request, f"/scoring/{number}", f"{again} chunk{'' if again == 1 else 's'} will run again.")


def _shown(house: House, caller: Caller, number: int) -> dict[str, Any]:
    found = scoring.get_scoring_job(house, caller, number)
    return {
        "sheet": found,
        "chunks": _chunks(house, caller, number),
        "words": WORDS,
        "kinds": KINDS,
        "may_write": "jobs:write" in caller.scopes,
        "address_of": showing.address,
    }


def _chunks(house: House, caller: Caller, number: int) -> list[Chunk]:
    found: list[Chunk] = []
    cursor = None
    while len(found) < MOST:
        page = scoring.list_chunks(house, caller, number, limit=200, cursor=cursor)
        found.extend(page.items)
        cursor = page.next
        if cursor is None:
            break
    return found
