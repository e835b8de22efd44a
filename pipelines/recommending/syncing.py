"""The embeddings of a version brought up to date in the database: only what changed moves, and readers see the state
before or the one after, never half of it.

Vectors come from embedding.py, rows and sets are storage/embedding_{loads,sets}.py's. Everything that readers may see
is one transaction, so a sync that is killed anywhere has done nothing, and the next one does it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.errors import BadInput, Unavailable
from pipelines.recommending.embedding import Batch
from pipelines.storage import audit, embedding_loads, embedding_sets, embeddings
from pipelines.storage.embedding_sets import GRACE, KINDS, Kind
from pipelines.storage.recommending_tables import EmbeddingSet
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

FEW = 0.02  # of the rows: so many changes go into the live set, more make a new one
PATCHED_MOST = 0.2  # of the rows: after so many changes the index is worth building anew
PATIENCE = 30.0  # s to wait for another sync of the same version
TOLERANCE = 1e-3  # between a stored and a fresh number: half of what float16 would lose
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync did. ``set_id`` serves the version now."""

    set_id: int
    version: str
    new_set: bool  # False: nothing, or few changes within the live set
    users: int
    videos: int
    moved: int  # rows that came from the towers to the database
    unchanged: int
    deleted: int
    indexed: str  # hnsw or exact
    seconds: dict[str, float]  # generate, write, index, flip

    @property
    def sentence(self) -> str:
        what = f"{self.moved} vectors moved, {self.unchanged} unchanged, {self.deleted} deleted"
        if not self.moved and not self.deleted:
            return f"{self.version}: nothing changed in embedding set {self.set_id}"
        where = "new embedding set" if self.new_set else "within embedding set"
        return f"{self.version}: {what}, {where} {self.set_id} ({self.users} viewers, {self.videos} videos)"


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
        run = _Run(session, model, now, few, embedding_sets.current_set(session, model.id), indexed_from)
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


@dataclass(slots=True)
class _Held:
    """Of one kind: what the live set holds, what of it came again, what must move."""

    stored: dict[bytes, bytes]  # digest by id
    met: set[bytes] = field(default_factory=set)
    unchanged: list[UUID] = field(default_factory=list)
    waiting: list[tuple[list[UUID], NDArray[np.float32], NDArray[np.uint8]]] = field(default_factory=list)
    moved: int = 0

    @property
    def gone(self) -> list[UUID]:
        return [UUID(bytes=one) for one in self.stored.keys() - self.met]


