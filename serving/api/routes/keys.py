"""Routes of keys, and who one is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, caller_of
from serving.api.paging import Cursor, Limit, linked
from serving.views import keys as views
from serving.wire.base import Name, Page
from serving.wire.keys import Key, KeyWish, Me, NewKey, Prefix

router = APIRouter(tags=["keys"])
Anybody = Annotated[Caller, Depends(caller_of)]  # whoever has a key may look after it


@router.get("/me", operation_id="get_me", summary="Who the key or token is, and what it may do", response_model=Me)
async def get_me(caller: Anybody) -> Me:
    return views.me(caller)


@router.get("/keys", operation_id="list_keys", summary="One's own keys, or everybody's", response_model=Page[Key])
def list_keys(
    house: InHouse,
    caller: Anybody,
    request: Request,
    response: Response,
    owner: Annotated[Name | None, Query(description="of this person only; another's needs the scope keys")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Key]:
    page = views.listed(house, caller, owner=owner, limit=limit, cursor=cursor)
    linked(response, request, page)
    return page


@router.post(
    "/keys",
    operation_id="create_key",
    summary="A new key, shown this once",
    status_code=201,
    response_model=NewKey,
)
def create_key(house: InHouse, caller: Anybody, wish: KeyWish, request: Request, response: Response) -> NewKey:
    made = views.make(house, caller, wish)
    response.headers["Location"] = f"{request.url.path.rstrip('/')}/{made.id}"
    response.headers["Cache-Control"] = "no-store"
    return made


@router.get("/keys/{key}", operation_id="get_key", summary="One key", response_model=Key)
def get_key(house: InHouse, caller: Anybody, key: Prefix) -> Key:
    return views.get(house, caller, key)


@router.delete(
    "/keys/{key}", operation_id="revoke_key", summary="Ends a key, within ten seconds everywhere", response_model=Key
)
def revoke_key(house: InHouse, caller: Anybody, key: Prefix) -> Key:
    return views.revoke(house, caller, key)
