"""Rows of vectors in PostgreSQL's binary COPY format, packed and unpacked by numpy as whole arrays.

Which rows go where is embedding_loads.py's, what is asked of them embeddings.py's. The format is
https://www.postgresql.org/docs/18/sql-copy.html (Binary Format); a vector is two int16 (dimensions, 0) and its float4s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pipelines.storage.recommending_tables import DIMENSIONS

Bytes16 = NDArray[np.uint8]  # [n, 16]

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no extension
_END = b"\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_VECTOR = [("size", ">i4"), ("dim", ">i2"), ("zero", ">i2"), ("values", ">f4", (DIMENSIONS,))]
_BYTES16 = [("size", ">i4"), ("bytes", "u1", (16,))]
_AT_ONCE = 1024  # rows: 3 MB


@contextlib.contextmanager
def raw(session: Session) -> Iterator[psycopg.Connection]:
    """The driver's connection in the session's own transaction. What it raises reads as the session's errors do."""
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    try:
        yield connection
    except psycopg.Error as error:
        lost = connection.closed
        raise DBAPIError.instance(None, None, error, psycopg.Error, connection_invalidated=lost) from error


def of_uuids(ids: Sequence[UUID]) -> Bytes16:
    return np.frombuffer(b"".join([one.bytes for one in ids]), np.uint8).reshape(len(ids), 16)


def to_uuids(ids: Bytes16) -> list[UUID]:
    data = ids.tobytes()
    return [UUID(bytes=data[at : at + 16]) for at in range(0, len(data), 16)]


def pack(
    set_id: int, version: str, at: datetime, ids: Bytes16, vectors: NDArray[np.float32], digests: Bytes16
) -> Iterator[memoryview]:
    """Blocks of a COPY of (set_id, id, embedding, updated_at, model_version, digest), all rows of one width."""
    name = version.encode()
    kind = np.dtype(
        [
            ("fields", ">i2"),
            ("set", [("size", ">i4"), ("value", ">i8")]),
            ("id", _BYTES16),
            ("vector", _VECTOR),
            ("at", [("size", ">i4"), ("value", ">i8")]),
            ("version", [("size", ">i4"), ("value", f"V{len(name)}")]),
            ("digest", _BYTES16),
        ]
    )
    rows = np.zeros(min(len(ids), _AT_ONCE), kind)
    rows["fields"] = 6
    rows["set"]["size"], rows["set"]["value"] = 8, set_id
    rows["id"]["size"] = rows["digest"]["size"] = 16
    rows["vector"]["size"], rows["vector"]["dim"] = 4 + 4 * DIMENSIONS, DIMENSIONS
    rows["at"]["size"], rows["at"]["value"] = 8, (at - _EPOCH) // timedelta(microseconds=1)
    rows["version"]["size"], rows["version"]["value"] = len(name), np.void(name)
    yield memoryview(_SIGNATURE)
    for start in range(0, len(ids), _AT_ONCE):
        end = min(start + _AT_ONCE, len(ids))
        block = rows[: end - start]
        block["id"]["bytes"] = ids[start:end]
        block["vector"]["values"] = vectors[start:end]
        block["digest"]["bytes"] = digests[start:end]
        yield block.view(np.uint8).data
    yield memoryview(_END)


def copy_to(session: Session, statement: str, blocks: Iterable[memoryview]) -> None:
    """Runs ``COPY ... FROM STDIN (FORMAT BINARY)`` over the blocks."""
    with raw(session) as connection, connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        for block in blocks:
            copy.write(block)


def ids_and_vectors(session: Session, query: str) -> tuple[Bytes16, NDArray[np.float32]]:
    """([n, 16], [n, 768]) of a query of (uuid, vector)."""
    rows = _unpacked(session, query, np.dtype([("fields", ">i2"), ("id", _BYTES16), ("vector", _VECTOR)]))
    return np.ascontiguousarray(rows["id"]["bytes"]), rows["vector"]["values"].astype(np.float32)


def ids_and_digests(session: Session, query: str) -> tuple[Bytes16, Bytes16]:
    """([n, 16], [n, 16]) of a query of (uuid, bytea of 16)."""
    rows = _unpacked(session, query, np.dtype([("fields", ">i2"), ("id", _BYTES16), ("digest", _BYTES16)]))
    return np.ascontiguousarray(rows["id"]["bytes"]), np.ascontiguousarray(rows["digest"]["bytes"])


def _unpacked(session: Session, query: str, kind: np.dtype[np.void]) -> NDArray[np.void]:
    data = bytearray()
    statement = f"copy ({query}) to stdout (format binary)".encode()
    with raw(session) as connection, connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            data += block
    return np.frombuffer(data, kind, offset=len(_SIGNATURE), count=(len(data) - len(_SIGNATURE)) // kind.itemsize)
