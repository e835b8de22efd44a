"""Masters and how stems lie against each other."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from serving.wire.base import Answered
from serving.wire.results import Result


class Master(Answered):
    """One piece of a job (``stems`` for an instrumental with a vocal). ``facts`` is its master.json: settings, loudness
    before and after, warnings."""

    job: str
    piece: str
    preset: str
    chosen_by: str
    confidence: float
    reason: str
    facts: dict[str, Any]
    master: Result | None
    preview: Result | None
    peaks: Result | None
    pictures: tuple[Result, ...]


class Alignment(Answered):
    """How a job's vocal lies against its instrumental. ``verdict``: ok, warn or fail, with the reasons."""

    job: str
    piece: str
    lag_ms: Annotated[float, Field(description="positive: the vocal is late")]
    drift_ppm: float
    confidence: Annotated[float, Field(ge=0, le=1)]
    confidence_by: str
    verdict: str
    reasons: tuple[str, ...]
    picture: Result | None
