"""Withdrawals: a person takes everything back, and sees that it goes. Counts only: no name, no key, no hash."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from serving.wire.base import Answered, Asked, Name


class WithdrawalWish(Asked):
    owner: Annotated[Name | None, Field(description="whose things go; your own when left out")] = None
    keep_originals: Annotated[StrictBool, Field(description="leave the originals with the studio, delete all else")] = (
        False
    )


class Stored(Answered):
    """Objects of one kind."""

    n: int
    bytes: int


class Deleted(Answered):
    """What goes, or went, by kind, and what stays and why."""

    rows: Annotated[dict[str, int], Field(description="table -> rows")]
    objects: Annotated[dict[str, Stored], Field(description="kind -> objects")]
    files: Annotated[dict[str, int], Field(description="folder of the home -> files")]
    snapshots: Annotated[int, Field(description="training sets that are erased")]
    shared: Annotated[int, Field(description="objects that stay: somebody else gave the same content")]
    kept: Annotated[int, Field(description="objects that stay: left with the studio, or under a legal hold")]
    held: Annotated[int, Field(description="items under a legal hold")]

    @property
    def nothing(self) -> bool:
        return not (self.rows or self.objects or self.files or self.snapshots)


class Withdrawal(Answered):
    """``deleting``: excluded from everything already, deleted by ``due_at``."""

    id: int
    person: Annotated[str, Field(description="pseudonym")]
    status: Literal["deleting", "overdue", "completed"]
    keep_originals: bool
    requested_at: datetime
    due_at: datetime
    completed_at: datetime | None
    own: Annotated[bool, Field(description="whether it is the caller's own")]
    report: Annotated[Deleted | None, Field(description="null until the first look at what there is")]
    page: Annotated[str, Field(description="where a person sees it")]


class WithdrawalPreview(Answered):
    """What a withdrawal would delete if it was asked for now."""

    person: Annotated[str, Field(description="pseudonym")]
    would_go: Deleted
