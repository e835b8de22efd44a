"""Viewers, videos, versions and vectors for the tests of embeddings. The vectors of one state carry its number."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.recommending.embedding import Batch
from pipelines.storage import audit
from pipelines.storage.recommending_tables import DIMENSIONS, Video, Viewer
from pipelines.storage.tables import ModelVersion

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
GENRES = ("anime", "live", "dance", "drama")
_STATES = 5000


def user_ids(n: int) -> list[UUID]:
    return [uuid.uuid5(uuid.NAMESPACE_OID, f"user {k}") for k in range(n)]


def video_ids(n: int) -> list[UUID]:
    return [uuid.uuid5(uuid.NAMESPACE_OID, f"video {k}") for k in range(n)]


def people(session: Session, n_users: int, n_videos: int) -> None:
    """Video k is of genre k modulo 4 and can be watched unless k ends in 9."""
    session.add_all(Viewer(user_id=one, pseudonym=str(one)) for one in user_ids(n_users))
    session.add_all(
        Video(id=one, external_id=f"{k}", title=f"video {k}", genres=[GENRES[k % 4]], available=k % 10 != 9)
        for k, one in enumerate(video_ids(n_videos))
    )
    session.flush()


def version(session: Session, number: int = 1) -> ModelVersion:
    row = ModelVersion(
        name="two_tower",
        version=f"v20261121.{number}",
        uri="models/nowhere.onnx",
        framework="onnx",
        input_dim=4,
        output_dim=DIMENSIONS,
        metrics={},
        sha256="0" * 64,
        feature_version="1",
        code_version="1",
        created_by=audit.__name__,
    )
    session.add(row)
    session.flush()
    return row


def vectors(n: int, seed: int, state: int = 0) -> NDArray[np.float32]:
    """[n, 768] of length 1, in clusters as those of towers are; the first number tells ``state``."""
    rng = np.random.default_rng(seed)
    spread = rng.normal(size=(n, 24)) * np.linspace(1, 0.2, 24)
    found = spread @ np.random.default_rng(7).normal(size=(24, DIMENSIONS)) + 0.2 * rng.normal(size=(n, DIMENSIONS))
    found[:, 0] = 0
    first = state / _STATES
    found *= np.sqrt(1 - first**2) / np.linalg.norm(found, axis=1, keepdims=True)
    found[:, 0] = first
    return found.astype(np.float32)


def states(found: NDArray[np.float32]) -> set[int]:
    """Which states these vectors are of."""
    return set(np.rint(found[:, 0] * _STATES).astype(int).tolist())


def batches(ids: Sequence[UUID], found: NDArray[np.float32], size: int = 64) -> Iterator[Batch]:
    for at in range(0, len(ids), size):
        yield Batch(list(ids[at : at + size]), found[at : at + size])
