"""Lists for viewers, and what they decide."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response, status

from pipelines.identity.callers import Caller
from serving.api.callers import InHouse, calls
from serving.api.slim import MOST_NAME, plain
from serving.views import recommendations as views
from serving.wire.recommendations import Decision, DecisionWish, Recommendations

router = APIRouter(tags=["recommendations"])

User = Annotated[str, Path(min_length=1, max_length=MOST_NAME, description="the viewer's name, or their id")]
Genres = Annotated[list[Annotated[str, Query(min_length=1, max_length=100)]], Query(max_length=50)]
Share = Annotated[float, Query(ge=0, le=1)]


async def recommend(
    user: User,
    caller: Annotated[Caller, calls("recommend")],
    house: InHouse,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    genre: Genres = [],  # noqa: B006 - FastAPI's, and never changed
    without_genre: Genres = [],  # noqa: B006
    unavailable_too: bool = False,
    diversity: Share = 0.0,
    exploration: Share = 0.0,
    seed: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
) -> Response:
    """Videos about which the viewer has decided nothing, the best first, each with its reason. There always is a list:
    ``path`` says how it was made."""

    listed = await views.recommend(
        house,
        caller,
        user,
        limit,
        genre=genre,
        without_genre=without_genre,
        unavailable_too=unavailable_too,
        diversity=diversity,
        exploration=exploration,
        seed=seed,
    )
    return Response(listed, media_type="application/json")


router.add_api_route(
    "/recommendations/{user}",
    recommend,
    methods=["GET"],
    operation_id="recommend",
    summary="A viewer's list",
    response_model=Recommendations,
    route_class_override=plain("recommend", views.recommend),
)


@router.post(
    "/recommendations/{user}/decisions",
    operation_id="decide",
    summary="Keep a viewer's decision",
    response_model=Decision,
    status_code=status.HTTP_201_CREATED,
)
def decide(user: User, wish: DecisionWish, caller: Annotated[Caller, calls("recommend")], house: InHouse) -> Decision:
    """Told twice with the same ``at`` it is kept once. The viewer's next list knows it."""
    return views.decide(house, caller, user, wish)
