"""Which jobs a batch holds and which requests they came with, told in its run's log; and where their pages are."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.studio import Studio

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrival:
    """``request_id`` is None for a job that was put into the inbox by hand. ``page``: the job's address."""

    name: str
    request_id: str | None
    page: str


def of_batch(studio: Studio, key: str, run_id: str) -> list[Arrival]:
    """The batch's jobs. Those that came with a request are logged with it and the run, so that a line of the API's log
    leads here; the others are counted, for each line is a row in Dagster's event log."""
    from pipelines.storage import job_listing

    with studio.database.session() as session:
        found = job_listing.of_batch(session, key)
    sent = [(name, request) for name, request in found if request is not None]
    for name, request in sent:
        log.info("job %s of batch %s, request %s, run %s", name, key, request, run_id)
    log.info("%d jobs in batch %s, %d of them came by hand, run %s", len(found), key, len(found) - len(sent), run_id)
    return [Arrival(name, request, page_of(studio.settings, name)) for name, request in found]


def page_of(settings: Settings, name: str) -> str:
    """Where people see the job of this name."""
    return f"{settings.api_address}/jobs/{quote(name, safe='')}"
