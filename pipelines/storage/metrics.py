"""Questions about what versions did over longer spans: sums of their traffic, the figures kept from them, and how
both are kept small.

Who writes the traffic is storage/traffic.py's, what the figures mean is models/watching.py's.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, delete, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session, aliased

from pipelines.storage.tables import ModelMetrics, ModelTraffic, Rollout
from pipelines.storage.traffic import NOTHING, Traffic

_NUMBERS = (ModelTraffic.n, ModelTraffic.errors, ModelTraffic.retries, ModelTraffic.latency_ms)
_COUNTS = ("latency_counts", "input_counts", "output_counts")


def traffic(session: Session, model_id: int, since: datetime, until: datetime) -> Traffic:
    """What a version did in the minutes (or, where they were put together, hours) that began in [since, until)."""
    span = {"model_id": model_id, "since": since, "until": until}
    inside = (ModelTraffic.model_id == model_id, ModelTraffic.minute >= since, ModelTraffic.minute < until)
    sums: Any = session.execute(select(*(func.sum(column) for column in _NUMBERS)).where(*inside)).one()
    if sums[0] is None:
        return NOTHING
    said = select(ModelTraffic.last_error).where(*inside, ModelTraffic.last_error.is_not(None))
    last_error = session.execute(said.order_by(ModelTraffic.minute.desc()).limit(1)).scalar()
    latencies, inputs, outputs = (
        np.asarray(session.execute(text(_ADDED_UP.format(column)), span).scalar() or [], np.int64) for column in _COUNTS
    )
    return Traffic(int(sums[0]), int(sums[1]), int(sums[2]), float(sums[3]), latencies, inputs, outputs, last_error)


# The sums stay in the database: a month of minutes would be half a gigabyte on the way here.
_ADDED_UP = """
    select array_agg(total order by place) from (
        select place, sum(count)::bigint as total
        from model_traffic, unnest({0}) with ordinality as counts(count, place)
        where model_id = :model_id and minute >= :since and minute < :until group by place
    ) as places"""


def condense(session: Session, model_id: int, before: datetime, oldest: datetime) -> None:
    """Puts the minutes of each hour that ended by ``before`` into one row at its beginning, and forgets what is older
    than ``oldest``. An hour in which a rollout of this version began stays in minutes: windows may begin inside it.

    A flush that comes later than that makes a minute again, and the next call takes it in.
    """
    session.execute(delete(ModelTraffic).where(ModelTraffic.model_id == model_id, ModelTraffic.minute < oldest))
    hour = func.date_trunc("hour", ModelTraffic.minute, "UTC")
    begun = select(func.date_trunc("hour", Rollout.started_at, "UTC")).where(Rollout.model_id == model_id)
    query = select(hour).where(
        ModelTraffic.model_id == model_id,
        hour < func.date_trunc("hour", before, "UTC"),
        hour.not_in(begun),
    )
    for start in session.execute(query.group_by(hour).having(func.count() > 1)).scalars().all():
        _condense_hour(session, model_id, start)


def _condense_hour(session: Session, model_id: int, start: datetime) -> None:
    end = start + timedelta(hours=1)
    inside = (ModelTraffic.model_id == model_id, ModelTraffic.minute >= start, ModelTraffic.minute < end)
    session.execute(select(ModelTraffic.minute).where(*inside).order_by(ModelTraffic.minute).with_for_update())
    total = traffic(session, model_id, start, end)
    session.execute(delete(ModelTraffic).where(*inside, ModelTraffic.minute > start))
    values: dict[str, Any] = {name: getattr(total, name) for name in ("n", "errors", "retries", "latency_ms")}
    values |= {column: getattr(total, column).tolist() for column in _COUNTS} | {"last_error": total.last_error}
    row = insert(ModelTraffic).values(model_id=model_id, minute=start, **values)
    session.execute(row.on_conflict_do_update(constraint="pk_model_traffic", set_=values))


def record(session: Session, model_id: int, window: str, now: datetime, figures: dict[str, Any]) -> ModelMetrics:
    """The figures of a window that ends at ``now``, in place of those of the same minute."""
    minute = now.replace(second=0, microsecond=0)
    same = (ModelMetrics.model_id == model_id, ModelMetrics.window == window, ModelMetrics.created_at >= minute)
    session.execute(delete(ModelMetrics).where(*same, ModelMetrics.created_at < minute + timedelta(minutes=1)))
    row = ModelMetrics(model_id=model_id, window=window, created_at=now, **figures)
    session.add(row)
    session.flush()
    return row


def newest(session: Session, model_id: int, window: str) -> ModelMetrics | None:
    query = select(ModelMetrics).where(ModelMetrics.model_id == model_id, ModelMetrics.window == window)
    return session.execute(query.order_by(ModelMetrics.created_at.desc(), ModelMetrics.id.desc()).limit(1)).scalar()


def history(
    session: Session, model_ids: Collection[int], window: str, since: datetime, most: int = 400
) -> dict[int, list[ModelMetrics]]:
    """By version the figures of that window since a moment, oldest first; of more than ``most`` as many, evenly over
    the time, the newest among them."""
    mine = (ModelMetrics.model_id.in_(model_ids), ModelMetrics.window == window, ModelMetrics.created_at >= since)
    place = func.row_number().over(
        partition_by=ModelMetrics.model_id, order_by=(ModelMetrics.created_at.desc(), ModelMetrics.id.desc())
    )
    count = func.count().over(partition_by=ModelMetrics.model_id)
    placed = select(ModelMetrics.id, place.label("place"), count.label("of")).where(*mine).subquery()
    step = func.greatest(1, func.ceil(placed.c.of / float(most)).cast(BigInteger))
    query = select(ModelMetrics).join(placed, placed.c.id == ModelMetrics.id).where((placed.c.place - 1) % step == 0)
    found: dict[int, list[ModelMetrics]] = {}
    for row in session.execute(query.order_by(ModelMetrics.created_at, ModelMetrics.id)).scalars():
        found.setdefault(row.model_id, []).append(row)
    return found


def newest_of(session: Session, model_ids: Collection[int], window: str) -> dict[int, ModelMetrics]:
    """By version the newest figures of that window; one that was never measured is left out."""
    query = select(ModelMetrics).where(ModelMetrics.model_id.in_(model_ids), ModelMetrics.window == window)
    query = query.ext(distinct_on(ModelMetrics.model_id))
    query = query.order_by(ModelMetrics.model_id, ModelMetrics.created_at.desc(), ModelMetrics.id.desc())
    return {row.model_id: row for row in session.execute(query).scalars()}


def thin(session: Session, model_id: int, before: datetime) -> None:
    """Of the figures older than ``before`` the last of each day stay."""
    later = aliased(ModelMetrics)
    day = func.date_trunc("day", ModelMetrics.created_at, "UTC")
    followed = select(later.id).where(
        later.model_id == ModelMetrics.model_id,
        later.window == ModelMetrics.window,
        later.created_at > ModelMetrics.created_at,
        later.created_at < day + timedelta(days=1),
    )
    old = delete(ModelMetrics).where(ModelMetrics.model_id == model_id, ModelMetrics.created_at < before)
    session.execute(old.where(followed.exists()).execution_options(synchronize_session=False))
