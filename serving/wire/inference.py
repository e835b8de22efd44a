"""A question to a model, and what it answers. Names and widths of the inputs are the models' own."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field

from serving.wire.base import Answered, Asked, Name

Number: TypeAlias = Annotated[float, Field(strict=True)]
Row: TypeAlias = Annotated[tuple[Number, ...], Field(min_length=1, max_length=4096)]
Rows: TypeAlias = Annotated[tuple[Row, ...], Field(min_length=1, max_length=1024)]


class PredictionWish(Asked):
    """``features``: one row of numbers, or several of the same width."""

    model_config = ConfigDict(allow_inf_nan=False)

    features: Annotated[
        Row | Rows,
        Field(union_mode="left_to_right", description="one row of features, or a list of rows", examples=[[0.1, 0.2]]),
    ]
    user: Annotated[Name | None, Field(description="whose rollout decides which version answers; the caller's")] = None


class Prediction(Answered):
    """``outputs``: a row for each row that was given."""

    model: str
    outputs: tuple[tuple[float, ...], ...]
    classes: Annotated[tuple[str, ...], Field(description="of a classifier, in the order of the outputs")] = ()
    version: Annotated[str, Field(description="which version answered; rule when none did", examples=["v20261121.1"])]
    fell_back: Annotated[bool, Field(description="another than the user's own version answered")]
    latency_ms: Annotated[float, Field(description="of the model, not of the request")]
    reasons: Annotated[tuple[str, ...], Field(description="why the versions before it did not answer")] = ()
