"""Lists and decisions of one viewer: their own, or anybody's for who reaches everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines import clock
from pipelines.identity.callers import Caller
from pipelines.recommending.people import viewer_id
from serving.api.house import House
from serving.api.predictors import ListAsked, Recommender
from serving.wire import recommendations as wire

if TYPE_CHECKING:
    from pipelines.recommending.answers import Recommendations


async def recommend(
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
) -> bytes:
    """As `orimono recommend` gives it: a ``wire.Recommendations`` as JSON, made where the list is. NotFound for
    somebody else's list."""
    from pipelines.recommending.catalogue import Filters
    from pipelines.recommending.ranking import Wish

    _reach(caller, user)
    wish = Wish(limit, Filters.of(genre, without_genre, not unavailable_too), diversity, exploration, seed)
    return await house.one(Recommender).answer(ListAsked(viewer_id(user), wish, _told))


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


def _told(found: Recommendations) -> bytes:
    # Taken as it is: each of its texts and numbers is ours already.
    items = tuple(
        wire.RecommendedVideo.model_construct(
            id=one.video_id, external_id=one.external_id, title=one.title, score=float(one.score), reason=one.reason
        )
        for one in found.items
    )
    listed = wire.Recommendations.model_construct(
        items=items,
        path=found.path,
        version=found.version,
        latency_ms=round(found.latency_ms, 3),
        reasons=found.reasons,
    )
    return listed.model_dump_json().encode()
