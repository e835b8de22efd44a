"""What a recommender learns from, as it is kept: events and the catalogue of that moment, each a Parquet file.

Both go when one of their viewers, or of those who gave them, withdraws (models/snapshots.py).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.errors import BadInput
from pipelines.recommending.interactions import Interactions

if TYPE_CHECKING:
    import pandas as pd

NAME = "two_tower"  # of the model in the registry
FEATURE_VERSION = "viewing-1"  # what the towers read; a program with another one refuses a version
_LISTS = ("genres", "performers", "tags")


@dataclass(frozen=True, slots=True)
class Dataset:
    """``items`` has one row for each of ``interactions.item_ids``, in that order."""

    interactions: Interactions
    items: pd.DataFrame


def events_to_parquet(interactions: Interactions, catalogue: str) -> bytes:
    """One row an event, and the hash of the catalogue that they are read with: equal datasets give equal bytes."""
    import pyarrow as pa

    def named(rows: Any, ids: Any) -> Any:
        return pa.DictionaryArray.from_arrays(pa.array(rows, pa.int32()), pa.array(ids.tolist(), pa.string()))

    return _write(
        {
            "user": named(interactions.users, interactions.user_ids),
            "item": named(interactions.items, interactions.item_ids),
            "time": pa.array(interactions.times, pa.int64()),
            "rating": pa.array(interactions.ratings, pa.float32()),
            "wanted": pa.array(interactions.wanted, pa.bool_()),
        },
        {b"catalogue": catalogue.encode()},
    )


def items_to_parquet(items: pd.DataFrame) -> bytes:
    """One row an item, in order."""
    import pyarrow as pa

    columns = {}
    for name in items.columns:
        values = items[name].tolist()
        if name in _LISTS:
            columns[name] = pa.array([list(v) for v in values], pa.list_(pa.string()))
        elif items[name].dtype.kind == "f":
            columns[name] = pa.array(items[name].to_numpy(), pa.float64())
        else:
            columns[name] = pa.array([v if isinstance(v, str) else None for v in values], pa.string())
    return _write(columns)


def read(events: bytes, catalogue: bytes) -> Dataset:
    """The dataset that was written. BadInput for other bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        items = pq.read_table(pa.BufferReader(catalogue)).to_pandas()
        table = pq.read_table(pa.BufferReader(events))
        columns = {name: table.column(name).to_numpy() for name in ("user", "item", "time", "rating", "wanted")}
    except (pa.ArrowException, KeyError) as error:
        raise BadInput("training snapshot", f"holds no events in Parquet ({error})", "assemble it again") from error
    from pipelines.recommending import cleaning

    items = cleaning.items_of(items)
    item_ids = items["item_id"].to_numpy().astype(np.str_)
    user_ids, users = np.unique(columns["user"].astype(np.str_), return_inverse=True)
    order = np.argsort(item_ids)
    found = np.searchsorted(item_ids, columns["item"].astype(np.str_), sorter=order)
    interactions = Interactions(
        users.astype(np.int32),
        order[found].astype(np.int32),
        columns["time"].astype(np.int64),
        columns["rating"].astype(np.float32),
        columns["wanted"].astype(np.bool_),
        user_ids,
        item_ids,
    )
    return Dataset(interactions, items)


def _write(columns: dict[str, Any], notes: dict[bytes, bytes] | None = None) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(notes), out, compression="zstd")
    return out.getvalue()
