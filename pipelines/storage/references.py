"""What the tables refer to: keys of objects and hashes of contents, wherever a row names one.

Every text and JSON column of every table is read, so that a table that is added later is not forgotten. What is not
referred to is upkeep/garbage.py's to judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

FAMILIES = ("media", "features", "training", "styles")
_KEY = r"(?:media|features|training|styles)/[A-Za-z0-9_./+@=-]+"
_HASH = r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])"
# What names no object, and is large; the audit trail and what is unreferenced only remember.
_WITHOUT = frozenset(
    {
        *(
            "audit_logs",
            "unreferenced_objects",
            "notices",
            "score_rows",
            "score_cache",
            "user_embeddings",
            "video_embeddings",
        ),
        *("recommendations", "user_video_decisions", "model_traffic", "api_traffic", "plugins"),
    }
)
_ENDED = ("deleted_at", "erased_at")  # a row that says so names its object no more
# As the database has them, whichever migration it is at.
_COLUMNS = """
    select c.table_name, c.column_name, c.data_type <> 'timestamp with time zone'
    from information_schema.columns c join pg_class t on t.oid = format('public.%I', c.table_name)::regclass
    where c.table_schema = 'public' and t.relkind in ('r', 'p') and not t.relispartition
      and (c.data_type in ('text', 'jsonb') or c.udt_name = '_text' or c.column_name = any(:ended))
    order by c.table_name, c.ordinal_position"""
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
    for table, (columns, endings) in _columns(session).items():
        source = _NEWEST_ITEMS if table == "item_results" else table
        living = " and ".join(f"{name} is null" for name in endings) or "true"
        said = ", ".join(f'{table}."{column}"::text' for column in columns)
        query = f"""
            select distinct found[1], found[2] from {source},
            lateral regexp_matches(concat_ws(e'\\n', {said}), :pattern, 'g') as found where {living}"""  # noqa: S608
        for key, content in session.execute(text(query), {"pattern": f"({_KEY})|({_HASH})"}):
            if key is not None:
                keys.add(key)
                hashes.update(re.findall(_HASH, key))
            if content is not None:
                hashes.add(content)
    return References(frozenset(keys), frozenset(hashes))


# Columns whose objects must be in the store. What can be made again (renders, caches) may go when room is short.
_PROMISED = (
    "select object_key from uploads where status = 'ok'",
    "select uri from model_registry",
    "select uri from training_snapshots where erased_at is null",
    "select object_key from vault_items where deleted_at is null",
    "select plan_key from edits",
    "select object_key from arrangements",
    "select object_key from composer_styles",
)


def promised(session: Session) -> set[str]:
    """Keys of objects that nothing could make again from what else there is."""
    return {key for query in _PROMISED for key in session.execute(text(query)).scalars() if key is not None}


def _columns(session: Session) -> dict[str, tuple[list[str], list[str]]]:
    """By table the columns that may name something, and those that say that a row has ended."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for table, column, may_name in session.execute(text(_COLUMNS), {"ended": list(_ENDED)}):
        if table not in _WITHOUT:
            found.setdefault(table, ([], []))[0 if may_name else 1].append(column)
    return found
