"""Routes of withdrawals: a person takes everything back, and sees that it goes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.idempotency import Idempotent
from serving.api.paging import Cursor, Limit, Owner, RowId, linked
from serving.views import withdrawals as views
from serving.wire.base import Page
from serving.wire.withdrawals import Withdrawal, WithdrawalPreview, WithdrawalWish

router = APIRouter(tags=["withdrawals"], route_class=Idempotent)
Consenting = Annotated[Caller, calls("consents")]


@router.post(
    "/withdrawals",
    operation_id="request_withdrawal",
    status_code=202,
    summary="Take everything back",
)
def request_withdrawal(caller: Consenting, house: InHouse, response: Response, wish: WithdrawalWish) -> Withdrawal:
    """Excluded from this moment, deleted by `due_at`, and looked for again. Asked for again it is the same withdrawal,
    which then covers what came since, too. An operator asks for others by naming the `owner`."""
    made = views.ask(house, caller, wish)
    response.headers["Location"] = f"/v1/withdrawals/{made.id}"
    return made


@router.get("/withdrawals", operation_id="list_withdrawals", summary="Withdrawals, and how far they are")
def list_withdrawals(
    caller: Consenting,
    house: InHouse,
    request: Request,
    response: Response,
    unfinished: Annotated[bool, Query(description="only those that are under way")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Withdrawal]:
    """Your own; everybody's for operators. The newest first."""
    page = views.listed(house, caller, unfinished=unfinished, limit=limit, cursor=cursor)
    linked(response, request, page)
    return page


@router.get("/withdrawals/preview", operation_id="preview_withdrawal", summary="What a withdrawal would delete")
def preview_withdrawal(
    caller: Consenting,
    house: InHouse,
    owner: Owner = None,
    keep_originals: Annotated[bool, Query(description="leave the originals with the studio")] = False,
) -> WithdrawalPreview:
    """Changes nothing."""
    return views.preview(house, caller, owner, keep_originals=keep_originals)


@router.get("/withdrawals/{withdrawal_id}", operation_id="get_withdrawal", summary="One withdrawal")
def get_withdrawal(caller: Consenting, house: InHouse, withdrawal_id: RowId) -> Withdrawal:
    return views.find(house, caller, withdrawal_id)
