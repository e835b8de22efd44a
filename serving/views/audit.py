"""The audit trail as it is searched and verified. What it means to be whole is pipelines/governance/audit.py's."""

from __future__ import annotations

import threading
from datetime import datetime

from pipelines.errors import Unavailable
from pipelines.governance import audit as rules
from pipelines.governance.people import pseudonym
from pipelines.identity.callers import Caller
from pipelines.storage import audit as table
from serving.api.house import House
from serving.views.paging import decode, encode
from serving.wire.audit import AuditRow, AuditVerification
from serving.wire.base import Page

ANYTHING = "*"  # at the end of a filter


class Verifying:
    """One verification at a time: it reads the whole trail."""

    def __init__(self, house: House) -> None:
        self.lock = threading.Lock()


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
    """Newest first. ``subject`` and ``action`` end in ``*`` for all that begin so; ``actor``, and what follows
    ``user:`` in ``subject``, is a pseudonym or a name, which is looked for as its pseudonym."""
    subjects, subject_prefix = _subject(subject)
    starts = action is not None and action.endswith(ANYTHING)
    with house.session() as session:
        rows = table.search(
            session,
            subjects=subjects,
            subject_prefix=subject_prefix,
            actors=(actor, pseudonym(actor)) if actor and actor.strip() else (),
            action=None if starts or not action else action,
            action_prefix=action[:-1] if action and starts else "",
            since=since,
            until=until,
            before=decode(cursor),
            limit=limit + 1,
        )
        items = tuple(
            AuditRow(
                seq=row.seq,
                at=row.at,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                detail=row.detail,
                hash=row.hash,
            )
            for row in rows[:limit]
        )
        return Page(items=items, next=encode(rows[limit - 1].seq) if len(rows) > limit else None)


def verification(house: House, caller: Caller, expected: str | None = None) -> AuditVerification:
    """Reads the whole trail. ``expected``: a head that was noted earlier; BadInput for what is none. Unavailable while
    another verification is under way."""
    head = rules.Head.parse(expected) if expected else None
    lock = house.one(Verifying).lock
    if not lock.acquire(timeout=10):
        raise Unavailable("the audit trail", "is being verified for somebody else", 10)
    try:
        with house.session() as session:
            verdict = rules.verify(session, head)
    finally:
        lock.release()
    return AuditVerification(
        ok=verdict.ok,
        rows=verdict.n,
        head=str(verdict.head),
        broken_at=verdict.broken_seq,
        reason=verdict.reason,
        sentence=str(verdict),
    )


def _subject(subject: str | None) -> tuple[tuple[str, ...], str]:
    if not subject:
        return (), ""
    if subject.endswith(ANYTHING):
        return (), subject[:-1]
    kind, _, name = subject.partition(":")
    if kind == "user" and name.strip():
        return (subject, f"user:{pseudonym(name)}"), ""
    return (subject,), ""
