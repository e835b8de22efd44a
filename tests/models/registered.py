"""Rows of the registry and of traffic for tests that need no model behind them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from pipelines.models import drift
from pipelines.storage.database import Database
from pipelines.storage.tables import AuditLog, ModelMetrics, ModelTraffic, ModelVersion, Rollout

NAME = "preset_cls"
FEATURES, OUTPUTS = 6, 3
START = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def population(n: int, *, shift: float = 0.0, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inputs float32[n, 6] and outputs float32[n, 3] of one population, or of one that has moved."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(shift, 1, (n, FEATURES)).astype(np.float32)
    outputs = rng.dirichlet([2 + 4 * abs(shift), 2, 2], n).astype(np.float32)
    return inputs, outputs


REFERENCE = drift.reference(*population(2000), [f"f{i}" for i in range(FEATURES)])


def register(database: Database, version: str, name: str = NAME) -> int:
    """Id of a row whose bytes have the key ``<name>/<version>``."""
    with database.session() as session:
        row = ModelVersion(
            name=name,
            version=version,
            uri=f"{name}/{version}",
            framework="onnx",
            input_dim=FEATURES,
            output_dim=OUTPUTS,
            metrics={},
            sha256="0" * 64,
            feature_version="audio-1",
            code_version="1",
            reference=REFERENCE,
            created_by="test",
        )
        session.add(row)
        session.flush()
        return row.id


def traffic(
    database: Database,
    model_id: int,
    minute: datetime,
    n: int,
    *,
    errors: int = 0,
    retries: int = 0,
    ms: float = 0.5,
    shift: float = 0.0,
    seed: int = 1,
    last_error: str | None = None,
) -> None:
    """``n`` calls within one minute, counted as traffic.py counts them."""
    input_edges, output_edges = drift.edges(REFERENCE)
    inputs, outputs = population(n, shift=shift, seed=seed)
    latencies = np.zeros(drift.LATENCY_BINS, np.int64)
    latencies[np.searchsorted(drift.LATENCY_EDGES_MS, ms, side="right")] = n
    with database.session() as session:
        session.add(
            ModelTraffic(
                model_id=model_id,
                minute=minute,
                n=n,
                errors=errors,
                retries=retries,
                latency_ms=ms * n,
                latency_counts=latencies.tolist(),
                input_counts=drift.count(input_edges, inputs).tolist(),
                output_counts=drift.count(output_edges, outputs[errors:]).tolist(),
                last_error=last_error,
            )
        )


def rows(database: Database, name: str = NAME) -> list[tuple[str, int, str]]:
    """(version, stage, status) of every rollout, oldest first."""
    query = select(ModelVersion.version, Rollout.stage, Rollout.status).join(
        ModelVersion, ModelVersion.id == Rollout.model_id
    )
    with database.session() as session:
        return [tuple(row) for row in session.execute(query.where(Rollout.name == name).order_by(Rollout.id))]


def audited(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    """(actor, action, detail), oldest first."""
    with database.session() as session:
        found = session.execute(select(AuditLog).order_by(AuditLog.seq)).scalars().all()
        return [(row.actor, row.action, row.detail) for row in found]


def metrics(database: Database, model_id: int) -> dict[str, ModelMetrics]:
    """The newest row of each window."""
    with database.session() as session:
        query = select(ModelMetrics).where(ModelMetrics.model_id == model_id).order_by(ModelMetrics.created_at)
        return {row.window: row for row in session.execute(query).scalars()}
