"""Questions about the feature store: one vector a sound, by content and feature version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import BatchRow, FeatureRow, Job


@dataclass(frozen=True, slots=True)
class NewFeatures:
    """The vector of one sound: float32[n_dim]."""

    job_id: int
    user_id: str
    clip_kind: str
    vec: NDArray[np.float32]
    stats: dict[str, Any]
    content_hash: str
    feature_version: str


def record(
    session: Session,
    *,
    job_id: int,
    user_id: str,
    clip_kind: str,
    vec: NDArray[np.float32],
    stats: dict[str, Any],
    content_hash: str,
    feature_version: str,
) -> None:
    """Stores float32[n_dim], in place of an earlier one of the same job, kind, content and version."""
    record_all(session, [NewFeatures(job_id, user_id, clip_kind, vec, stats, content_hash, feature_version)])


def record_all(session: Session, new: Sequence[NewFeatures]) -> None:
    """Each in place of an earlier one of the same job, kind, content and version; of two such the last counts."""
    rows = {
        (n.job_id, n.clip_kind, n.content_hash, n.feature_version): {
            "job_id": n.job_id,
            "user_id": n.user_id,
            "clip_kind": n.clip_kind,
            "n_dim": len(n.vec),
            "vec": [float(v) for v in n.vec],
            "stats": n.stats,
            "content_hash": n.content_hash,
            "feature_version": n.feature_version,
        }
        for n in new
    }
    if not rows:
        return
    statement = insert(FeatureRow)
    changed = {name: statement.excluded[name] for name in ("user_id", "n_dim", "vec", "stats")}
    statement = statement.on_conflict_do_update(constraint="uq_features_store_item", set_=changed)
    session.execute(statement, list(rows.values()))


def of_batch(session: Session, key: str) -> Sequence[FeatureRow]:
    """The vectors of a batch's jobs."""
    query = select(FeatureRow).join(Job, Job.id == FeatureRow.job_id).join(BatchRow).where(BatchRow.key == key)
    return session.execute(query.order_by(FeatureRow.id)).scalars().all()
