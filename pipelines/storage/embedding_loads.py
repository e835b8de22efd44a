"""How vectors get into a set: by binary COPY, from an older set on the server, by upsert into a live one, out again;
and the index, built last.

The sets' life is embedding_sets.py's, what changed and must move recommending/syncing.py's.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pipelines.errors import BadInput
from pipelines.storage import embedding_rows, embedding_sets
from pipelines.storage.embedding_rows import Bytes16
from pipelines.storage.embedding_sets import NORM_TOLERANCE, Kind, partition
from pipelines.storage.recommending_tables import DIMENSIONS, EmbeddingSet

INDEXED_FROM = 50_000  # videos; below, a search through all is quick enough, and building an index is not
HNSW_M, HNSW_EF = 16, 48  # a fifth quicker to build than 64; a search that looks at more candidates makes up for it
_INDEX_BYTES = 2_700  # of memory that building takes for a halfvec(768) with its links
_MOST_MEMORY = 2 << 30
_COLUMNS = "set_id, {kind}_id, embedding, updated_at, model_version, digest"
log = logging.getLogger(__name__)


def digests(vectors: NDArray[np.float32]) -> Bytes16:
    """[n, 16]: BLAKE2b of each row's float32 bytes, by which a vector that did not change is known."""
    rows = np.ascontiguousarray(vectors, np.float32)
    width = rows.shape[1] * 4
    data = rows.view(np.uint8).reshape(-1).data
    found = [hashlib.blake2b(data[at : at + width], digest_size=16).digest() for at in range(0, len(data), width)]
    return np.frombuffer(b"".join(found), np.uint8).reshape(len(rows), 16)


def refuse_unfit(vectors: NDArray[np.float32], n: int, version: str) -> None:
    """BadInput that names the version when the vectors are not float32[n, 768] of length 1."""
    what = f"the embeddings of {version}"
    if vectors.ndim != 2 or vectors.shape != (n, DIMENSIONS):
        shape = " x ".join(map(str, vectors.shape))
        remedy = f"the towers must give {DIMENSIONS} numbers each"
        raise BadInput(what, f"are {shape} numbers instead of {n} x {DIMENSIONS}", remedy)
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    bad = ~(np.abs(norms - 1) <= NORM_TOLERANCE)  # NaN, too
    if bad.any():
        if not np.isfinite(norms).all():
            raise BadInput(what, f"hold NaN or infinity ({int(bad.sum())} of {n})", "train that version again")
        reason = f"are of length {norms[bad][0]:.4f} instead of 1 ({int(bad.sum())} of {n})"
        raise BadInput(what, reason, "normalise them")


def copy_in(
    session: Session,
    kind: Kind,
    set_id: int,
    ids: Sequence[UUID],
    vectors: NDArray[np.float32],
    digests: Bytes16,
    *,
    version: str,
    now: datetime,
) -> None:
    """COPY into a set that this transaction created. BadInput for vectors that are unfit."""
    refuse_unfit(vectors, len(ids), version)
    columns = _COLUMNS.format(kind=kind)
    statement = f"copy {partition(kind, set_id)} ({columns}) from stdin (format binary, freeze)"
    blocks = embedding_rows.pack(set_id, version, now, embedding_rows.of_uuids(ids), vectors, digests)
    embedding_rows.copy_to(session, statement, blocks)


def copy_from(session: Session, kind: Kind, old: int, new: int, ids: Sequence[UUID]) -> int:
    """Copies these rows of an older set on the server; how many there were."""
    columns = _COLUMNS.format(kind=kind).removeprefix("set_id, ")
    query = f"""
        insert into {partition(kind, new)} (set_id, {columns})
        select {int(new)}, {columns} from {partition(kind, old)} where {kind}_id = any(:ids)
    """  # noqa: S608 - names of this file
    return session.execute(text(query), {"ids": list(ids)}).rowcount  # type: ignore[attr-defined, no-any-return]


