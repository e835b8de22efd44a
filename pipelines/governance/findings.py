"""What the checks ask of governance: what is late, what is broken, what is full. Each finding is a sentence."""

from __future__ import annotations

from pipelines import clock
from pipelines.governance import audit, budget, retention
from pipelines.governance.people import pseudonym
from pipelines.storage import withdrawals
from pipelines.studio import Studio


def overdue_withdrawals(studio: Studio) -> list[str]:
    with studio.database.session() as session:
        now = clock.now()
        late = [row for row in withdrawals.unfinished(session) if row.due_at < now]
    return [
        f"user {pseudonym(row.user_id)}: was to be deleted by {row.due_at:%Y-%m-%d %H:%M} UTC; see the asset's reports"
        for row in late
    ]


def expired_items(studio: Studio) -> list[str]:
    return retention.expire(studio, dry_run=True).lines(keys=False)


def broken_trail(studio: Studio) -> list[str]:
    with studio.database.session() as session:
        verdict = audit.verify(session)
    return [] if verdict.ok else [str(verdict)]


def fullness(studio: Studio) -> list[str]:
    with studio.database.session() as session:
        level = budget.level(session)
    return [f"the object store is over {level} % of its budget: {budget.CONSEQUENCES[level]}"] if level else []
