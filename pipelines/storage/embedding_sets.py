"""Sets of embeddings: a version's whole load in two partitions of its own, and the pointer row that says which serves.

A set is made, filled, indexed, attached and pointed at in one transaction, so that a load that dies leaves nothing.
Its rows go in by embedding_loads.py, are read by embeddings.py; what is to be loaded is recommending/syncing.py's.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pipelines.errors import BadInput, Unavailable
from pipelines.storage.recommending_tables import EmbeddingPointer, EmbeddingSet
from pipelines.storage.tables import ModelVersion

Kind = Literal["user", "video"]
KINDS: tuple[Kind, ...] = ("user", "video")
NORM_TOLERANCE = 1e-3
GRACE = timedelta(minutes=5)  # a reader that learned a set's id goes on reading it for so long after two flips
BRIEFLY = 20  # ms for which readers may wait behind a drop, which waits for those before it
_LOCKED = "55P03"  # SQLSTATE lock_not_available


@dataclass(frozen=True, slots=True)
class Contents:
    """What one partition of a set holds."""

    rows: int
    shortest: float | None  # L2 norms; None without rows
    longest: float | None

    @property
    def normal(self) -> bool:
        norms = [norm for norm in (self.shortest, self.longest) if norm is not None]
        return all(abs(norm - 1) <= NORM_TOLERANCE for norm in norms)


def partition(kind: Kind, set_id: int) -> str:
    return f"{kind}_embeddings_{int(set_id)}"


@contextlib.contextmanager
def patient(session: Session, model_id: int, wait_s: float) -> Iterator[None]:
    """One load of a version at a time, until the transaction ends; within, no lock is waited for longer than
    ``wait_s``. Unavailable when another load lasts longer."""
    what = f"the embeddings of {version_of(session, model_id)}"
    _end_with_client(session)
    session.execute(text("select set_config('lock_timeout', :wait, true)"), {"wait": f"{max(1, int(wait_s * 1000))}ms"})
    try:
        session.execute(text("select pg_advisory_xact_lock(hashtextextended(:name, 7))"), {"name": _lock(model_id)})
        yield
    except DBAPIError as error:
        if not _locked(error):
            raise
        raise Unavailable(what, "are being synced by another run", 30) from error


def create_set(session: Session, model_id: int) -> int:
    """Id of a new set with two empty tables, which nobody sees before ``finish``."""
    row = EmbeddingSet(model_id=model_id, status="building")
    session.add(row)
    session.flush()
    for kind in KINDS:
        name = partition(kind, row.id)
        session.execute(text(f"drop table if exists {name}"))
        session.execute(
            text(f"create table {name} (like {kind}_embeddings including defaults including storage)")  # lists no index
        )
        # Without figures a planner takes one set of a partition for a small part of it; nothing is learned from numbers
        # of a vector.
        columns = f"alter set_id set statistics 10, alter {kind}_id set statistics 10, alter embedding set statistics 0"
        session.execute(text(f"alter table {name} {columns}"))
        # Spares the look at every row when it is attached.
        session.execute(text(f"alter table {name} add constraint {name}_set check (set_id = {row.id})"))
    return row.id


def contents(session: Session, kind: Kind, set_id: int) -> Contents:
    """Counted and measured by the database itself."""
    name = partition(kind, set_id)
    query = f"select count(*), min(vector_norm(embedding)), max(vector_norm(embedding)) from {name}"  # noqa: S608
    n, shortest, longest = session.execute(text(query)).one()
    return Contents(n, shortest, longest)


def finish(session: Session, set_id: int, now: datetime) -> EmbeddingSet:
    """Attaches a filled and indexed set and points its version at it: readers see it whole when this transaction is
    committed, and the one before until then. BadInput when a vector's length is not 1."""
    row = session.get_one(EmbeddingSet, set_id, with_for_update=True)
    found = {kind: contents(session, kind, set_id) for kind in KINDS}
    for kind, held in found.items():
        if not held.normal:
            reason = f"has {kind} vectors of length {held.shortest:.4f} to {held.longest:.4f}"
            raise BadInput(f"the embeddings of {version_of(session, row.model_id)}", reason, "normalise them to 1")
    for kind in KINDS:
        name = partition(kind, set_id)
        session.execute(text(f"alter table {kind}_embeddings attach partition {name} for values in ({set_id})"))
    row.status, row.ready_at = "ready", now
    row.n_users, row.n_videos = found["user"].rows, found["video"].rows
    session.flush()
    _point(session, row.model_id, set_id, now)
    return row


def current_set(session: Session, model_id: int, *, hold: bool = False) -> EmbeddingSet | None:
    """The set that serves the version now, None when there is none yet. ``hold``: and nobody points the version
    elsewhere until the transaction ends."""
    query = (
        select(EmbeddingSet)
        .join(EmbeddingPointer, EmbeddingPointer.set_id == EmbeddingSet.id)
        .where(EmbeddingPointer.model_id == model_id)
    )
    if hold:
        query = query.with_for_update(of=EmbeddingPointer)
    return session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()


