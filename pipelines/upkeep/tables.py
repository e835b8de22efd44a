"""Tables kept small and quick: fine figures of long ago are put together, room of deleted rows is made usable again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from pipelines import clock
from pipelines.storage import api_traffic, storage_use, vacuuming
from pipelines.storage.engines import engine_of
from pipelines.storage.vacuuming import Vacuumed
from pipelines.studio import Studio

MINUTES = timedelta(days=8)  # how long the API's traffic is kept by the minute; by the hour for 90 days (served.py)
MEASUREMENTS = timedelta(days=90)  # how long every measurement of the store is kept; then one a day
BLOATED = 0.5  # of a table's rows are dead: nobody vacuums it


@dataclass(frozen=True, slots=True)
class Kept:
    """``condensed``: rows that were put together, by table."""

    condensed: dict[str, int]
    product: Vacuumed
    dagster: Vacuumed


def keep(studio: Studio, now: datetime | None = None) -> Kept:
    """Both databases. Any time will do, the night is quieter."""
    moment = now or clock.now()
    with studio.database.session() as session:
        condensed = {
            "api_traffic": api_traffic.condense(session, moment - MINUTES),
            "storage_use": storage_use.thin(session, moment - MEASUREMENTS),
        }
    with studio.database.worded():
        product = vacuuming.run(studio.database.engine)
        engine = _dagster_engine(studio)
        try:
            dagster = vacuuming.run(engine)
        finally:
            engine.dispose()
    return Kept(condensed, product, dagster)


def bloated(studio: Studio) -> Sequence[str]:
    """A sentence for each table of either database of which most is dead rows."""
    engine = _dagster_engine(studio)
    try:
        with studio.database.worded():
            shares = vacuuming.dead_share(studio.database.engine) | {
                f"Dagster's {name}": share for name, share in vacuuming.dead_share(engine).items()
            }
    finally:
        engine.dispose()
    return [f"{name}: {share:.0%} of its rows are dead" for name, share in shares.items() if share > BLOATED]


def _dagster_engine(studio: Studio) -> Engine:
    assert studio.database.dagster_url  # makes it where Dagster has never been started
    return engine_of(studio.database.url.set(database=f"{studio.database.url.database}_dagster"))
