"""A viewer's list, and a decision that changes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from serving.wire.base import Answered, Asked, Moment, Name

Verdict = Literal["like", "watch", "skip", "dislike"]


class RecommendedVideo(Answered):
    id: str
    external_id: Annotated[str, Field(description="as the studio calls it")]
    title: str | None
    score: float
    reason: str


class Recommendations(Answered):
    items: tuple[RecommendedVideo, ...]
    path: Annotated[
        Literal["tower", "table", "popular", "remembered"],
        Field(description="how it was made; see docs/recommending.md"),
    ]
    version: Annotated[str, Field(description="whose vectors they are, or the path")]
    latency_ms: float
    reasons: Annotated[tuple[str, ...], Field(description="why it is not the viewer's own version")] = ()


class DecisionWish(Asked):
    """What a viewer decided about a video; their next list knows it."""

    video: Annotated[Name, Field(description="as the studio calls it, or its id")]
    decision: Verdict
    rating: Annotated[float | None, Field(strict=True, allow_inf_nan=False)] = None
    at: Annotated[Moment | None, Field(description="with its time zone; now when left out")] = None


class Decision(Answered):
    video: str
    decision: Verdict
    rating: float | None
    at: AwareDatetime
