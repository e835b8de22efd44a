"""Flags: switches that an operator turns while the product runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StrictBool

from serving.wire.base import Answered, Asked, Reason


class Flag(Answered):
    """``etag`` goes into If-Match of the next change. A flag that nobody has set is on."""

    name: str
    enabled: bool
    switches: Annotated[str, Field(description="what it does, on and off")]
    reason: Annotated[str, Field(description="of the last change; empty: nobody has set it")]
    changed_at: datetime | None
    etag: str


class Flags(Answered):
    items: tuple[Flag, ...]


class FlagWish(Asked):
    enabled: StrictBool
    reason: Reason
