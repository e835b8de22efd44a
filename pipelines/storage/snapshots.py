"""Questions about training snapshots: which object holds the rows a model learned from, and whose rows they are.

The bytes and the promises about them are models/snapshots.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Text, cast, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import TrainingSnapshot


def add(
    session: Session,
    *,
    task: str,
    uri: str,
    sha256: str,
    n_rows: int,
    feature_version: str,
    users: Sequence[str],
    provenance: dict[str, Any],
    now: datetime,
) -> int:
    """Id of the snapshot of these bytes for this task, which is the earlier one when they were kept before."""
    statement = insert(TrainingSnapshot).values(
        task=task,
        uri=uri,
        sha256=sha256,
        n_rows=n_rows,
        feature_version=feature_version,
        users=list(users),
        provenance=provenance,
        created_at=now,
    )
    session.execute(statement.on_conflict_do_nothing(constraint="uq_training_snapshots_task_sha256"))
    known = select(TrainingSnapshot.id).where(TrainingSnapshot.task == task, TrainingSnapshot.sha256 == sha256)
    return session.execute(known).scalar_one()


def get(session: Session, snapshot_id: int) -> TrainingSnapshot | None:
    return session.get(TrainingSnapshot, snapshot_id)


def locked(session: Session, snapshot_id: int) -> TrainingSnapshot:
    """The snapshot, locked until the end of the transaction."""
    query = select(TrainingSnapshot).where(TrainingSnapshot.id == snapshot_id).with_for_update()
    return session.execute(query).scalar_one()


def of_task(session: Session, task: str) -> Sequence[TrainingSnapshot]:
    """Newest first, the erased ones with them."""
    query = select(TrainingSnapshot).where(TrainingSnapshot.task == task)
    return session.execute(query.order_by(TrainingSnapshot.id.desc())).scalars().all()


def holding(session: Session, pseudonym: str, *, lock: bool = False) -> Sequence[TrainingSnapshot]:
    """Snapshots, not erased yet, that hold rows of this person, oldest first."""
    query = select(TrainingSnapshot).where(
        TrainingSnapshot.users.op("@>")(cast([pseudonym], ARRAY(Text))), TrainingSnapshot.erased_at.is_(None)
    )
    query = query.order_by(TrainingSnapshot.id)
    return session.execute(query.with_for_update() if lock else query).scalars().all()
