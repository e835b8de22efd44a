"""Models that are asked directly: by their names, with a row of features."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire import inference as wire


def predict(house: House, caller: Caller, name: str, wish: wire.PredictionWish) -> wire.Prediction:
    """The answer of the version of ``wish.user`` (the caller). NotFound for a model that is not asked directly,
    BadInput for rows that do not fit it, Unavailable while no version answers."""
    raise NotImplementedError
