"""What starts by itself: the cadences, the sensors, the jobs."""

from __future__ import annotations

from dags.cadences import CADENCES
from definitions import build_defs
from docs.generators import markdown as md

ABOUT = """\
Cadences are plain data in `dags/cadences.py`, the one source for every scheduler. With
`ORIMONO_SCHEDULER=dagster` each is a Dagster schedule; with `airflow`, [Airflow starts
them](../how-to/airflow.md) and Dagster's schedules are off. Sensors stay Dagster's, unless a page says
otherwise."""


def page() -> str:
    cadences = (
        (md.code(one.name), md.code(one.cron), one.time_zone, md.cell(one.description), md.code(one.selection))
        for one in CADENCES
    )
    definitions = build_defs()
    sensors = (
        (md.code(one.name), f"{one.minimum_interval_seconds or 30} s", md.cell(one.description or ""))
        for one in definitions.sensors or ()
    )
    jobs = ((md.code(one.name), md.cell(one.description or "")) for one in definitions.jobs or ())
    return md.page(
        "Cadences, sensors, jobs",
        ABOUT,
        "## Cadences",
        md.table(("name", "cron", "zone", "does", "assets"), cadences),
        "## Sensors",
        md.table(("name", "looks every", "does"), sensors),
        "## Jobs",
        md.table(("name", "does"), jobs),
    )
