"""What the tables refer to: keys of objects and hashes of contents, wherever a row names one.

Every text and JSON column of every table is read, so that a table that is added later is not forgotten. What is not
referred to is upkeep/garbage.py's to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ARRAY, Column, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from pipelines.storage.tables import Base

FAMILIES = ("media", "features", "training", "styles")
_KEY = r"(?:media|features|training|styles)/[A-Za-z0-9_./+@=-]+"
_HASH = r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])"
# What names no object, and is large; the audit trail and what is unreferenced only remember.
_WITHOUT = frozenset(
    {
        *("audit_logs", "unreferenced_objects", "score_rows", "score_cache", "user_embeddings", "video_embeddings"),
        *("recommendations", "user_video_decisions", "model_traffic", "api_traffic", "plugins"),
    }
)
_ENDED = ("deleted_at", "erased_at")  # a row that says so names its object no more
# Of what several versions of the code made of the same, the newest counts.
_NEWEST_ITEMS = """(
    select distinct on (job_id, upload_id, kind, content_hash, params_hash) * from item_results
    order by job_id, upload_id, kind, content_hash, params_hash, created_at desc, id desc) as item_results"""


@dataclass(frozen=True, slots=True)
class References:
    keys: frozenset[str]
    hashes: frozenset[str]


def read(session: Session) -> References:
    """All keys and content hashes that rows name at this moment."""
    keys: set[str] = set()
    hashes: set[str] = set()
    for table, columns in _tables():
        source = _NEWEST_ITEMS if table.name == "item_results" else table.name
        ended = " and ".join(f"{name} is null" for name in _ENDED if name in table.c) or "true"
        for column in columns:
            found = f'select {table.name}."{column.name}"::text as said from {source} where {ended}'  # noqa: S608 - our own names
            keys.update(_matches(session, found, _KEY))
            hashes.update(_matches(session, found, _HASH))
    return References(frozenset(keys), frozenset(hashes))


def _matches(session: Session, found: str, pattern: str) -> Iterator[str]:
    query = f"select distinct (regexp_matches(said, :pattern, 'g'))[1] from ({found}) as texts"  # noqa: S608
    yield from session.execute(text(query), {"pattern": f"({pattern})"}).scalars()


def _tables() -> Iterator[tuple[Table, list[Column[object]]]]:
    for table in Base.metadata.sorted_tables:
        if table.name in _WITHOUT:
            continue
        columns = [c for c in table.columns if _may_name(c)]
        if columns:
            yield table, columns


def _may_name(column: Column[object]) -> bool:
    kind = column.type
    return isinstance(kind, Text | JSONB) or (isinstance(kind, ARRAY) and isinstance(kind.item_type, Text))
