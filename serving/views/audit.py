"""The audit trail as it is searched and verified. What it means to be whole is pipelines/governance/audit.py's."""

from __future__ import annotations

from datetime import datetime

from pipelines.identity.callers import Caller
from serving.api.house import House
from serving.wire.audit import AuditRow, AuditVerification
from serving.wire.base import Page


def search(
    house: House,
    caller: Caller,
    *,
    subject: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[AuditRow]:
    """Newest first. ``subject`` and ``action`` end in ``*`` for all that begin so; ``actor`` is a pseudonym or a name,
    which is looked for as its pseudonym."""
    raise NotImplementedError


def verification(house: House, caller: Caller, expected: str | None = None) -> AuditVerification:
    raise NotImplementedError
