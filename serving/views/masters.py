"""Masters and alignments of a job."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.base import Page
from serving.wire.masters import Alignment, Master


def list_masters(house: House, caller: Caller, job: str) -> Page[Master]:
    raise NotImplementedError


def list_alignments(house: House, caller: Caller, job: str) -> Page[Alignment]:
    raise NotImplementedError
