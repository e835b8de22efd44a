"""Which of the orchestrator's own records name what a person withdrew. Deleting them is for whoever knows the
orchestrator."""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.storage import withdrawals
from pipelines.studio import Studio


def named_batches(studio: Studio) -> dict[str, datetime]:
    """Batch key -> until when its records may name a withdrawn person's files.

    Of completed withdrawals only: what is under way still writes records.
    """
    return _named(studio, "batches")


def _named(studio: Studio, what: str) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    with studio.database.session() as session:
        for row in withdrawals.listed(session):
            if row.completed_at is not None:
                done = row.completed_at.astimezone(UTC)  # the orchestrator leaves the zone away
                for key in row.report.get(what, []):
                    found[str(key)] = max(found.get(str(key), done), done)
    return found


def named_sheets(studio: Studio) -> dict[str, datetime]:
    """Id of a score job, as runs of its chunks are tagged -> until when their records may name a withdrawn person's
    sheet."""
    return _named(studio, "sheets")


def last_completed(studio: Studio) -> datetime | None:
    """When a withdrawal was last completed: older records of looks over everything may name the person's files."""
    with studio.database.session() as session:
        done = [row.completed_at for row in withdrawals.listed(session) if row.completed_at is not None]
    return max(done).astimezone(UTC) if done else None
