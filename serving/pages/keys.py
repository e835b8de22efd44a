"""Keys: the list, making one, whose secret is shown on that page alone, and revoking. What a key is, is
pipelines/identity/keys.py's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.errors import BadInput
from pipelines.governance.people import ROLES
from pipelines.identity.callers import SCOPES
from serving.api.callers import InHouse
from serving.pages import deeds, rendering
from serving.pages.visits import Visit, acts, visits
from serving.views import keys as views
from serving.wire.keys import KeyWish

router = APIRouter()
Looks = Annotated[Visit, visits("jobs:read")]
Acts = Annotated[Visit, acts("jobs:read")]
KINDS = {"works": "good", "expired": "idle", "revoked": "bad"}
MEANING = {
    "jobs:read": "jobs and what came of them",
    "jobs:write": "uploads, new jobs, another try",
    "recommend": "lists of videos, and decisions",
    "infer": "models, asked directly",
    "live": "accompaniment while somebody plays",
    "consents": "consents and withdrawals",
    "originals": "asking for an original, and opening it",
    "approve": "deciding on such a wish",
    "operate": "status, models, rollouts, flags, metrics",
    "audit": "the audit trail",
    "keys": "other people's keys",
}
SPANS = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"))


@router.get("/keys")
def keys(request: Request, visit: Looks, house: InHouse, cursor: str | None = None) -> Response:
    caller = visit.caller
    manages = "keys" in caller.scopes
    return rendering.render(
        request,
        "keys.html",
        page=views.listed(house, caller, cursor=cursor),
        manages=manages,
        roles=ROLES if manages else ROLES[: ROLES.index(caller.actor.role) + 1],
        scopes=[scope for scope in SCOPES if scope in caller.scopes],
        meaning=MEANING,
        spans=(*SPANS, ("", "for ever")) if manages else SPANS,
        kinds=KINDS,
    )


@router.post("/keys")
def make(request: Request, visit: Acts, house: InHouse) -> Response:
    """The secret is on this page alone: nothing leads back to it."""
    try:
        days = visit.form.get("days", "90").strip()
        wish = deeds.wish(
            KeyWish,
            owner=visit.form.get("owner", "").strip() or None,
            role=visit.form.get("role", "").strip() or None,
            scopes=tuple(value for name, value in visit.fields if name == "scope") or None,
            label=visit.asked("label"),
            days=deeds.whole(days, "days") if days else None,
        )
        made = views.make(house, visit.caller, wish)
    except BadInput as error:
        return deeds.refused(request, "/keys", error)
    return rendering.render(request, "key_made.html", made=made)


@router.get("/keys/{prefix}/revoke")
def ask(request: Request, visit: Looks, house: InHouse, prefix: str) -> Response:
    """The second look. Changes nothing."""
    found = views.get(house, visit.caller, prefix)
    own = visit.caller.label == f"key:{found.id}"
    return rendering.render(request, "key_revoke.html", key=found, own=own, kinds=KINDS)


@router.post("/keys/{prefix}/revoke")
def revoke(request: Request, visit: Acts, house: InHouse, prefix: str) -> Response:
    def deed() -> str:
        found = views.revoke(house, visit.caller, prefix)
        return f"Key {found.id} of {found.owner} is revoked: within ten seconds it opens nothing anywhere."

    return deeds.done(request, "/keys", deed)