class _Run:
    """One sync within its transaction. Changes wait in memory while they are few; the first too many opens a new set,
    into which they then stream, and what is unchanged follows on the server."""

    def __init__(
        self, session: Session, model: ModelVersion, now: datetime, few: float, live: EmbeddingSet | None, least: int
    ) -> None:
        self.session, self.model, self.now, self.live, self.indexed_from = session, model, now, live, least
        self.held: dict[Kind, _Held] = {
            kind: _Held({} if live is None else embedding_loads.stored_digests(session, kind, live.id))
            for kind in KINDS
        }
        self.before = sum(len(held.stored) for held in self.held.values())
        patched = 0 if live is None else int(live.detail.get("patched", 0))
        self.room = min(few * self.before, PATCHED_MOST * self.before - patched)
        self.set_id: int | None = None
        self.seconds = {"generate": 0.0, "write": 0.0, "index": 0.0, "flip": 0.0}

    def take(self, kind: Kind, batches: Iterable[Batch]) -> None:
        stream = iter(batches)
        while True:
            started = time.perf_counter()
            batch = next(stream, None)
            taken = time.perf_counter()
            self.seconds["generate"] += taken - started
            if batch is None:
                return
            self._sort(kind, batch)
            self.seconds["write"] += time.perf_counter() - taken

    def end(self) -> Synced:
        if not self.held["video"].met:
            what = f"the embeddings of {self.model.version}"
            raise BadInput(what, "would be of no video at all", "import a catalogue first")
        changes = sum(held.moved + len(held.gone) for held in self.held.values())
        if self.live is None or changes > self.room:
            self._open()
        started = time.perf_counter()
        if self.set_id is not None:
            deleted = self._new_set(self.set_id)
        else:
            assert self.live is not None
            deleted = self._patch(self.live, changes)
            self.seconds["write"] += time.perf_counter() - started
        row = embedding_sets.current_set(self.session, self.model.id)
        assert row is not None
        return Synced(
            set_id=row.id,
            version=self.model.version,
            new_set=self.set_id is not None,
            users=row.n_users,
            videos=row.n_videos,
            moved=sum(held.moved for held in self.held.values()),
            unchanged=sum(len(held.unchanged) for held in self.held.values()),
            deleted=deleted,
            indexed=row.video_index or "exact",
            seconds=self.seconds,
        )

    def _sort(self, kind: Kind, batch: Batch) -> None:
        """Tells what changed from what did not, by the digests."""
        embedding_loads.refuse_unfit(batch.vectors, len(batch.ids), self.model.version)
        held = self.held[kind]
        digests = embedding_loads.digests(batch.vectors)
        keys = [one.bytes for one in batch.ids]
        if len(set(keys)) < len(keys) or not held.met.isdisjoint(keys):
            raise BadInput(f"the embeddings of {self.model.version}", f"name a {kind} twice", "give each id once")
        held.met.update(keys)
        changed = np.array([held.stored.get(key) != digests[k].tobytes() for k, key in enumerate(keys)], np.bool_)
        held.unchanged += [one for one, other in zip(batch.ids, changed, strict=True) if not other]
        if not changed.any():
            return
        ids = [one for one, other in zip(batch.ids, changed, strict=True) if other]
        held.moved += len(ids)
        held.waiting.append((ids, batch.vectors[changed], digests[changed]))
        if self.set_id is not None or sum(held.moved for held in self.held.values()) > self.room:
            self._open()

    def _open(self) -> None:
        """From here on it is a new set; what waited goes into it."""
        if self.set_id is None:
            self.set_id = embedding_sets.create_set(self.session, self.model.id)
        for kind, held in self.held.items():
            for ids, vectors, digests in held.waiting:
                embedding_loads.copy_in(
                    self.session,
                    kind,
                    self.set_id,
                    ids,
                    vectors,
                    digests,
                    version=self.model.version,
                    now=self.now,
                )
            held.waiting.clear()

    def _new_set(self, set_id: int) -> int:
        started = time.perf_counter()
        for kind, held in self.held.items():
            if self.live is not None and held.unchanged:
                embedding_loads.copy_from(self.session, kind, self.live.id, set_id, held.unchanged)
        written = time.perf_counter()
        embedding_loads.index(self.session, set_id, indexed_from=self.indexed_from)
        indexed = time.perf_counter()
        embeddings.lock_viewers(self.session, shared=True)
        lost = embedding_loads.delete_lost(self.session, set_id)
        embedding_sets.finish(self.session, set_id, self.now)
        self.seconds["write"] += written - started
        self.seconds["index"] += indexed - written
        self.seconds["flip"] += time.perf_counter() - indexed
        return lost + sum(len(held.gone) for held in self.held.values())

    def _patch(self, live: EmbeddingSet, changes: int) -> int:
        now_live = embedding_sets.current_set(self.session, self.model.id, hold=True)
        if now_live is None or now_live.id != live.id:
            what = f"the embeddings of {self.model.version}"
            raise Unavailable(what, "were rolled back while they were being synced", 1)
        deleted = 0
        embeddings.lock_viewers(self.session, shared=True)
        for kind, held in self.held.items():
            if held.waiting:
                ids = [one for block in held.waiting for one in block[0]]
                vectors = np.concatenate([block[1] for block in held.waiting])
                digests = np.concatenate([block[2] for block in held.waiting])
                embedding_loads.upsert(
                    self.session, kind, live.id, ids, vectors, digests, version=self.model.version, now=self.now
                )
            if held.gone:
                deleted += embedding_loads.delete(self.session, kind, live.id, held.gone)
        deleted += embedding_loads.delete_lost(self.session, live.id)
        if changes or deleted:
            live.n_users = embedding_sets.contents(self.session, "user", live.id).rows
            live.n_videos = embedding_sets.contents(self.session, "video", live.id).rows
            live.detail = live.detail | {"patched": int(live.detail.get("patched", 0)) + changes}
            self.session.flush()
        return deleted
