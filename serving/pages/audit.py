"""The audit trail: searched by who, what and when, and verified row by row. How it is chained is
pipelines/governance/audit.py's."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from pipelines.errors import BadInput
from serving.api.callers import InHouse
from serving.dagster_ui import Pages
from serving.pages import deeds, rendering
from serving.pages.visits import Visit, visits
from serving.views import audit as views
from serving.wire.base import Page

router = APIRouter()
Looks = Annotated[Visit, visits("audit")]
Term = Annotated[str, Query(max_length=200)]
TOLD = ("reason", "sentence", "version", "note")  # of a row's detail, what is read first


@router.get("/audit")
def audit(
    request: Request,
    visit: Looks,
    house: InHouse,
    actor: Term = "",
    action: Term = "",
    subject: Term = "",
    since: Term = "",
    until: Term = "",
    cursor: str | None = None,
) -> Response:
    """Filters that cannot be understood are said above the filters, which keep what was typed."""
    query = {"actor": actor, "action": action, "subject": subject, "since": since, "until": until}
    query = {name: value.strip() for name, value in query.items() if value.strip()}
    wrong = ""
    try:
        if odd := next((name for name, value in query.items() if not value.isprintable()), None):
            raise BadInput(odd, "holds characters that nothing is named with", "write it anew")
        last = deeds.day(until, "until")
        found = views.search(
            house,
            visit.caller,
            subject=query.get("subject"),
            actor=query.get("actor"),
            action=query.get("action"),
            since=deeds.day(since, "from"),
            until=last + timedelta(days=1) if last is not None and len(until.strip()) == 10 else last,
            cursor=cursor,
        )
    except BadInput as error:
        found, wrong = Page(items=()), str(error)
    return rendering.render(
        request,
        "audit.html",
        page=found,
        query=query,
        wrong=wrong,
        told=told,
        in_full=in_full,
        asset_url=Pages(house.settings).asset("audit_trail"),
        status=422 if wrong else 200,
    )


@router.get("/audit/verification")
def verification(request: Request, visit: Looks, house: InHouse, expected: Term = "") -> Response:
    wrong, found = "", None
    try:
        found = views.verification(house, visit.caller, expected.strip() or None)
    except BadInput as error:
        wrong = str(error)
    return rendering.render(
        request, "audit_verification.html", found=found, expected=expected, wrong=wrong, status=422 if wrong else 200
    )


def told(detail: dict[str, object]) -> str:
    """What of a row is read first; empty when all of it is in its figures."""
    return next((str(detail[name]) for name in TOLD if detail.get(name)), "")


def in_full(detail: dict[str, object]) -> str:
    """All of a row, as text."""
    return json.dumps(detail, ensure_ascii=False, indent=2)
