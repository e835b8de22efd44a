"""Routes of models: versions, figures over time, and who gets which version."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.idempotency import Idempotent
from serving.api.problems import MEDIA_TYPE
from serving.views import models as views
from serving.wire.base import Problem
from serving.wire.models import Model, ModelHistory, Models, Rollout, RolloutDecision, Rollouts, RolloutWish, Window

router = APIRouter(tags=["models"], route_class=Idempotent)
Operating = Annotated[Caller, calls("operate")]
ModelName = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_]+$")]
IfMatch = Annotated[
    str | None, Header(max_length=500, description="the etag of the state that the change is meant for")
]
CHANGED: dict[int | str, dict[str, Any]] = {
    412: {
        "model": Problem,
        "description": "Changed since it was looked at",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


@router.get("/models", operation_id="list_models", summary="All models, and what serves now")
def list_models(caller: Operating, house: InHouse) -> Models:
    return views.listed(house, caller)


@router.get("/models/{name}", operation_id="get_model", summary="A model with its versions and their figures")
def get_model(
    caller: Operating, house: InHouse, name: ModelName, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> Model:
    """`limit`: the newest versions; those that serve are always among them."""
    return views.find(house, caller, name, limit=limit)


@router.get("/models/{name}/history", operation_id="get_model_history", summary="A model's figures over time")
def get_model_history(
    caller: Operating,
    house: InHouse,
    name: ModelName,
    window: Annotated[Window, Query(description="what each look looks back on")] = "1d",
    days: Annotated[int, Query(ge=1, le=366, description="how far the looks go back")] = 30,
) -> ModelHistory:
    return views.history(house, caller, name, window=window, days=days)


@router.get("/models/{name}/rollout", operation_id="get_rollout", summary="Who gets which version of a model")
def get_rollout(caller: Operating, house: InHouse, response: Response, name: ModelName) -> Rollout:
    found = views.rollout(house, caller, name)
    response.headers["ETag"] = f'"{found.etag}"'
    return found


@router.post(
    "/models/{name}/rollout",
    operation_id="change_rollout",
    summary="Promote a version, set its stage, or take it back",
    responses=CHANGED,
)
def change_rollout(
    caller: Operating,
    house: InHouse,
    response: Response,
    name: ModelName,
    wish: RolloutWish,
    if_match: IfMatch = None,
) -> RolloutDecision:
    """Processes that serve follow within seconds. With `If-Match` 412 when somebody changed it meanwhile."""
    decision = views.change(house, caller, name, wish, if_match)
    response.headers["ETag"] = f'"{decision.rollout.etag}"'
    return decision


@router.get("/rollouts", operation_id="list_rollouts", summary="Who gets which version of each model")
def list_rollouts(caller: Operating, house: InHouse) -> Rollouts:
    return views.rollouts(house, caller)
