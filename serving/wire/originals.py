"""Originals: what is kept of a person and how long, legal holds, and the wishes to open one, which take two people."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StrictBool

from serving.wire.base import Answered, Asked, Reason

AccessStatus = Literal["waiting", "approved", "refused", "opened", "lapsed", "gone"]


class Original(Answered):
    """An object that belongs to a person."""

    id: int
    kind: str
    job: Annotated[str | None, Field(description="null once the job is gone")]
    owner: Annotated[str, Field(description="pseudonym")]
    size: Annotated[int, Field(description="bytes")]
    created_at: datetime
    expires_at: Annotated[datetime | None, Field(description="null: kept until its owner withdraws")]
    legal_hold: bool
    hold_reason: Annotated[str | None, Field(description="told to operators and administrators only")] = None


class HoldWish(Asked):
    reason: Reason


class AccessWish(Asked):
    item: Annotated[int, Field(gt=0, lt=2**63, description="an original's id")]
    reason: Reason


class Access(Answered):
    """One person's wish to open an original, and another person's decision."""

    id: int
    item: int
    kind: str
    status: AccessStatus
    reason: str
    requested_by: Annotated[str, Field(description="pseudonym")]
    requested_at: datetime
    decided_by: Annotated[str | None, Field(description="pseudonym")]
    decided_at: datetime | None
    opened_at: datetime | None
    own: Annotated[bool, Field(description="the caller asked")]
    may_decide: Annotated[bool, Field(description="the caller may approve or refuse it now")]
    may_open: Annotated[bool, Field(description="the caller may open it now, once")]


class AccessDecision(Asked):
    approve: StrictBool


class OpenedOriginal(Answered):
    """``url`` needs no key, is good for ``seconds``, and each opening of it is in the audit trail."""

    url: Annotated[str, Field(description="a path below the API's address, as those of results")]
    seconds: int
    expires_at: datetime
