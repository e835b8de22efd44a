"""Backfills in the Dagster that runs: asked for over GraphQL, and followed. Which batches is not decided here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from pipelines.errors import BadInput, OrimonoError, Unavailable
from pipelines.settings import Settings

PARTITIONS = "batches"
TIMEOUT = 60.0  # s; it looks at every partition before it answers
ENDED = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED", "COMPLETED")
SUCCESS = ("COMPLETED_SUCCESS", "COMPLETED")
_THERE = """
{ repositoriesOrError {
    ... on RepositoryConnection { nodes { name location { name } } } ... on PythonError { message } }
  assetNodeOrError(assetKey: {path: ["uploads"]}) { ... on AssetNode { partitionKeys } } }
"""
_ADD = """
mutation($name: String!, $key: String!, $selector: RepositorySelector!) {
  addDynamicPartition(partitionsDefName: $name, partitionKey: $key, repositorySelector: $selector) {
    __typename ... on PythonError { message } ... on UnauthorizedError { message } } }
"""
_LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message } ... on UnauthorizedError { message } } }
"""
_STATE = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) { __typename
  ... on PartitionBackfill { status error { message } assetBackfillData { assetBackfillStatuses {
    ... on AssetPartitionsStatusCounts { assetKey { path } numPartitionsTargeted numPartitionsMaterialized
      numPartitionsFailed numPartitionsInProgress } } } }
  ... on PythonError { message } } }
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Batches of one step."""

    wanted: int
    made: int
    failed: int


@dataclass(frozen=True, slots=True)
class State:
    status: str  # as Dagster calls it
    steps: Mapping[str, Counts]
    error: str | None = None

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def succeeded(self) -> bool:
        return self.status in SUCCESS


class Backfills:
    """A connection to Dagster's webserver; to be closed."""

    def __init__(self, settings: Settings) -> None:
        import httpx  # half a second, which other commands have no time for

        self.root = settings.dagster_address  # for people
        self._endpoint = f"{settings.dagster_endpoint}/graphql"
        self._nobody = (httpx.ConnectError, httpx.ConnectTimeout)
        self._errors = (httpx.HTTPError, ValueError)
        self._client = httpx.Client(timeout=httpx.Timeout(TIMEOUT, connect=3.0), trust_env=False)

    def __enter__(self) -> Backfills:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def running(self) -> bool:
        """Whether there is a Dagster to ask; what may be wrong with one that answers is told later."""
        try:
            self._client.post(self._endpoint, json={"query": "{version}"})
        except self._nobody:
            return False
        except self._errors:
            return True
        return True

    def add_partitions(self, keys: Sequence[str]) -> list[str]:
        """Those of the batches that Dagster did not know; it does now.

        BadInput when it knows none of them: a batch had a run before it ended, so that is another home's Dagster.
        """
        found = self._ask(_THERE)
        nodes = found["repositoriesOrError"].get("nodes")
        if not nodes:
            reason = found["repositoriesOrError"].get("message", "it has no code location")
            raise OrimonoError(f"Dagster at {self.root} does not work: {reason}; see its Deployment page")
        known = set(found["assetNodeOrError"].get("partitionKeys", ()))
        selector = {"repositoryName": nodes[0]["name"], "repositoryLocationName": nodes[0]["location"]["name"]}
        new = [key for key in keys if key not in known]
        if len(new) == len(keys):
            reason = f"is not known to the Dagster at {self.root}"
            raise BadInput(f"batch {keys[0]}", reason, "set ORIMONO_DAGSTER_URL to this home's, or say --here")
        for key in new:
            done = self._ask(_ADD, name=PARTITIONS, key=key, selector=selector)["addDynamicPartition"]
            if done["__typename"] not in ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError"):
                raise OrimonoError(f"batch {key}: Dagster did not take its partition: {done.get('message', done)}")
        return new

    def launch(self, steps: Sequence[str], keys: Sequence[str], title: str, tags: Mapping[str, str]) -> str:
        """Asks for these steps of these batches; the backfill's id. How many batches a run takes, each step says."""
        params = {
            "assetSelection": [{"path": [step]} for step in steps],
            "partitionNames": list(keys),
            "title": title,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        done = self._ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        if done["__typename"] != "LaunchBackfillSuccess":
            raise OrimonoError(f"Dagster did not take the backfill: {done.get('message', done['__typename'])}")
        return str(done["backfillId"])

    def state(self, backfill: str) -> State:
        found = self._ask(_STATE, id=backfill)["partitionBackfillOrError"]
        if found["__typename"] != "PartitionBackfill":
            raise OrimonoError(f"backfill {backfill}: Dagster does not know it (any more); see {self.root}/overview")
        listed = (found["assetBackfillData"] or {}).get("assetBackfillStatuses", ())
        steps = {
            ".".join(s["assetKey"]["path"]): Counts(
                s["numPartitionsTargeted"], s["numPartitionsMaterialized"], s["numPartitionsFailed"]
            )
            for s in listed
            if s
        }
        return State(found["status"], steps, found["error"] and found["error"]["message"])

    def follow(self, backfill: str, every: float = 2.0) -> State:
        """Its state when it has ended. A webserver that starts anew in between is waited for."""
        while True:
            try:
                state = self.state(backfill)
            except Unavailable as away:
                time.sleep(away.retry_after)
                continue
            if state.ended:
                return state
            time.sleep(every)

    def page(self, backfill: str) -> str:
        return f"{self.root}/runs/b/{backfill}"

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        try:
            answer = self._client.post(self._endpoint, json={"query": query, "variables": variables})
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except self._errors as error:
            reason = f"does not answer as it should ({error or type(error).__name__})"
            raise Unavailable(f"Dagster at {self.root}", reason) from error
        if found.get("errors"):
            raise OrimonoError(f"Dagster at {self.root} refused: {found['errors'][0].get('message')}")
        data: dict[str, Any] = found["data"]
        return data
