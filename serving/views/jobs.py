"""Jobs as a caller may see them: their own, an operator everybody's."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.base import Page
from serving.wire.jobs import Job, JobStatus


def list_jobs(
    house: House,
    caller: Caller,
    *,
    limit: int = 50,
    cursor: str | None = None,
    owner: str | None = None,
    status: JobStatus | None = None,
) -> Page[Job]:
    """Newest first, without their runs. ``owner``: of this person only."""
    raise NotImplementedError


def get_job(house: House, caller: Caller, name: str) -> Job:
    """With its run, when Dagster answers. NotFound for another person's, too."""
    raise NotImplementedError


def retry_job(house: House, caller: Caller, name: str) -> Job:
    """Has what failed in it run again. Conflict while it runs, or when nothing failed."""
    raise NotImplementedError
