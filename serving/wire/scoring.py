"""Sheets that are being scored: how far, how fast, at what cost, and each chunk of 500 rows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from serving.wire.base import Answered
from serving.wire.results import Result

ScoringStatus = Literal["planned", "running", "finished", "partly failed", "failed", "stopped"]
ChunkStatus = Literal["planned", "requested", "running", "finished", "failed", "given_up"]


class FailedChunk(Answered):
    chunk: str
    error: str
    retries: int
    not_before: Annotated[datetime | None, Field(description="of its next try; null: given up")] = None


class ScoringJob(Answered):
    """``chunks``: how many, by status. ``rate`` is of the last minute; ``eta`` is null where nothing moves.
    ``hit_rate``: share of the rows that cost no request. ``cost`` stays 0 where no price is known."""

    id: int
    job: str | None
    owner: str | None
    name: str
    kind: Literal["csv", "xlsx", "parquet", "google"]
    status: ScoringStatus
    alive: Annotated[bool, Field(description="a run works on it at this moment")]
    provider: str
    model: str | None
    categories: tuple[str, ...]
    rows: Annotated[int, Field(description="done")]
    of: Annotated[int, Field(description="rows in all")]
    rate: Annotated[float, Field(description="rows a second")]
    eta: Annotated[float | None, Field(description="seconds")]
    chunks: dict[ChunkStatus, int]
    failed: tuple[FailedChunk, ...]
    error: str | None
    cost: Annotated[float, Field(description="USD")]
    hit_rate: float
    requests: int
    throttled: int
    created_at: datetime
    finished_at: datetime | None
    written: dict[str, Any]
    result: Result | None = None
    url: Annotated[str, Field(description="its page")]

    @property
    def ended(self) -> bool:
        return self.finished_at is not None or self.error is not None


class Chunk(Answered):
    """500 rows, from ``first`` to ``last`` (from 0, excluded). ``id`` is its partition in Dagster, such as 17-0003."""

    id: str
    number: int
    first: int
    last: int
    status: ChunkStatus
    rows_done: int
    attempts: int
    retry_count: int
    error: str | None
    not_before: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float
    url: Annotated[str, Field(description="its page in the Dagster UI")]


class Retried(Answered):
    """How many chunks run again."""

    chunks: int
