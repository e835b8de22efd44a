"""When things happen, as plain data: the single source for every scheduler that runs Orimono."""

from __future__ import annotations

from dataclasses import dataclass

TOKYO = "Asia/Tokyo"


@dataclass(frozen=True, slots=True)
class Cadence:
    name: str
    cron: str
    time_zone: str
    selection: str  # Dagster's asset selection syntax
    description: str


CADENCES = (
    Cadence(
        name="daily_health",
        cron="0 7 * * *",
        time_zone=TOKYO,
        selection="batch_health",
        description="Looks every morning whether a batch is left failed or unfinished, and says which and why.",
    ),
)
