"""Status: what waits, runs and failed, how full the store is, what is late. What each job's owner may read is in
jobs; this is for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from serving.wire.base import Answered


class Batch(Answered):
    key: str
    status: str
    attempts: int
    error: str | None
    url: Annotated[str | None, Field(description="its page of the Dagster UI")] = None


class FailedStep(Answered):
    job: str
    step: str
    error: str


class Refusal(Answered):
    """Of a whole job, or of one of its files."""

    job: str
    error: str


class Waiting(Answered):
    job: str
    reason: str


class Sheet(Answered):
    """A sheet in which something is left to do."""

    id: int
    name: str
    job: str | None
    status: str
    rows: int
    of: int
    rate: Annotated[float, Field(description="rows/s of the last minute")]
    eta: Annotated[float | None, Field(description="s")]
    sentence: str


class Storage(Answered):
    """As last measured; null figures before the first measurement."""

    at: datetime | None
    used: Annotated[int, Field(description="bytes")]
    budget: Annotated[int, Field(description="bytes")]
    level: Annotated[int, Field(description="0, 80, 90 or 95 per cent reached")]
    consequence: str
    kinds: Annotated[dict[str, int], Field(description="bytes by kind")]


class Counts(Answered):
    """How many there are now."""

    jobs: dict[str, int]
    batches: dict[str, int]
    failed_steps: int
    refused_jobs: int
    waiting_folders: int
    open_sheets: int
    open_withdrawals: int
    overdue_withdrawals: int
    waiting_access_requests: int
    legal_holds: int


class Status(Answered):
    counts: Counts
    storage: Storage
    open_batches: tuple[Batch, ...]
    failed_batches: tuple[Batch, ...]
    failed_steps: tuple[FailedStep, ...]
    refused_jobs: tuple[Refusal, ...]
    refused_files: tuple[Refusal, ...]
    waiting_jobs: tuple[Waiting, ...]
    sheets: tuple[Sheet, ...]
    links: Annotated[dict[str, str], Field(description="pages of the Dagster UI by name")]
