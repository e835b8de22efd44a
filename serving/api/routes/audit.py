"""Routes of the audit trail."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.paging import Cursor, Limit, linked
from serving.views import audit as views
from serving.wire.audit import AuditRow, AuditVerification
from serving.wire.base import TEXT, Moment, Page

router = APIRouter(tags=["audit"])
Auditing = Annotated[Caller, calls("audit")]


@router.get("/audit", operation_id="search_audit", summary="Who did what to what, and when")
def search_audit(
    caller: Auditing,
    house: InHouse,
    request: Request,
    response: Response,
    subject: Annotated[
        str | None,
        Query(
            max_length=300, pattern=TEXT, description="such as vault:12, user:NAME, or model:* for all that begin so"
        ),
    ] = None,
    actor: Annotated[
        str | None,
        Query(max_length=200, pattern=TEXT, description="a name, its pseudonym, or a part of the product"),
    ] = None,
    action: Annotated[
        str | None, Query(max_length=100, pattern=TEXT, description="such as access.open, or access.*")
    ] = None,
    since: Annotated[Moment | None, Query(description="with its zone")] = None,
    until: Annotated[Moment | None, Query(description="with its zone; this moment is not in it")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditRow]:
    """The newest first. Persons are pseudonyms; who knows a name may search for it."""
    page = views.search(
        house,
        caller,
        subject=subject,
        actor=actor,
        action=action,
        since=since,
        until=until,
        limit=limit,
        cursor=cursor,
    )
    linked(response, request, page)
    return page


@router.get("/audit/verification", operation_id="verify_audit", summary="Whether the trail is what was written")
def verify_audit(
    caller: Auditing,
    house: InHouse,
    expected: Annotated[
        str | None, Query(max_length=100, pattern=TEXT, description="a head noted earlier: NUMBER:HASH")
    ] = None,
) -> AuditVerification:
    """Computes every row's hash again. With `expected` also whether that row is still in it."""
    return views.verification(house, caller, expected)
