"""What versions of models did, minute by minute, added up over all processes.

What is counted is models/traffic.py's; sums over longer spans, and how they are kept small, are metrics.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.tables import ModelTraffic, ModelVersion

_ARRAYS = ("latency_counts", "input_counts", "output_counts")
_NUMBERS = ("n", "errors", "retries", "latency_ms")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one version did. The arrays are int64; the last two are empty where no reference names their bins."""

    n: int  # calls that came to it, however they ended
    errors: int  # of these, calls that it failed
    retries: int  # of these, calls passed on untried, since it was not to be had at that moment
    latency_ms: float  # sum over the calls that were tried
    latency_counts: NDArray[np.int64]  # [buckets], a call each, also the failed ones
    input_counts: NDArray[np.int64]  # [input_dim * bins], row by row
    output_counts: NDArray[np.int64]  # [output_dim * bins], row by row
    last_error: str | None = None

    def __add__(self, later: Traffic) -> Traffic:
        return Traffic(
            self.n + later.n,
            self.errors + later.errors,
            self.retries + later.retries,
            self.latency_ms + later.latency_ms,
            _sum(self.latency_counts, later.latency_counts),
            _sum(self.input_counts, later.input_counts),
            _sum(self.output_counts, later.output_counts),
            later.last_error or self.last_error,
        )


NOTHING = Traffic(0, 0, 0, 0.0, *(np.zeros(0, np.int64),) * 3)


def add(session: Session, rows: Iterable[tuple[int, datetime, Traffic]]) -> None:
    """Adds (model id, minute, traffic) to what is stored of the same version and minute.

    Rows are written in the order of their key, so that two processes never wait for each other in a ring. What a
    version did that is no longer registered is dropped: it would hold back everything else for ever.
    """
    ordered = sorted(rows, key=lambda row: row[:2])
    ids = {row[0] for row in ordered}
    known = select(ModelVersion.id).where(ModelVersion.id.in_(ids)).order_by(ModelVersion.id)
    known = known.with_for_update(read=True, key_share=True)  # none is deleted before this transaction ends
    registered = set(session.execute(known).scalars())
    values = [_values(*row) for row in ordered if row[0] in registered]
    if not values:
        return
    statement = insert(ModelTraffic)
    added: dict[str, Any] = {c: getattr(ModelTraffic, c) + statement.excluded[c] for c in _NUMBERS}
    added |= {c: text(_ELEMENTWISE.format(c)) for c in _ARRAYS}
    added["last_error"] = func.coalesce(statement.excluded.last_error, ModelTraffic.last_error)
    session.execute(statement.on_conflict_do_update(constraint="pk_model_traffic", set_=added), values)


_ELEMENTWISE = """coalesce((
    select array_agg(coalesce(old, 0) + coalesce(new, 0) order by place)
    from unnest(model_traffic.{0}, excluded.{0}) with ordinality as pair(old, new, place)), '{{}}')"""


def _values(model_id: int, minute: datetime, traffic: Traffic) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "minute": minute,
        **{c: getattr(traffic, c) for c in _NUMBERS},
        **{c: getattr(traffic, c).tolist() for c in _ARRAYS},
        "last_error": traffic.last_error,
    }


def _sum(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """Element by element; the shorter one counts as filled up with zeros."""
    if len(a) == len(b):
        return a + b
    longer, shorter = (a, b) if len(a) > len(b) else (b, a)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total
