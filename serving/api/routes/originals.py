"""Routes of originals: what is kept, legal holds, and opening one, which takes two people."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.idempotency import Idempotent
from serving.api.paging import Cursor, Limit, Owner, RowId, linked
from serving.views import originals as views
from serving.wire.base import Page
from serving.wire.originals import Access, AccessDecision, AccessWish, HoldWish, OpenedOriginal, Original

router = APIRouter(tags=["originals"], route_class=Idempotent)
opening = APIRouter(tags=["originals"])  # a link is a right in itself: its answer is given once and kept nowhere
Opening = Annotated[Caller, calls("originals")]
Deciding = Annotated[Caller, calls("approve")]


@router.get("/originals", operation_id="list_originals", summary="What is kept of a person, and how long")
def list_originals(
    caller: Opening,
    house: InHouse,
    request: Request,
    response: Response,
    owner: Owner = None,
    held: Annotated[bool, Query(description="only what is under a legal hold; for operators everybody's")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Original]:
    """The newest first."""
    page = views.listed(house, caller, owner, held=held, limit=limit, cursor=cursor)
    linked(response, request, page)
    return page


@router.get("/originals/{item_id}", operation_id="get_original", summary="One original: how long it is kept")
def get_original(caller: Opening, house: InHouse, item_id: RowId) -> Original:
    return views.find(house, caller, item_id)


@router.put("/originals/{item_id}/hold", operation_id="hold_original", summary="Put a legal hold on an original")
def hold_original(caller: Opening, house: InHouse, item_id: RowId, wish: HoldWish) -> Original:
    """For administrators. Nothing deletes it any more: no period, no withdrawal, no budget."""
    return views.hold(house, caller, item_id, wish)


@router.delete("/originals/{item_id}/hold", operation_id="release_original", summary="End a legal hold")
def release_original(caller: Opening, house: InHouse, item_id: RowId) -> Original:
    """For administrators. What should be gone by now goes within the hour. 409 where there is no hold."""
    return views.release(house, caller, item_id)


@router.post(
    "/access-requests", operation_id="request_access", status_code=201, summary="Ask to open somebody's original"
)
def request_access(caller: Opening, house: InHouse, response: Response, wish: AccessWish) -> Access:
    """Another person, an operator or administrator, decides."""
    made = views.ask(house, caller, wish)
    response.headers["Location"] = f"/v1/access-requests/{made.id}"
    return made


@router.get("/access-requests", operation_id="list_access_requests", summary="Wishes to open an original")
def list_access_requests(
    caller: Opening,
    house: InHouse,
    request: Request,
    response: Response,
    waiting: Annotated[bool, Query(description="only those that wait for a decision")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Access]:
    """Your own; everybody's for operators. The newest first."""
    page = views.accesses(house, caller, waiting=waiting, limit=limit, cursor=cursor)
    linked(response, request, page)
    return page


@router.get("/access-requests/{request_id}", operation_id="get_access_request", summary="One wish, and its decision")
def get_access_request(caller: Opening, house: InHouse, request_id: RowId) -> Access:
    return views.access(house, caller, request_id)


@router.post(
    "/access-requests/{request_id}/decision",
    operation_id="decide_access_request",
    summary="Approve or refuse another person's wish",
)
def decide_access_request(caller: Deciding, house: InHouse, request_id: RowId, wish: AccessDecision) -> Access:
    """For operators. 403 for one's own wish, 409 for one that is decided."""
    return views.decide(house, caller, request_id, wish)


@opening.post(
    "/access-requests/{request_id}/open", operation_id="open_original", summary="The approved original, once, for 120 s"
)
def open_original(caller: Opening, house: InHouse, response: Response, request_id: RowId) -> OpenedOriginal:
    """For who asked. 409 while it is not approved, once it was used, and a day after the approval. Each opening of the
    link is in the audit trail."""
    response.headers["Cache-Control"] = "no-store"
    return views.open(house, caller, request_id)


router.include_router(opening)
