"""One load of a version's vectors within its transaction: what changed is told from what did not, and goes into the
live set while it is little, else into a new one, to which the rest is copied on the server.

When a load begins and who may begin one is syncing.py's, the statements are storage/embedding_{loads,sets}.py's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from pipelines.errors import BadInput, Unavailable
from pipelines.recommending.embedding import Batch
from pipelines.storage import embedding_loads, embedding_sets, embeddings
from pipelines.storage.embedding_sets import KINDS, Kind
from pipelines.storage.recommending_tables import EmbeddingSet
from pipelines.storage.tables import ModelVersion

FEW = 0.02  # of the rows: so many changes go into the live set, more make a new one
PATCHED_MOST = 0.2  # of the rows: after so many changes the index is worth building anew
SAME = 2e-6  # between two numbers: what a product's last bits differ by in a batch of another size


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


@dataclass(slots=True)
class Held:
    """Of one kind: what the live set holds, what of it came again, what must move."""

    stored: dict[bytes, bytes]  # digest by id
    met: set[bytes] = field(default_factory=set)
    unchanged: list[UUID] = field(default_factory=list)
    waiting: list[tuple[list[UUID], NDArray[np.float32], NDArray[np.uint8]]] = field(default_factory=list)
    moved: int = 0

    @property
    def gone(self) -> list[UUID]:
        return [UUID(bytes=one) for one in self.stored.keys() - self.met]


class Load:
    """One sync within its transaction. Changes wait in memory while they are few; the first too many opens a new set,
    into which they then stream, and what is unchanged follows on the server."""

    def __init__(
        self, session: Session, model: ModelVersion, now: datetime, few: float, live: EmbeddingSet | None, least: int
    ) -> None:
        self.session, self.model, self.now, self.live, self.indexed_from = session, model, now, live, least
        self.held: dict[Kind, Held] = {
            kind: Held({} if live is None else embedding_loads.stored_digests(session, kind, live.id)) for kind in KINDS
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
        row.detail = row.detail | {"synced_at": self.now.isoformat()}
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
        self._forgive(kind, batch, keys, changed)
        held.unchanged += [one for one, other in zip(batch.ids, changed, strict=True) if not other]
        if not changed.any():
            return
        ids = [one for one, other in zip(batch.ids, changed, strict=True) if other]
        held.moved += len(ids)
        held.waiting.append((ids, batch.vectors[changed], digests[changed]))
        if self.set_id is not None or sum(held.moved for held in self.held.values()) > self.room:
            self._open()

    def _forgive(self, kind: Kind, batch: Batch, keys: list[bytes], changed: NDArray[np.bool_]) -> None:
        """What the tower said before, but for the last bits, is unchanged, too."""
        stored = self.held[kind].stored
        doubted = [k for k in np.flatnonzero(changed) if keys[k] in stored]
        if self.live is None or not doubted:
            return
        before = embeddings.vectors_of(self.session, kind, self.live.id, [batch.ids[k] for k in doubted])
        for k in doubted:
            vector = before.get(batch.ids[k])
            changed[k] = vector is None or np.abs(vector - batch.vectors[k]).max() > SAME

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
        """Few changes, within the live set. Videos first, which take long under an index: nobody who forgets a viewer
        or takes a set back waits for them."""
        deleted = self._put(live, "video")
        embeddings.lock_viewers(self.session, shared=True)
        deleted += self._put(live, "user")
        deleted += embedding_loads.delete_lost(self.session, live.id)
        now_live = embedding_sets.current_set(self.session, self.model.id, hold=True)
        if now_live is None or now_live.id != live.id:
            what = f"the embeddings of {self.model.version}"
            raise Unavailable(what, "were rolled back while they were being synced", 1)
        if changes or deleted:
            live.n_users = embedding_sets.contents(self.session, "user", live.id).rows
            live.n_videos = embedding_sets.contents(self.session, "video", live.id).rows
            live.detail = live.detail | {"patched": int(live.detail.get("patched", 0)) + max(changes, deleted)}
            self.session.flush()
        return deleted

    def _put(self, live: EmbeddingSet, kind: Kind) -> int:
        """The changes of one kind; how many rows were deleted."""
        held = self.held[kind]
        if held.waiting:
            ids = [one for block in held.waiting for one in block[0]]
            vectors = np.concatenate([block[1] for block in held.waiting])
            digests = np.concatenate([block[2] for block in held.waiting])
            embedding_loads.upsert(
                self.session, kind, live.id, ids, vectors, digests, version=self.model.version, now=self.now
            )
        return embedding_loads.delete(self.session, kind, live.id, held.gone) if held.gone else 0
