"""The Dagster UI: where its pages are, and which run works on a batch. It may be away: then there is no run to tell."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from urllib.parse import quote

from pipelines.settings import Settings
from serving.api.house import House

log = logging.getLogger(__name__)

PARTITION_TAG = "dagster/partition"
LOCATION = "orimono"  # as workspace.yaml calls it
TIMEOUT = 2.0  # s; no page waits longer
FRESH = 5.0  # s that an answer is told again
AWAY = 10.0  # s until one that did not answer is asked again
MOST = 1000  # answers kept
_RUNS = """
query Runs($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 1) { __typename ... on Runs { results { runId status } } }
}
"""


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    status: str


@dataclass(frozen=True, slots=True)
class Pages:
    """Addresses in the Dagster UI."""

    settings: Settings

    @property
    def root(self) -> str:
        return self.settings.dagster_address

    def run(self, run_id: str) -> str:
        return f"{self.root}/runs/{quote(run_id, safe='')}"

    @property
    def runs(self) -> str:
        return f"{self.root}/runs"

    def asset(self, name: str, partition: str | None = None) -> str:
        query = f"?view=partitions&partition={quote(partition, safe='')}" if partition is not None else ""
        return f"{self.root}/assets/{quote(name, safe='')}{query}"

    def batch(self, key: str) -> str:
        """What a batch holds, and its steps' runs."""
        return self.asset("uploads", key)

    def chunk(self, chunk_id: str) -> str:
        return self.asset("score_chunks", chunk_id)

    def job(self, name: str) -> str:
        return f"{self.root}/locations/{LOCATION}/jobs/{quote(name, safe='')}"


class DagsterUi:
    """Asks the Dagster UI about runs; any number of threads may. Nothing is raised when it does not answer."""

    def __init__(self, house: House) -> None:
        self.pages = Pages(house.settings)
        import httpx  # half a second, which the start has no time for

        self._away = (httpx.HTTPError, ValueError, KeyError, TypeError)
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Run | None]] = {}
        self._away_until = 0.0

    def close(self) -> None:
        self._client.close()

    def newest_run(self, batch: str) -> Run | None:
        """None when there is none, or nobody to ask."""
        now = time.monotonic()
        with self._lock:
            at, known = self._known.get(batch, (-FRESH, None))
            if now - at < FRESH or now < self._away_until:
                return known
        try:
            found = self._ask(batch)
        except self._away as error:
            log.info("the Dagster UI does not say which runs there are: %s", type(error).__name__)
            with self._lock:
                self._away_until = time.monotonic() + AWAY
            return known
        with self._lock:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[batch] = (time.monotonic(), found)
        return found

    def _ask(self, batch: str) -> Run | None:
        variables = {"filter": {"tags": [{"key": PARTITION_TAG, "value": batch}]}}
        answer = self._client.post(
            f"{self.pages.settings.dagster_endpoint}/graphql", json={"query": _RUNS, "variables": variables}
        )
        answer.raise_for_status()
        runs = answer.json()["data"]["runsOrError"]["results"]
        return Run(str(runs[0]["runId"]), str(runs[0]["status"])) if runs else None
