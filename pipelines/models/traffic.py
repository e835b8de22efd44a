"""What each version does while it serves: calls, failures, latencies, and where inputs and outputs fall.

Kept in memory at a few microseconds a call and handed over in portions. The bins are drift.py's, how portions are
stored storage/traffic.py's, what follows from them rules.py's.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models import drift
from pipelines.storage import traffic as table
from pipelines.storage.database import Database
from pipelines.storage.traffic import Traffic

ROWS = 512  # inputs and outputs kept between two flushes; beyond, an even sample of them
_BUCKETS = tuple(drift.LATENCY_EDGES_MS.tolist())  # a bisection of a tuple takes a quarter of a microsecond
MOST_PENDING = 120  # portions kept while the database is away, a version and minute each


class Counter:
    """Of one version. Any number of threads may count; ``take`` empties it."""

    def __init__(self, input_dim: int, output_dim: int, reference: Mapping[str, Any]) -> None:
        self._lock = threading.Lock()
        inputs = _counted(reference, "input_edges", drift.INPUT_COLUMNS, input_dim)
        outputs = _counted(reference, "output_edges", drift.OUTPUT_COLUMNS, output_dim)
        self._columns = (inputs[0], outputs[0])
        self._edges = (inputs[1], outputs[1])
        self._rows = tuple(None if edges is None else np.empty((ROWS, len(edges)), np.float32) for edges in self._edges)
        self._start_anew()

    def _start_anew(self) -> None:
        self._n = self._errors = self._retries = 0
        self._latency_ms = 0.0
        self._latencies = [0] * (drift.LATENCY_BINS)
        self._last_error: str | None = None
        self._kept = 0
        self._seen = 0
        self._every = 1

    def answered(self, x: NDArray[np.float32], outputs: NDArray[np.float32], ms: float) -> None:
        """A call with x[n, d] that gave outputs[n, k]."""
        with self._lock:
            self._n += 1
            self._latency_ms += ms
            self._latencies[bisect_right(_BUCKETS, ms)] += 1
            self._keep(x, outputs)

    def failed(self, reason: str, ms: float) -> None:
        """A call that it was tried with and failed."""
        with self._lock:
            self._n += 1
            self._errors += 1
            self._latency_ms += ms
            self._latencies[bisect_right(_BUCKETS, ms)] += 1
            self._last_error = reason

    def passed_on(self, reason: str) -> None:
        """A call that another took, since this version was not to be had at that moment."""
        with self._lock:
            self._n += 1
            self._retries += 1
            self._last_error = reason

    def _keep(self, x: NDArray[np.float32], outputs: NDArray[np.float32]) -> None:
        """Every ``_every``-th row. When there is no room left every second row goes, and ``_every`` doubles."""
        first = -self._seen % self._every
        self._seen += len(x)
        x, outputs = x[first :: self._every], outputs[first :: self._every]
        while self._kept + len(x) > ROWS:
            odd = self._kept % 2
            for rows in self._rows:
                if rows is not None:
                    rows[: (self._kept + 1) // 2] = rows[: self._kept : 2].copy()
            x, outputs = x[odd::2], outputs[odd::2]
            self._kept = (self._kept + 1) // 2
            self._every *= 2
        if not len(x):
            return
        until = self._kept + len(x)
        for rows, values, columns in zip(self._rows, (x, outputs), self._columns, strict=True):
            if rows is not None:
                rows[self._kept : until] = values if columns is None else values[:, columns]
        self._kept = until

    def take(self) -> Traffic | None:
        """What was counted since the last ``take``; None for nothing."""
        with self._lock:
            if not self._n:
                return None
            rows = [None if rows is None else rows[: self._kept].copy() for rows in self._rows]
            counted = (self._n, self._errors, self._retries, self._latency_ms)
            latencies, last_error = self._latencies, self._last_error
            self._start_anew()
        inputs, outputs = (
            np.zeros(0, np.int64) if values is None or edges is None else drift.count(edges, values)
            for values, edges in zip(rows, self._edges, strict=True)
        )
        return Traffic(*counted, np.asarray(latencies, np.int64), inputs, outputs, last_error)


class Uncounted:
    """Takes what a Counter takes, and forgets it."""

    def answered(self, x: NDArray[np.float32], outputs: NDArray[np.float32], ms: float) -> None: ...
    def failed(self, reason: str, ms: float) -> None: ...
    def passed_on(self, reason: str) -> None: ...


UNCOUNTED = Uncounted()


class Pending:
    """Portions on their way to the database, by version and minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._portions: dict[tuple[int, datetime], Traffic] = {}

    def flush(self, database: Database, counters: Mapping[int, Counter], now: datetime) -> None:
        """Takes what the counters hold, and adds it to the minute of ``now``.

        Raises Unavailable when the database is away; everything is kept then and goes with the next flush. (Should the
        answer to a commit be lost, its portion counts twice.) At most ``MOST_PENDING`` portions are told apart; older
        ones are counted a minute later than they were.
        """
        minute = now.replace(second=0, microsecond=0)
        with self._lock:
            for model_id, counter in counters.items():
                taken = counter.take()
                if taken is not None:
                    key = (model_id, minute)
                    self._portions[key] = self._portions.get(key, table.NOTHING) + taken
            self._crowd_together()
            if not self._portions:
                return
            with database.session() as session:
                table.add(session, [(*key, portion) for key, portion in self._portions.items()])
            self._portions.clear()

    def _crowd_together(self) -> None:
        while len(self._portions) > MOST_PENDING:
            oldest = min(self._portions, key=lambda key: key[1])
            later = [key for key in self._portions if key[0] == oldest[0] and key != oldest]
            if not later:
                return
            portion = self._portions.pop(oldest)
            following = min(later, key=lambda key: key[1])
            self._portions[following] = portion + self._portions[following]


def _counted(
    reference: Mapping[str, Any], name: str, key: str, width: int
) -> tuple[NDArray[np.intp] | None, NDArray[np.float32] | None]:
    """The columns that are counted (None: all) and their edges float32[columns, m]; no edges where the reference has
    none that fit."""
    found = reference.get(name)
    if not found:
        return None, None
    try:
        columns = drift.columns(reference, key, width)
        edges = np.asarray(found, np.float32)
    except (BadInput, TypeError, ValueError):  # rows of different lengths
        return None, None
    fits = edges.ndim == 2 and len(edges) == (width if columns is None else len(columns))
    return (columns, edges) if fits else (None, None)
