"""Models: versions with their figures, figures over time, and who gets which version."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StrictBool, model_validator

from serving.wire.base import Answered, Asked, Reason

Share = Annotated[float | None, Field(description="0..1")]
Window = Literal["1d", "7d", "30d"]
StepStatus = Literal["running", "live", "rolled_back", "superseded"]
VersionStatus = Literal["live", "running", "superseded", "rolled_back", "registered"]


class Figure(Answered):
    """How good a version was when it was made. ``better``: in which direction."""

    measure: Annotated[str, Field(description="such as R2, MAE, macro-F1, NDCG@20, frame accuracy")]
    target: Annotated[str, Field(description="what it is about, such as threshold_db; empty: the whole")] = ""
    value: float
    baseline: Annotated[float | None, Field(description="what knows nothing reaches")] = None
    unit: str = ""
    better: Literal["higher", "lower"] = "higher"


class Behaviour(Answered):
    """What a version did in a window that ended at ``at``."""

    at: datetime
    n: Annotated[int, Field(description="calls")]
    latency_ms: Annotated[float | None, Field(description="mean")]
    latency_p95_ms: float | None
    err_rate: Share
    retry_rate: Share
    input_psi: Annotated[float | None, Field(description="population stability index of the inputs")]
    output_psi: Annotated[float | None, Field(description="of the answers")]
    output_ks: Annotated[float | None, Field(description="Kolmogorov-Smirnov distance of the answers")]


class ModelVersion(Answered):
    """``stage``: per cent of the users; null: it serves nobody."""

    version: str
    framework: str
    status: VersionStatus
    stage: int | None
    since: datetime
    reason: str
    created_at: datetime
    headline: Figure
    figures: tuple[Figure, ...]
    day: Annotated[Behaviour | None, Field(description="the newest look at its last 24 h")]
    input_dim: int
    output_dim: int
    feature_version: str
    licences: tuple[str, ...]


class ModelCard(Answered):
    """One model in a list: what serves now."""

    name: str
    task: Annotated[str, Field(description="what it says, in a few words")]
    live: ModelVersion | None
    running: ModelVersion | None
    newest: ModelVersion
    versions: int
    page: str


class Models(Answered):
    items: tuple[ModelCard, ...]


class Model(ModelCard):
    """With its versions, the newest first, those that serve before them."""

    all: tuple[ModelVersion, ...]


class VersionHistory(Answered):
    """One version's figures over time, oldest first."""

    version: str
    points: tuple[Behaviour, ...]


class MadePoint(Answered):
    """A version when it was registered, and how good it was."""

    at: datetime
    version: str
    value: float


class FigureHistory(Answered):
    """One measure of one target over the versions, oldest first."""

    measure: str
    target: str
    unit: str
    better: Literal["higher", "lower"]
    points: tuple[MadePoint, ...]


class ModelHistory(Answered):
    name: str
    window: Window
    headline: FigureHistory
    figures: tuple[FigureHistory, ...]
    versions: Annotated[tuple[VersionHistory, ...], Field(description="those that were measured, newest first")]


class RolloutStep(Answered):
    version: str
    stage: int
    status: StepStatus
    reason: str
    decided_by: Annotated[str, Field(description="a pseudonym, or the part of the product that decided")]
    started_at: datetime
    stage_since: datetime
    ended_at: datetime | None


class Rollout(Answered):
    """Who gets which version of one model. ``etag`` goes into If-Match of the next change."""

    name: str
    live: str | None
    running: str | None
    stage: Annotated[int | None, Field(description="per cent of the users that the running one has")]
    etag: str
    steps: Annotated[tuple[RolloutStep, ...], Field(description="newest first")]


class Rollouts(Answered):
    items: tuple[Rollout, ...]


class RolloutWish(Asked):
    """promote: the running version goes one stage up; roll_back: the running one is taken back (``live``: the live one,
    too, is named so); stage: the running version, or ``version`` in its place, gets ``stage`` per cent."""

    action: Literal["promote", "roll_back", "stage"]
    stage: Literal[0, 5, 25, 100] | None = None
    version: Annotated[str | None, Field(pattern=r"^v[0-9]{8}([.][0-9]{1,6})?$")] = None
    live: Annotated[StrictBool, Field(description="roll_back: the live version, not the one that runs")] = False
    reason: Reason

    @model_validator(mode="after")
    def _agrees(self) -> RolloutWish:
        if (self.action == "stage") != (self.stage is not None):
            raise ValueError("stage is given with the action stage, and only with it")
        if self.version is not None and self.action != "stage":
            raise ValueError("version is given with the action stage only")
        if self.live and self.action != "roll_back":
            raise ValueError("live is given with the action roll_back only")
        return self


class RolloutDecision(Answered):
    """``done`` is false when nothing was changed, and ``sentence`` says why."""

    done: bool
    sentence: str
    version: str
    before: Annotated[int, Field(description="per cent of the users")]
    after: int
    rollout: Rollout
