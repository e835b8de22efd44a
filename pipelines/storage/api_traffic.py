"""What the API's routes did, minute by minute, added up over all processes.

What is counted is serving/api/traffic.py's, what follows from it service_levels.py's; old rows go with retention.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from pipelines.storage.serving_tables import ApiTraffic

_NUMBERS = ("n", "failed", "refused", "latency_ms")


@dataclass(frozen=True, slots=True)
class Portion:
    """What one route did."""

    n: int
    failed: int  # answered 5xx
    refused: int  # answered 4xx
    latency_ms: float  # sum
    latency_counts: NDArray[np.int64]  # [models.drift.LATENCY_BINS]

    def __add__(self, later: Portion) -> Portion:
        return Portion(
            self.n + later.n,
            self.failed + later.failed,
            self.refused + later.refused,
            self.latency_ms + later.latency_ms,
            self.latency_counts + later.latency_counts,
        )


def add(session: Session, rows: Iterable[tuple[str, datetime, Portion]]) -> None:
    """Adds (route, minute, portion) to what is stored of the same. Rows are written in the order of their key, so that
    two processes never wait for each other in a ring."""
    values = [
        {"route": route, "minute": minute, "latency_counts": portion.latency_counts.tolist()}
        | {name: getattr(portion, name) for name in _NUMBERS}
        for route, minute, portion in sorted(rows, key=lambda row: row[:2])
    ]
    if not values:
        return
    statement = insert(ApiTraffic)
    added = {name: getattr(ApiTraffic, name) + statement.excluded[name] for name in _NUMBERS}
    counts = {"latency_counts": text(_ELEMENTWISE)}
    session.execute(statement.on_conflict_do_update(index_elements=["route", "minute"], set_=added | counts), values)


_ELEMENTWISE = """(
    select array_agg(coalesce(old, 0) + coalesce(new, 0) order by place)
    from unnest(api_traffic.latency_counts, excluded.latency_counts) with ordinality as pair(old, new, place))"""


def totals(session: Session, since: datetime, until: datetime) -> dict[str, Portion]:
    """What each route did in the minutes that began in [since, until), by route."""
    span = {"since": since, "until": until}
    found = session.execute(text(_SUMS), span).all()
    return {
        route: Portion(int(n), int(failed), int(refused), float(ms), np.asarray(counts, np.int64))
        for route, n, failed, refused, ms, counts in found
    }


def condense(session: Session, before: datetime) -> int:
    """Puts the minutes of each hour that ended by ``before`` into one row at its beginning; returns how many rows went.
    Spans of whole hours add up to the same as before."""
    count = select(func.count()).select_from(ApiTraffic)
    rows = int(session.execute(count).scalar_one())
    session.execute(text(_HOURS), {"before": before})
    return rows - int(session.execute(count).scalar_one())


_HOURS = """
    with full_hours as (
        select route, date_trunc('hour', minute, 'UTC') as hour from api_traffic
        where minute < date_trunc('hour', cast(:before as timestamptz), 'UTC') group by 1, 2 having count(*) > 1
    ), gone as (
        delete from api_traffic t using full_hours h
        where t.route = h.route and date_trunc('hour', t.minute, 'UTC') = h.hour
        returning t.*, h.hour
    ), bins as (
        select route, hour, array_agg(total order by place) as counts from (
            select route, hour, place, sum(count)::bigint as total
            from gone, unnest(latency_counts) with ordinality as counts(count, place) group by route, hour, place
        ) as places group by route, hour
    )
    insert into api_traffic (route, minute, n, failed, refused, latency_ms, latency_counts)
    select g.route, g.hour, sum(n), sum(failed), sum(refused), sum(latency_ms), coalesce(min(b.counts), '{}')
    from gone g left join bins b on b.route = g.route and b.hour = g.hour group by g.route, g.hour"""


# The sums stay in the database: an hour of minutes is a megabyte on the way here.
_SUMS = """
    select sums.route, n, failed, refused, ms, counts from (
        select route, sum(n) as n, sum(failed) as failed, sum(refused) as refused, sum(latency_ms) as ms
        from api_traffic where minute >= :since and minute < :until group by route
    ) as sums join (
        select route, array_agg(total order by place) as counts from (
            select route, place, sum(count)::bigint as total
            from api_traffic, unnest(latency_counts) with ordinality as counts(count, place)
            where minute >= :since and minute < :until group by route, place
        ) as places group by route
    ) as bins on bins.route = sums.route order by sums.route"""
