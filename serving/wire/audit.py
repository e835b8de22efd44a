"""The audit trail as it is read: who (a pseudonym) did what to what, and whether it is still what was written."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from serving.wire.base import Answered


class AuditRow(Answered):
    seq: int
    at: datetime
    actor: Annotated[str, Field(description="a pseudonym, or the part of the product that acted")]
    action: str
    subject: Annotated[str, Field(description="such as job:12, model:master_reg, user:PSEUDONYM")]
    detail: dict[str, Any]
    hash: str


class AuditVerification(Answered):
    """``head`` is to be noted where the database's owner cannot write; ``expected`` takes it back."""

    ok: bool
    rows: int
    head: Annotated[str, Field(description="NUMBER:HASH of the newest row read")]
    broken_at: Annotated[int | None, Field(description="the first row that does not fit")]
    reason: str | None
    sentence: str