def upsert(
    session: Session,
    kind: Kind,
    set_id: int,
    ids: Sequence[UUID],
    vectors: NDArray[np.float32],
    digests: Bytes16,
    *,
    version: str,
    now: datetime,
) -> None:
    """Puts a few rows into a live set, in place of those that are there: through a table of this transaction's own, so
    that the index takes them in one statement. BadInput for vectors that are unfit."""
    refuse_unfit(vectors, len(ids), version)
    columns = _COLUMNS.format(kind=kind)
    name = f"changed_{kind}_{set_id}"
    session.execute(text(f"create temp table {name} (like {kind}_embeddings) on commit drop"))
    blocks = embedding_rows.pack(set_id, version, now, embedding_rows.of_uuids(ids), vectors, digests)
    embedding_rows.copy_to(session, f"copy {name} ({columns}) from stdin (format binary)", blocks)
    changed = ", ".join(f"{column} = excluded.{column}" for column in columns.split(", ")[2:])
    query = f"""
        insert into {partition(kind, set_id)} ({columns}) select {columns} from {name}
        on conflict (set_id, {kind}_id) do update set {changed}
    """  # noqa: S608 - names of this file
    session.execute(text(query))
    session.execute(text(f"drop table {name}"))


def delete(session: Session, kind: Kind, set_id: int, ids: Sequence[UUID]) -> int:
    query = f"delete from {partition(kind, set_id)} where {kind}_id = any(:ids)"  # noqa: S608
    return session.execute(text(query), {"ids": list(ids)}).rowcount  # type: ignore[attr-defined, no-any-return]


def delete_lost(session: Session, set_id: int) -> int:
    """Deletes the vectors of viewers who withdrew or went, and of videos that went."""
    users, videos = partition("user", set_id), partition("video", set_id)
    withdrawn = f"""
        delete from {users} e
        where not exists (select from viewers v where v.user_id = e.user_id and v.withdrawn_at is null)
    """  # noqa: S608 - names of this file
    gone = f"delete from {videos} e where not exists (select from videos v where v.id = e.video_id)"  # noqa: S608
    return sum(session.execute(text(query)).rowcount for query in (withdrawn, gone))  # type: ignore[attr-defined]


def stored_digests(session: Session, kind: Kind, set_id: int) -> dict[bytes, bytes]:
    """Digest by id, both of 16 bytes."""
    query = f"select {kind}_id, digest from {partition(kind, set_id)}"  # noqa: S608
    ids, found = embedding_rows.ids_and_digests(session, query)
    keys, values = ids.tobytes(), found.tobytes()
    return {keys[at : at + 16]: values[at : at + 16] for at in range(0, len(keys), 16)}


def index(session: Session, set_id: int, *, indexed_from: int = INDEXED_FROM) -> str:
    """Makes a filled set's keys, and an HNSW over the videos where there are many; "hnsw" or "exact"."""
    for kind in embedding_sets.KINDS:
        name = partition(kind, set_id)
        session.execute(text(f"alter table {name} add constraint {name}_pkey primary key (set_id, {kind}_id)"))
        session.execute(text(f"analyze {name} (set_id, {kind}_id)"))
    users = partition("user", set_id)
    session.execute(text(f"create index {users}_user_id on {users} (user_id)"))
    n = session.execute(text(f"select count(*) from {partition('video', set_id)}")).scalar_one()  # noqa: S608
    how = "hnsw" if n >= indexed_from else "exact"
    if how == "hnsw":
        _hnsw(session, set_id, n)
    row = session.get_one(EmbeddingSet, set_id)
    row.video_index = how
    session.flush()
    return how


def _hnsw(session: Session, set_id: int, n: int) -> None:
    """Half precision halves what is built, kept and read; embeddings.nearest ranks by the whole numbers again."""
    name = partition("video", set_id)
    memory = min(_MOST_MEMORY, (64 << 20) + n * _INDEX_BYTES) >> 10
    statement = f"""
        create index {name}_hnsw on {name} using hnsw ((embedding::halfvec({DIMENSIONS})) halfvec_ip_ops)
        with (m = {HNSW_M}, ef_construction = {HNSW_EF})
    """
    session.execute(text(f"set local maintenance_work_mem = '{memory}kB'"))
    session.execute(text("set local max_parallel_maintenance_workers = 2"))
    try:
        with session.begin_nested():
            session.execute(text(statement))
    except DBAPIError as error:
        if not (getattr(error.orig, "sqlstate", None) or "").startswith("53"):
            raise
        # The workers share memory of the system's, of which a container may have little.
        log.warning("%s is indexed by one process: %s", name, error.orig)
        session.execute(text("set local max_parallel_maintenance_workers = 0"))
        session.execute(text(statement))
