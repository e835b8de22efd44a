"""Models that are asked directly: by their names, with a row of features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.api.predictors import Predictors
from serving.wire import inference as wire

if TYPE_CHECKING:
    from pipelines.models.inference import Prediction


def predict(house: House, caller: Caller, name: str, wish: wire.PredictionWish) -> wire.Prediction:
    """The answer of the version of ``wish.user`` (the caller). NotFound for a model that is not asked directly,
    BadInput for rows that do not fit it, Unavailable while no version answers."""
    return told(name, house.one(Predictors).get(name).predict(wish.user or caller.name, wish.features))


async def predict_soon(house: House, caller: Caller, name: str, wish: wire.PredictionWish) -> wire.Prediction:
    """As ``predict``, for the event loop, which it does not hold up."""
    return told(name, await house.one(Predictors).answer(name, wish.user or caller.name, wish.features))


def told(name: str, found: Prediction) -> wire.Prediction:
    # Taken as it is: a check of each number that the model has just given would take longer than the model.
    return wire.Prediction.model_construct(
        model=name,
        outputs=tuple(map(tuple, found.outputs.tolist())),
        classes=found.classes,
        version=found.version,
        fell_back=found.fell_back,
        latency_ms=round(found.latency_ms, 3),
        reasons=found.reasons,
    )
