"""Which partitions the orchestrator is to have: of batches and chunks whose rows were not pruned.

When one is pruned is decided in intake/batches.py and scoring/chunks.py.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from pipelines.storage.scoring_tables import ScoreChunk
from pipelines.storage.tables import BatchRow


def batches(session: Session) -> set[str]:
    """Keys, such as 20261121-0001."""
    return set(session.execute(select(BatchRow.key).where(BatchRow.pruned_at.is_(None))).scalars())


def pruned_batches(session: Session) -> set[str]:
    """Keys of those that are to have no partition any more."""
    return set(session.execute(select(BatchRow.key).where(BatchRow.pruned_at.is_not(None))).scalars())


def chunks(session: Session) -> set[str]:
    """Such as 17-0003."""
    return set(session.execute(select(ScoreChunk.chunk_id).where(ScoreChunk.pruned_at.is_(None))).scalars())


def under_way(session: Session) -> set[str]:
    """Keys of batches that wait for a run or have one: their runs say what becomes of them."""
    query = select(BatchRow.key).where(BatchRow.status.in_(("planned", "requested")))
    return set(session.execute(query).scalars())
