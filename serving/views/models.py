"""Models and rollouts as an operator sees and changes them. Figures are pipelines/models/overview.py's, steps
rollout.py's."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.models import Model, ModelHistory, Models, Rollout, RolloutDecision, Rollouts, RolloutWish, Window


def listed(house: House, caller: Caller) -> Models:
    raise NotImplementedError


def find(house: House, caller: Caller, name: str, *, limit: int = 20) -> Model:
    raise NotImplementedError


def history(house: House, caller: Caller, name: str, *, window: Window = "1d", days: int = 30) -> ModelHistory:
    raise NotImplementedError


def rollouts(house: House, caller: Caller) -> Rollouts:
    raise NotImplementedError


def rollout(house: House, caller: Caller, name: str, *, limit: int = 20) -> Rollout:
    raise NotImplementedError


def change(house: House, caller: Caller, name: str, wish: RolloutWish, if_match: str | None = None) -> RolloutDecision:
    """``if_match``: the etag of the rollout as the caller saw it, 412 when it is another now; None: whatever it is."""
    raise NotImplementedError
