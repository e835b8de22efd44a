"""Lists and decisions of one viewer: their own, or anybody's for who reaches everybody."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire import recommendations as wire


def recommend(
    house: House,
    caller: Caller,
    user: str,
    limit: int = 20,
    *,
    genre: Sequence[str] = (),
    without_genre: Sequence[str] = (),
    unavailable_too: bool = False,
    diversity: float = 0.0,
    exploration: float = 0.0,
    seed: int | None = None,
) -> wire.Recommendations:
    """As `orimono recommend` gives it. NotFound for somebody else's list."""
    raise NotImplementedError


def decide(house: House, caller: Caller, user: str, wish: wire.DecisionWish) -> wire.Decision:
    """Keeps a decision. NotFound for an unknown video and for somebody else; Unavailable without a database."""
    raise NotImplementedError
