"""New jobs: each takes uploads that are ready, and is answered as the job that came of it.

How a job gets into the inbox is pipelines/intake/submitting.py's. ``request_id`` goes with the job into logs and runs;
``token`` makes sending safe to repeat: the same one of the same person is the same job.
"""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.jobs import Job
from serving.wire.submissions import (
    AlignmentWanted,
    ArrangementWanted,
    EditWanted,
    JobWish,
    MasterWanted,
    ScoringWanted,
)


def create_job(house: House, caller: Caller, wish: JobWish, *, request_id: str = "", token: str = "") -> Job:
    """NotFound for an upload that is not the caller's, Conflict for one that is not ready or was used, BadInput for
    files that make no job, NotAllowed for another's name without an operator's role, Unavailable without room."""
    raise NotImplementedError


def create_edit(house: House, caller: Caller, wish: EditWanted, *, request_id: str = "", token: str = "") -> Job:
    raise NotImplementedError


def create_master(house: House, caller: Caller, wish: MasterWanted, *, request_id: str = "", token: str = "") -> Job:
    raise NotImplementedError


def create_alignment(
    house: House, caller: Caller, wish: AlignmentWanted, *, request_id: str = "", token: str = ""
) -> Job:
    raise NotImplementedError


def create_arrangement(
    house: House, caller: Caller, wish: ArrangementWanted, *, request_id: str = "", token: str = ""
) -> Job:
    raise NotImplementedError


def create_scoring_job(
    house: House, caller: Caller, wish: ScoringWanted, *, request_id: str = "", token: str = ""
) -> Job:
    raise NotImplementedError
