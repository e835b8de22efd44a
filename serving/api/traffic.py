"""What each route does: counted at about two microseconds a request, told to Prometheus, kept by minutes.

How portions are stored is pipelines/storage/api_traffic.py's, who hands them over watching.py.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import Counter
from datetime import datetime

import numpy as np

from pipelines import clock
from pipelines.models.drift import LATENCY_BINS, LATENCY_EDGES_MS
from pipelines.storage import api_traffic
from pipelines.storage.api_traffic import Portion
from serving.api.house import House

EDGES_MS = tuple(LATENCY_EDGES_MS.tolist())
MOST_PENDING = 5_000  # portions kept while the database is away; beyond, minutes are no longer told apart


class Route:
    """Of one method and path, since this process began. Counted by the event loop's thread alone."""

    __slots__ = ("latency_counts", "latency_ms", "statuses")

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.latency_ms = 0.0
        self.latency_counts = [0] * LATENCY_BINS

    def count(self, status: int, ms: float) -> None:
        self.statuses[status] += 1
        self.latency_ms += ms
        self.latency_counts[bisect_right(EDGES_MS, ms)] += 1

    def portion(self) -> Portion:
        found = dict(self.statuses)
        return Portion(
            sum(found.values()),
            sum(n for status, n in found.items() if status >= 500),
            sum(n for status, n in found.items() if 400 <= status < 500),
            self.latency_ms,
            np.asarray(self.latency_counts, np.int64),
        )


class Traffic:
    """A part of the house."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lock = threading.Lock()
        self.routes: dict[str, Route] = {}
        self._told: dict[str, Portion] = {}
        self._pending: dict[tuple[str, datetime], Portion] = {}
        self.held = 0  # requests that are made to wait for having been too many
        self.under_way = 0
        self.sockets = 0  # WebSockets that are open

    def of(self, route: str) -> Route:
        found = self.routes.get(route)
        if found is None:
            found = self.routes[route] = Route()
        return found

    def flush(self, now: datetime | None = None) -> None:
        """Adds what was counted since the last call to the minute of ``now``. Raises Unavailable while the database is
        away; all is kept then and goes with a later one."""
        minute = (now or clock.now()).replace(second=0, microsecond=0)
        with self._lock:
            if len(self._pending) < MOST_PENDING:
                self._take(minute)
            if not self._pending:
                return
            with self._house.session() as session:
                api_traffic.add(session, [(*key, portion) for key, portion in self._pending.items()])
            self._pending.clear()

    def _take(self, minute: datetime) -> None:
        for name, route in list(self.routes.items()):
            portion = route.portion()
            before = self._told.get(name)
            if before is not None and before.n == portion.n:
                continue
            self._told[name] = portion
            new = portion if before is None else _since(before, portion)
            kept = self._pending.get((name, minute))
            self._pending[name, minute] = new if kept is None else kept + new


def _since(before: Portion, now: Portion) -> Portion:
    return Portion(
        now.n - before.n,
        now.failed - before.failed,
        now.refused - before.refused,
        now.latency_ms - before.latency_ms,
        now.latency_counts - before.latency_counts,
    )
