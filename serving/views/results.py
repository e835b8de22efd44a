"""Files that came of a job, with signed links."""

from __future__ import annotations

from pathlib import Path

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.results import Results


def list_results(house: House, caller: Caller, name: str) -> Results:
    """NotFound for a job that is not theirs; no items while nothing is published."""
    raise NotImplementedError


def file_of(house: House, caller: Caller, name: str, path: str) -> Path:
    """One file of the results, for who serves it by another right than a link. NotFound for what is none."""
    raise NotImplementedError