def deployed(session: Session) -> list[tuple[str, EmbeddingSet, int | None]]:
    """Of each version that has embeddings, the newest first: its name, the set that serves it, and the set before."""
    query = (
        select(ModelVersion.version, EmbeddingSet, EmbeddingPointer.previous_set_id)
        .join(EmbeddingPointer, EmbeddingPointer.model_id == ModelVersion.id)
        .join(EmbeddingSet, EmbeddingSet.id == EmbeddingPointer.set_id)
    )
    rows = session.execute(query.order_by(ModelVersion.id.desc()))
    return [(version, row, previous) for version, row, previous in rows]


def current_sets(session: Session) -> dict[int, int]:
    """Set ids by model id, of all versions that have one."""
    query = select(EmbeddingPointer.model_id, EmbeddingPointer.set_id)
    return {row.model_id: row.set_id for row in session.execute(query)}


def back(session: Session, model_id: int, now: datetime) -> int:
    """Points the version at the set before, and returns its id; asked again, forth. BadInput when there is none."""
    pointer = session.get(EmbeddingPointer, model_id, with_for_update=True, populate_existing=True)
    if pointer is None or pointer.previous_set_id is None:
        raise BadInput(f"model {model_id}", "has no earlier embeddings", "sync them again instead")
    pointer.set_id, pointer.previous_set_id, pointer.flipped_at = pointer.previous_set_id, pointer.set_id, now
    session.flush()
    return pointer.set_id


def version_of(session: Session, model_id: int) -> str:
    model = session.get(ModelVersion, model_id)
    return f"model {model_id}" if model is None else model.version


def unused(session: Session, now: datetime, grace: timedelta = GRACE) -> list[int]:
    """Sets that can go: retired some time ago, left behind half-built, or tables of a set that is in no row."""
    tables = session.execute(text("select relname from pg_class where relname ~ '^(user|video)_embeddings_[0-9]+$'"))
    numbers = {int(match[1]) for name in tables.scalars() if (match := re.search(r"(\d+)$", name))}
    rows = session.execute(select(EmbeddingSet.id, EmbeddingSet.status, EmbeddingSet.detail)).all()
    gone = numbers - {row.id for row in rows}
    for row in rows:
        since = row.detail.get("retired_at")
        if row.status == "building" or (since and now - datetime.fromisoformat(since) >= grace):
            gone.add(row.id)
    return sorted(gone)


def drop(session: Session, set_id: int) -> bool:
    """Whether the set is gone. It stays for the next time where it is in use, or where readers would have to wait for
    more than a moment."""
    session.execute(text(f"set local lock_timeout = '{BRIEFLY}ms'"))
    row = session.get(EmbeddingSet, set_id, with_for_update={"skip_locked": True}, populate_existing=True)
    known = session.execute(select(EmbeddingSet.model_id).where(EmbeddingSet.id == set_id)).scalar_one_or_none()
    if row is None and known is not None:
        return False
    used = (EmbeddingPointer.set_id == set_id) | (EmbeddingPointer.previous_set_id == set_id)
    if session.execute(select(EmbeddingPointer.model_id).where(used)).first() is not None:
        return False
    if row is not None and row.status == "building":
        name = {"name": _lock(row.model_id)}
        if not session.execute(text("select pg_try_advisory_xact_lock(hashtextextended(:name, 7))"), name).scalar_one():
            return False
    try:
        with session.begin_nested():
            for kind in KINDS:
                session.execute(text(f"drop table if exists {partition(kind, set_id)}"))
    except DBAPIError as error:
        if not _locked(error):
            raise
        return False
    if row is not None:
        session.delete(row)
        session.flush()
    return True


def _point(session: Session, model_id: int, set_id: int, now: datetime) -> None:
    """The deployment. What is then neither the present nor the previous set of the version is retired."""
    query = insert(EmbeddingPointer).values(model_id=model_id, set_id=set_id, flipped_at=now)
    changed = {"set_id": set_id, "previous_set_id": EmbeddingPointer.set_id, "flipped_at": now}
    pointed = session.execute(
        query.on_conflict_do_update(index_elements=["model_id"], set_=changed).returning(
            EmbeddingPointer.previous_set_id
        )
    ).scalar_one()
    old = EmbeddingSet.id.not_in([set_id, *([] if pointed is None else [pointed])])
    mine = (EmbeddingSet.model_id == model_id) & (EmbeddingSet.status == "ready")
    detail = EmbeddingSet.detail.concat({"retired_at": now.isoformat()})
    session.execute(
        update(EmbeddingSet)
        .where(mine & old)
        .values(status="retired", detail=detail)
        .execution_options(synchronize_session=False)
    )


def _end_with_client(session: Session) -> None:
    """The server notices within seconds that this process was killed, instead of building its index to the end first
    (where its system can tell; https://www.postgresql.org/docs/18/runtime-config-connection.html)."""
    with contextlib.suppress(DBAPIError), session.begin_nested():
        session.execute(text("set local client_connection_check_interval = '2s'"))


def _locked(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == _LOCKED


def _lock(model_id: int) -> str:
    return f"embeddings:{model_id}"
