"""Arrangements as a caller may see and choose them."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.arrangements import Arrangement, Choice
from serving.wire.base import Page


def list_arrangements(
    house: House, caller: Caller, *, limit: int = 50, cursor: str | None = None, job: str | None = None
) -> Page[Arrangement]:
    """Newest first; ``job``: of this one only."""
    raise NotImplementedError


def get_arrangement(house: House, caller: Caller, arrangement: int) -> Arrangement:
    raise NotImplementedError


def choose_arrangement(house: House, caller: Caller, arrangement: int) -> Choice:
    """Notes that its owner took this one and none of those beside it."""
    raise NotImplementedError
