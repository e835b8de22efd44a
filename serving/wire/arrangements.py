"""Arrangements of melodies: candidates, what they were ranked by, which of them was chosen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from serving.wire.base import Answered
from serving.wire.results import Result

ArrangementFile = Literal["midi", "project", "picture", "preview", "report"]


class Arrangement(Answered):
    """``candidate`` 1 was ranked first; 0 was chosen once and is no longer made. ``job`` is null for one that was made
    at the command line. ``files``: those that there are."""

    id: int
    job: str | None
    owner: str
    name: Annotated[str, Field(description="of the melody")]
    style: Literal["chorale", "pop"]
    candidate: int
    seed: int
    rating: float
    measures: dict[str, Any]
    made_by: str
    created_at: datetime
    chosen_at: datetime | None
    files: dict[ArrangementFile, Result]


class Choice(Answered):
    """What was noted: this candidate of so many (``among``) is the one that its owner took."""

    id: int
    name: str
    style: Literal["chorale", "pop"]
    candidate: int
    among: int
