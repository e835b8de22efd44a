"""API keys on the wire, and who somebody is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from pipelines.governance.people import Role
from pipelines.identity.callers import KeyStatus, Scope
from serving.wire.base import Answered, Asked, Name

Days = Annotated[int, Field(ge=1, le=3660)]
Prefix = Annotated[str, Field(pattern="^[0-9a-f]{8}$", description="the eight digits after orm_")]


class KeyWish(Asked):
    """A key to be made. What is left out is the caller's own; nobody gives more than they have, unless they manage
    everybody's keys."""

    owner: Annotated[Name | None, Field(description="somebody else: needs the scope keys")] = None
    role: Annotated[Role | None, Field(description="the caller's own when left out")] = None
    scopes: Annotated[
        tuple[Scope, ...] | None,
        Field(max_length=50, description="all that the role and the caller have when left out"),
    ] = None
    label: Annotated[str, Field(max_length=100, description="what it is for")] = ""
    days: Annotated[
        Days | None,
        Field(
            description="how long it works, never longer than the key that asks; null for ever: needs the scope keys"
        ),
    ] = 90


class Key(Answered):
    """A key as it is listed: the secret itself is kept nowhere."""

    id: Prefix
    label: str
    owner: str
    role: Role
    scopes: tuple[Scope, ...]
    status: KeyStatus
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: Annotated[datetime | None, Field(description="to the minute")]


class NewKey(Key):
    """The only answer that holds the key itself."""

    key: str


class Me(Answered):
    """Who calls, and what they may do."""

    name: str
    pseudonym: Annotated[str, Field(description="what stands for the name in logs and in the audit trail")]
    role: Role
    scopes: tuple[Scope, ...]
    everybody: Annotated[bool, Field(description="whether other people's things are theirs to see")]
    label: Annotated[str, Field(description="of the key or token")]
