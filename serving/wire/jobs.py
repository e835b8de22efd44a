"""A job as people see it: whose it is, how far it is, what failed. Its results are results.py's."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from pipelines import job_state
from serving.wire.base import Answered

JobStatus: TypeAlias = job_state.Status
System: TypeAlias = job_state.System


class JobUpload(Answered):
    """One file of a job. ``status`` bad: refused, ``error`` says why; expired: the original is gone."""

    name: str
    kind: str
    size: Annotated[int, Field(description="bytes")]
    status: Literal["ok", "bad", "expired"]
    error: str | None = None


class JobStep(Answered):
    """The newest outcome of one step for the whole job, or for one of its files (``upload``)."""

    name: Annotated[str, Field(description="the asset's name, such as music_features")]
    status: Literal["ok", "failed"]
    upload: str | None = None
    error: str | None = None
    seconds: float


class JobRun(Answered):
    """The Dagster run that works on the job's batch, or did; ``url`` leads there."""

    id: str
    status: str
    url: str


class Job(Answered):
    """``name`` is how a job is known everywhere. waiting: sent, not taken in yet; refused: ``error`` says why; planned:
    waits for its run; failed: something that was asked for did not come of it, ``error`` says what."""

    name: str
    owner: str | None
    status: JobStatus
    error: str | None = None
    created_at: datetime | None = None
    systems: tuple[System, ...] = ()
    uploads: tuple[JobUpload, ...] = ()
    steps: tuple[JobStep, ...] = ()
    progress: Annotated[float, Field(ge=0, le=1)] = 0.0
    batch: str | None = None
    batch_url: Annotated[str | None, Field(description="the batch's page in the Dagster UI")] = None
    run: JobRun | None = None
    request_id: Annotated[str | None, Field(description="of the request that sent it")] = None
    url: Annotated[str, Field(description="the job's page")]

    @property
    def ended(self) -> bool:
        return self.status in ("refused", "finished", "failed")
