"""Who gets which version of a model, and changing it: a wish, a second look at what it does, the deed.

Steps and sentences are pipelines/models/rollout.py's; its state as it was seen goes with the form, so that nobody
changes what somebody else has changed meanwhile.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from starlette.responses import Response

from pipelines.errors import BadInput
from pipelines.models.rollout import NEXT_STAGE
from pipelines.storage.tables import STAGES
from serving.api.callers import InHouse
from serving.api.house import House
from serving.pages import deeds, rendering
from serving.pages.visits import Visit, acts, visits
from serving.views import audit
from serving.views import models as views
from serving.wire.audit import AuditRow
from serving.wire.models import Model, Rollout, RolloutWish

router = APIRouter()
Looks = Annotated[Visit, visits("operate")]
Acts = Annotated[Visit, acts("operate")]


@router.get("/rollout")
def rollouts(request: Request, visit: Looks, house: InHouse) -> Response:
    found = views.rollouts(house, visit.caller).items
    return rendering.render(request, "rollouts.html", rollouts=found, stages=STAGES)


@router.get("/rollout/{name}")
def rollout(request: Request, visit: Looks, house: InHouse, name: str) -> Response:
    found = views.rollout(house, visit.caller, name)
    model = views.find(house, visit.caller, name)
    following = NEXT_STAGE.get(found.stage) if found.running is not None and found.stage is not None else None
    return rendering.render(
        request,
        "rollout.html",
        rollout=found,
        model=model,
        stages=STAGES,
        following=following,
        idle=idle(model),
        decisions=decisions(house, visit, name, 20),
    )


@router.post("/rollout/{name}/review")
def review(request: Request, visit: Acts, house: InHouse, name: str) -> Response:
    """The second look. Changes nothing."""
    found = views.rollout(house, visit.caller, name, limit=5)
    try:
        wish = _wish(visit)
        sentence = foretold(found, wish)
    except BadInput as error:
        return deeds.refused(request, f"/rollout/{name}", error)
    model = views.find(house, visit.caller, name)
    version = concerned(found, wish)
    figures = next((v for v in model.all if v.version == version), None)
    stale = visit.form.get("etag", "") != found.etag
    return rendering.render(
        request,
        "rollout_review.html",
        rollout=found,
        wish=wish,
        sentence=sentence,
        version=version,
        figures=figures,
        stale=stale,
        decisions=decisions(house, visit, name, 5),
    )


@router.post("/rollout/{name}")
def change(request: Request, visit: Acts, house: InHouse, name: str) -> Response:
    def deed() -> str:
        decision = views.change(house, visit.caller, name, _wish(visit), if_match=visit.asked("etag"))
        return decision.sentence

    return deeds.done(request, f"/rollout/{name}", deed)


def decisions(house: House, visit: Visit, name: str, most: int) -> tuple[AuditRow, ...]:
    """What was decided about this model, by whom and why, the newest first: a rollout's row forgets why it ended."""
    found = audit.search(house, visit.caller, subject=f"model:{name}", action="rollout.*", limit=most)
    return found.items


def _wish(visit: Visit) -> RolloutWish:
    action = visit.asked("action", "")
    staged = action == "stage"
    version = visit.form.get("version", "").strip()
    return deeds.wish(
        RolloutWish,
        action=action,
        stage=deeds.whole(visit.asked("stage"), "the stage") if staged else None,
        version=version or None if staged else None,
        live=action == "roll_back" and visit.form.get("live") == "on",
        reason=visit.asked("reason"),
    )


def idle(model: Model) -> tuple[str, ...]:
    """Versions that serve nobody and could be begun with, the newest first."""
    return tuple(version.version for version in model.all if version.stage is None)


def concerned(rollout: Rollout, wish: RolloutWish) -> str | None:
    """The version that the wish is about."""
    if wish.version is not None:
        return wish.version
    return rollout.live if wish.live or rollout.running is None else rollout.running


def foretold(rollout: Rollout, wish: RolloutWish) -> str:
    """What the wish would do to what is seen. BadInput when there is nothing that it could be done to; what the figures
    of that moment refuse is only known when it is done."""
    version, now = concerned(rollout, wish), rollout.stage or 0
    if wish.action == "roll_back":
        if version is None:
            raise BadInput(rollout.name, "has no version to take back", "begin one first")
        if version == rollout.running:
            rest = f"everybody gets {rollout.live} again" if rollout.live else "the rule answers again"
            return f"{version} is taken back from {now} % of the users; {rest}."
        if not wish.live:
            reason = "has nothing that is being rolled out"
            raise BadInput(rollout.name, reason, "tick that the live version itself is to be taken back")
        also = f" {rollout.running} stays at {now} %." if rollout.running else ""
        return f"{version}, live for everybody else, is taken back; the version before it is live again.{also}"
    if wish.version is None and rollout.running is None:
        raise BadInput(rollout.name, "has no version that is being rolled out", "choose a version to begin with")
    after = NEXT_STAGE[now] if wish.action == "promote" else wish.stage
    if wish.version is not None and wish.version != rollout.running:
        instead = f" in place of {rollout.running} at {now} %" if rollout.running else ""
        return f"{version} begins: {_reach(after)}{instead}."
    if after == now:
        return f"Nothing: {version} is at {now} % already."
    if after == 0:
        rest = f"everybody gets {rollout.live} again" if rollout.live else "the rule answers again"
        return f"{version} is taken back from {now} % of the users; {rest}."
    replaced = f"; {rollout.live} is superseded" if after == 100 and rollout.live else ""
    return f"{version} goes from {now} % to {_reach(after)}{replaced}."


def _reach(stage: int | None) -> str:
    return "all users" if stage == 100 else f"{stage} % of the users"
