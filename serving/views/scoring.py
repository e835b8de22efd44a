"""Scoring jobs as a caller may see them, chunk by chunk."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.base import Page
from serving.wire.scoring import Chunk, Retried, ScoringJob


def list_scoring_jobs(
    house: House, caller: Caller, *, limit: int = 50, cursor: str | None = None, job: str | None = None
) -> Page[ScoringJob]:
    """Newest first; ``job``: of this inbox job only. Those of the command line are an operator's to see."""
    raise NotImplementedError


def get_scoring_job(house: House, caller: Caller, scoring_job: int) -> ScoringJob:
    raise NotImplementedError


def list_chunks(
    house: House, caller: Caller, scoring_job: int, *, limit: int = 200, cursor: str | None = None
) -> Page[Chunk]:
    """By number, from 1."""
    raise NotImplementedError


def retry_scoring_job(house: House, caller: Caller, scoring_job: int) -> Retried:
    """Failed and given-up chunks run again. Conflict when there is none."""
    raise NotImplementedError
