"""How long the orchestrator's own records are kept, and of which batches and chunks it still needs some."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipelines import clock
from pipelines.intake import batches
from pipelines.scoring import chunks
from pipelines.storage import partitions as table
from pipelines.studio import Studio


def runs_before(studio: Studio) -> datetime:
    """The moment from before which ended runs go. Unavailable while this machine's clock and the database's do not
    agree."""
    with studio.database.session() as session:
        return clock.agreed(session) - timedelta(days=studio.settings.number("run_days"))


def partitions(studio: Studio) -> tuple[set[str], set[str], set[str]]:
    """Batches that are pruned, chunks that are not, and batches whose runs say what becomes of them. What is due is
    pruned first: the sensors that do it by day may be switched off."""
    with studio.database.session() as session:
        now = clock.agreed(session)
        batches.prune(session, now)
        chunks.prune(session, now)
    with studio.database.session() as session:
        return table.pruned_batches(session), table.chunks(session), table.under_way(session)
