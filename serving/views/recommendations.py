"""Lists and decisions of one viewer: their own, or anybody's for who reaches everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines import clock
from pipelines.identity.callers import Caller
from pipelines.recommending.people import viewer_id
from serving.api.house import House
from serving.api.predictors import Recommender
from serving.wire import recommendations as wire

if TYPE_CHECKING:
    from pipelines.recommending.answers import Recommendations


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
    _reach(caller, user)
    recommender = house.one(Recommender).get()
    found = recommender.recommend(
        user,
        limit,
        genres=genre,
        without_genres=without_genre,
        available=not unavailable_too,
        diversity=diversity,
        exploration=exploration,
        seed=seed,
    )
    return _told(found)


def decide(house: House, caller: Caller, user: str, wish: wire.DecisionWish) -> wire.Decision:
    """Keeps a decision. NotFound for an unknown video and for somebody else; Unavailable without a database."""
    _reach(caller, user)
    at = wish.at or clock.now()
    house.one(Recommender).get().decide(user, wish.video, wish.decision, wish.rating, at)
    return wire.Decision(video=wish.video, decision=wish.decision, rating=wish.rating, at=at)


def _reach(caller: Caller, user: str) -> None:
    """Nothing for one's own name, however it is spelled, one's own id, and for who reaches everybody."""
    if viewer_id(user) != viewer_id(caller.name):
        caller.reach(user, f"viewer {user}")


def _told(found: Recommendations) -> wire.Recommendations:
    # Taken as it is: each of its texts and numbers is ours already.
    items = tuple(
        wire.RecommendedVideo.model_construct(
            id=one.video_id, external_id=one.external_id, title=one.title, score=float(one.score), reason=one.reason
        )
        for one in found.items
    )
    return wire.Recommendations.model_construct(
        items=items,
        path=found.path,
        version=found.version,
        latency_ms=round(found.latency_ms, 3),
        reasons=found.reasons,
    )
