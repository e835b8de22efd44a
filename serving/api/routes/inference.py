"""Models that are asked directly."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.slim import slim
from serving.views import inference as views
from serving.wire.inference import Prediction, PredictionWish

router = APIRouter(tags=["models"], route_class=slim("infer", PredictionWish))


@router.post(
    "/models/{name}/predict",
    operation_id="predict",
    summary="Ask a model",
    response_model=Prediction,
)
async def predict(
    name: Annotated[str, Path(min_length=1, max_length=60, examples=["preset_cls"])],
    wish: PredictionWish,
    caller: Annotated[Caller, calls("infer")],
    house: InHouse,
) -> Response:
    """One row of features, or several: what the version of the user's rollout makes of them.

    A version that fails, or takes longer than three seconds, is passed over for the one before it.
    """
    answer = await views.predict_soon(house, caller, name, wish)
    return Response(answer.model_dump_json(), media_type="application/json")
