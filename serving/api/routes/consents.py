"""Routes of consents: what an owner allows for each job, and a viewer of their decisions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.paging import Cursor, JobName, Limit, Owner, linked
from serving.views import consents as views
from serving.wire.base import Page
from serving.wire.consents import Consent, ConsentWish, ViewerConsent, ViewerConsentWish

router = APIRouter(tags=["consents"])
Consenting = Annotated[Caller, calls("consents")]


@router.get("/consents", operation_id="list_consents", summary="What a person allows, job by job")
def list_consents(
    caller: Consenting,
    house: InHouse,
    request: Request,
    response: Response,
    owner: Owner = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Consent]:
    """The newest first."""
    page = views.listed(house, caller, owner, limit=limit, cursor=cursor)
    linked(response, request, page)
    return page


@router.get("/consents/viewer", operation_id="get_viewer_consent", summary="What a person allows as a viewer")
def get_viewer_consent(caller: Consenting, house: InHouse, owner: Owner = None) -> ViewerConsent:
    return views.viewer(house, caller, owner)


@router.put(
    "/consents/viewer", operation_id="set_viewer_consent", summary="Allow or forbid learning from a viewer's decisions"
)
def set_viewer_consent(caller: Consenting, house: InHouse, wish: ViewerConsentWish) -> ViewerConsent:
    """It goes before what the owner of a job of decisions allowed. What is taken back counts from this moment."""
    return views.give_viewer(house, caller, wish)


@router.get("/consents/{job}", operation_id="get_consent", summary="What the owner of a job allows")
def get_consent(caller: Consenting, house: InHouse, job: JobName) -> Consent:
    return views.find(house, caller, job)


@router.put("/consents/{job}", operation_id="set_consent", summary="Allow or forbid what a job is used for")
def set_consent(caller: Consenting, house: InHouse, job: JobName, wish: ConsentWish) -> Consent:
    """Of everything that its owner gave under this name. What is taken back counts from this moment: what was learned
    from it is erased. 409 after a withdrawal."""
    return views.give(house, caller, job, wish)
