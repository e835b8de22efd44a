"""The embeddings of a version brought up to date in the database: only what changed moves, and readers see the state
before or the one after, never half of it.

Vectors come from embedding.py; how they are told apart and moved is loading.py's. Everything that readers may see is
one transaction, so a sync that is killed anywhere has done nothing, and the next one does it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy.orm import Session

from pipelines.recommending.embedding import Batch
from pipelines.recommending.loading import FEW, Load, Synced
from pipelines.storage import audit, embedding_loads, embedding_sets, embeddings
from pipelines.storage.embedding_sets import GRACE, Kind
from pipelines.storage.recommending_tables import EmbeddingSet
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

PATIENCE = 30.0  # s to wait for another sync of the same version
TOLERANCE = 1e-3  # between a stored and a fresh number: half of what float16 would lose
log = logging.getLogger(__name__)


def sync(
    studio: Studio,
    model: ModelVersion,
    users: Iterable[Batch],
    videos: Iterable[Batch],
    now: datetime,
    *,
    patience: float = PATIENCE,
    few: float = FEW,
    indexed_from: int = embedding_loads.INDEXED_FROM,
    grace: timedelta = GRACE,
    actor: str = "system",
) -> Synced:
    """Makes the version's set hold exactly these vectors (an id once). Sets that nobody reads any more go first.

    BadInput that names the version for vectors that are unfit, an id given twice, and no video at all; Unavailable when
    another sync of the version does not end within ``patience`` seconds, or the database goes away. After either the
    live set is as it was.
    """
    sweep(studio, now, grace)
    with studio.database.session() as session, embedding_sets.patient(session, model.id, patience):
        run = Load(session, model, now, few, embedding_sets.current_set(session, model.id), indexed_from)
        run.take("video", videos)
        run.take("user", users)
        synced = run.end()
        if synced.moved or synced.deleted:
            detail = {"version": model.version, "set": synced.set_id, "new": synced.new_set, "moved": synced.moved}
            detail |= {"deleted": synced.deleted, "users": synced.users, "videos": synced.videos}
            audit.write(session, actor=actor, action="embeddings.sync", subject=f"model:{model.name}", detail=detail)
        started = time.perf_counter()
    synced.seconds["flip"] += time.perf_counter() - started
    log.info("%s", synced.sentence)
    return synced


def roll_back(studio: Studio, model: ModelVersion, now: datetime, *, actor: str, reason: str) -> int:
    """The version is served by its set before, by one row; its id. Asked again, by the later one. BadInput when there
    is no set before."""
    with studio.database.session() as session:
        set_id = embedding_sets.back(session, model.id, now)
        detail = {"version": model.version, "set": set_id, "reason": reason}
        audit.write(session, actor=actor, action="embeddings.back", subject=f"model:{model.name}", detail=detail)
    return set_id


def sweep(studio: Studio, now: datetime, grace: timedelta = GRACE) -> list[int]:
    """Drops the sets that nobody reads any more, one by one; those that are in the way of readers stay for the next."""
    with studio.database.session() as session:
        unused = embedding_sets.unused(session, now, grace)
    dropped = []
    for set_id in unused:
        with studio.database.session() as session:
            if embedding_sets.drop(session, set_id):
                dropped.append(set_id)
    return dropped


def check(
    studio: Studio,
    model: ModelVersion,
    users: Iterable[Batch],
    videos: Iterable[Batch],
    *,
    n_users: int | None = None,
    n_videos: int | None = None,
) -> list[str]:
    """Sentences on how the live set differs from a sample of fresh vectors (about 200 are enough), in count (where
    given) and in length; empty when it does not."""
    with studio.database.session() as session:
        live = embedding_sets.current_set(session, model.id)
        if live is None:
            return [f"{model.version} has no embeddings; sync it"]
        problems = []
        for kind, batches, n in (("user", users, n_users), ("video", videos, n_videos)):
            problems += _differences(session, live, "user" if kind == "user" else "video", batches, n)
        return problems


def _differences(
    session: Session, live: EmbeddingSet, kind: Kind, batches: Iterable[Batch], expected: int | None
) -> list[str]:
    problems = []
    held = embedding_sets.contents(session, kind, live.id)
    noted = live.n_users if kind == "user" else live.n_videos
    if expected is not None and held.rows != expected:
        problems.append(f"set {live.id} holds {held.rows} {kind} vectors where there are {expected} {kind}s")
    if held.rows != noted:
        problems.append(f"set {live.id} holds {held.rows} {kind} vectors and says {noted}")
    if not held.normal:
        problems.append(f"{kind} vectors of set {live.id} are {held.shortest} to {held.longest} long instead of 1")
    missing, other, looked_at = 0, 0, 0
    for batch in batches:
        stored = embeddings.vectors_of(session, kind, live.id, batch.ids)
        looked_at += len(batch.ids)
        missing += len(batch.ids) - len(stored)
        for one, vector in zip(batch.ids, batch.vectors, strict=True):
            other += one in stored and float(np.abs(stored[one] - vector).max()) > TOLERANCE
    if missing:
        problems.append(f"{missing} of {looked_at} {kind}s looked at have no vector in set {live.id}")
    if other:
        problems.append(f"{other} of {looked_at} {kind} vectors in set {live.id} are not what the model says now")
    return problems
