"""SQLAlchemy's engines: their pools, how soon a server that is away is noticed, JSON that PostgreSQL takes."""

from __future__ import annotations

import json
import math
from typing import Any

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool


class _Pool(QueuePool):
    """Whose connections end with it: SQLAlchemy keeps one that comes back after ``dispose``, and those of a pool made
    in its place, until the collector finds them open."""

    __module__ = QueuePool.__module__  # names its logger: what a pool does is the library's to tell, not the house's

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._disposed = False

    def dispose(self) -> None:
        self._disposed = True
        super().dispose()

    def recreate(self) -> QueuePool:
        again = super().recreate()
        assert isinstance(again, _Pool)
        again._disposed = self._disposed
        return again

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        if self._disposed:
            super().dispose()


def engine_of(url: URL, **more: Any) -> Engine:
    """Not connected yet. Who is disposed of keeps no connection, whoever still has one or asks for one."""
    return create_engine(
        url,
        **more,
        poolclass=_Pool,
        pool_pre_ping=True,
        pool_size=4,
        max_overflow=8,
        connect_args=_patience(url),
        json_serializer=_json,
        hide_parameters=True,  # an error is kept and shown, and they may name a person
    )


def _patience(url: URL) -> dict[str, int]:
    """How soon a server that is away is noticed, where a network is between: after about half a minute."""
    host = url.host or str(url.query.get("host", ""))
    if not host or host.startswith("/"):
        return {"connect_timeout": 10}
    probes = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
    return {"connect_timeout": 10, **probes, "tcp_user_timeout": 30_000}


def _json(value: Any) -> str:
    """PostgreSQL's JSON knows neither NaN nor infinity (the loudness of silence): they become null."""
    return json.dumps(_finite(value), ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
