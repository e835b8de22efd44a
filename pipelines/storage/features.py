"""Questions about the feature store: one vector a sound, by content and feature version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import BatchRow, FeatureRow, Job


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
    values = {"user_id": user_id, "n_dim": len(vec), "vec": [float(v) for v in vec], "stats": stats}
    statement = insert(FeatureRow).values(
        job_id=job_id, clip_kind=clip_kind, content_hash=content_hash, feature_version=feature_version, **values
    )
    session.execute(statement.on_conflict_do_update(constraint="uq_features_store_item", set_=values))


def of_batch(session: Session, key: str) -> Sequence[FeatureRow]:
    """The vectors of a batch's jobs."""
    query = select(FeatureRow).join(Job, Job.id == FeatureRow.job_id).join(BatchRow).where(BatchRow.key == key)
    return session.execute(query.order_by(FeatureRow.id)).scalars().all()
