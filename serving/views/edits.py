"""Edits as a caller may see them."""

from __future__ import annotations

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.base import Page
from serving.wire.edits import Edit


def list_edits(
    house: House, caller: Caller, *, limit: int = 50, cursor: str | None = None, job: str | None = None
) -> Page[Edit]:
    """Newest first; ``job``: of this one only."""
    raise NotImplementedError


def get_edit(house: House, caller: Caller, job: str, pattern: str) -> Edit:
    raise NotImplementedError
