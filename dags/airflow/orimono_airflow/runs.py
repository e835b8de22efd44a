"""Runs of Dagster: what is to be run, the one that already answers a request, its start, its end and its failure.

Standard library only; when a request is made is the DAGs'.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orimono_airflow.graphql import Answer, Away, Dagster, DagsterError, Refused, unwrapped

# The same as in dags/schedules.py; tests compare them.
RUN_TAG = "orimono/airflow_run"
CADENCE_TAG = "orimono/cadence"
SLOT_TAG = "orimono/slot"
PARTITION = "dagster/partition"
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
PATIENCE = 300.0  # s that Dagster may be away while a run is followed
ENTERING = 20.0  # s in which a run that was made comes into the queue; before, Dagster cannot end it
MOST_STEPS, MOST_TEXT = 5, 1000  # of a failure: how many steps are told, and how much of each

_PLACES = """{ repositoriesOrError { __typename
  ... on RepositoryConnection { nodes { name location { name } jobs { name } schedules { name } sensors { name } } }
  ... on PythonError { message } } }"""
_FIND = """query($filter: RunsFilter!, $limit: Int!) { runsOrError(filter: $filter, limit: $limit) { __typename
  ... on Runs { results { runId status tags { key value } } } ... on Error { message } } }"""
_RUN = """query($id: ID!) { runOrError(runId: $id) { __typename
  ... on Run { runId status tags { key value } } ... on Error { message } } }"""
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
  ... on LaunchRunSuccess { run { runId } } ... on RunConfigValidationInvalid { errors { message } }
  ... on Error { message } } }"""
_TERMINATE = """mutation($id: String!) { terminateRun(runId: $id, terminatePolicy: SAFE_TERMINATE) { __typename
  ... on TerminateRunFailure { message } ... on Error { message } } }"""
_EVENTS = """query($id: ID!, $after: String) { runOrError(runId: $id) { __typename
  ... on Run { eventConnection(afterCursor: $after, limit: 1000) { cursor hasMore events { __typename
    ... on ExecutionStepFailureEvent { stepKey error { message errorChain { error { message } } }
      failureMetadata { description } }
    ... on RunFailureEvent { message error { message } } } } }
  ... on Error { message } } }"""


class Failed(DagsterError):
    """The run has ended otherwise than well, or not in time; what it says of itself, and where it is to be seen."""


@dataclass(frozen=True, slots=True)
class Place:
    """A repository in a code location, and what it offers."""

    repository: str
    location: str
    jobs: frozenset[str]
    schedules: frozenset[str]
    sensors: frozenset[str]

    @property
    def selector(self) -> dict[str, str]:
        return {"repositoryName": self.repository, "repositoryLocationName": self.location}


@dataclass(frozen=True, slots=True)
class Run:
    run_id: str
    status: str
    tags: Mapping[str, str]

    @property
    def ended(self) -> bool:
        return self.status in ENDED


def place_of(dagster: Dagster, *, job: str = "", sensor: str = "") -> Place:
    """Where Orimono's definitions are. Raises Away while none has them: it may just be loading."""
    found = unwrapped(dagster.ask(_PLACES)["repositoriesOrError"], "RepositoryConnection", Away)
    places = [_place(node) for node in found["nodes"]]
    wanted = [p for p in places if (not job or job in p.jobs) and (not sensor or sensor in p.sensors)]
    name = f"the job {job}" if job else f"the sensor {sensor}"
    if not wanted:
        raise Away(f"no code location of Dagster at {dagster.url} has {name}; look there whether one failed to load")
    if len(wanted) > 1:
        names = ", ".join(p.location for p in wanted)
        raise Refused(f"several code locations have {name}: {names}; name the other one's differently")
    return wanted[0]


def find(dagster: Dagster, tags: Mapping[str, str], *, limit: int = 100) -> list[Run]:
    """Those with all of these tags, newest first."""
    filter_ = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
    found = unwrapped(dagster.ask(_FIND, filter=filter_, limit=limit)["runsOrError"], "Runs")
    return [_run(result) for result in found["results"]]


def launch(dagster: Dagster, place: Place, job: str, tags: Mapping[str, str]) -> str:
    """Starts a run, or puts it in Dagster's queue; its id. A partition is the tag ``dagster/partition``."""
    params = {
        "selector": {**place.selector, "jobName": job},
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
    }
    done = dagster.ask(_LAUNCH, params=params)["launchRun"]
    run_id: str = unwrapped(done, "LaunchRunSuccess")["run"]["runId"]
    return run_id


def answering(dagster: Dagster, request: str, cadence: str, slot: str | None) -> Run | None:
    """The run that a request of this tag needs not start: that of an earlier try, unless it failed; else one that
    somebody else started for the same slot, so that nothing fires twice when a cadence changes hands. What a person
    has cleared is started anew, whatever there was before."""
    found = find(dagster, {RUN_TAG: request}, limit=1)
    if not found and slot is not None and request.endswith("/0"):
        found = find(dagster, {CADENCE_TAG: cadence, SLOT_TAG: slot})
    newest = next(iter(found), None)
    return newest if newest and (will_go_on(newest) or newest.status == "SUCCESS") else None


def will_go_on(run: Run) -> bool:
    """Whether it has not ended, or Dagster itself will start it again."""
    return not run.ended or (run.status == "FAILURE" and run.tags.get("dagster/will_retry") == "true")


def follow(
    dagster: Dagster, run_id: str, seconds: float, poll: float = 10.0, say: Callable[[str], None] = lambda _: None
) -> Run:
    """The run when it has ended well, or the one that Dagster started in its place. Raises Failed, also when
    ``seconds`` are over: then Dagster is asked to end it. Raises Away when Dagster does not answer for five minutes."""
    end, answered, status, wait = time.monotonic() + seconds, time.monotonic(), "", min(1.0, poll)
    while True:
        try:
            run = state(dagster, run_id)
            answered = time.monotonic()
        except Away:
            if time.monotonic() - answered > PATIENCE:
                raise
            run = None
        if run is not None:
            if run.status != status:
                status = run.status
                say(f"run {run_id}: {status}")
            if run.status == "SUCCESS":
                return run
            if run.ended and not will_go_on(run):
                raise Failed(f"{_reason(dagster, run)} - {dagster.link(run_id)}")
            if run.ended and (again := _again(dagster, run)) is not None:
                say(f"Dagster runs it again: {dagster.link(again.run_id)}")
                run_id = again.run_id
                continue
        if time.monotonic() >= end:
            terminate(dagster, run_id)
            raise Failed(f"not done after {seconds:g} s, so it is ended - {dagster.link(run_id)}")
        time.sleep(min(wait, max(end - time.monotonic(), 0.1)))
        wait = min(wait * 1.5, poll)


def state(dagster: Dagster, run_id: str) -> Run:
    return _run(unwrapped(dagster.ask(_RUN, id=run_id)["runOrError"], "Run"))


def terminate(dagster: Dagster, run_id: str) -> None:
    """Asks Dagster to end it, again while it cannot: a run that is only being started is in no queue yet. One that has
    ended in the meantime is no matter. Raises Refused where Dagster will not."""
    end = time.monotonic() + ENTERING
    while (done := dagster.ask(_TERMINATE, id=run_id)["terminateRun"])["__typename"] != "TerminateRunSuccess":
        if state(dagster, run_id).ended:
            return
        if time.monotonic() > end:
            raise Refused(f"{done.get('message') or done['__typename']} - {dagster.link(run_id)}")
        time.sleep(0.2)


def failure(dagster: Dagster, run_id: str) -> str:
    """What the steps that failed say, each after its name; else what Dagster says of the run."""
    steps: dict[str, str] = {}
    whole = ""
    for event in _events(dagster, run_id):
        if event["__typename"] == "ExecutionStepFailureEvent":
            steps[event["stepKey"]] = _said(event)
        elif event["__typename"] == "RunFailureEvent":
            whole = (event.get("error") or {}).get("message") or event["message"]
    told = [f"{step}: {text}" for step, text in list(steps.items())[:MOST_STEPS]]
    if len(steps) > MOST_STEPS:
        told.append(f"and {len(steps) - MOST_STEPS} more steps")
    return "; ".join(told) or whole.strip()[:MOST_TEXT] or "failed without a word"


def _reason(dagster: Dagster, run: Run) -> str:
    if run.status == "CANCELED":
        return "the run was canceled in Dagster"
    try:
        return failure(dagster, run.run_id)
    except DagsterError as error:
        return f"the run failed, and its log cannot be read ({error})"


def _events(dagster: Dagster, run_id: str) -> Iterator[Answer]:
    after = None
    while True:
        page = unwrapped(dagster.ask(_EVENTS, id=run_id, after=after)["runOrError"], "Run")["eventConnection"]
        yield from page["events"]
        after = page["cursor"]
        if not page["hasMore"]:
            return


def _said(event: Answer) -> str:
    """A step's own sentence: that which it failed with on purpose, else the error behind all that only wrap it."""
    if text := (event.get("failureMetadata") or {}).get("description"):
        return str(text)[:MOST_TEXT]
    error = event.get("error") or {}
    chain: Sequence[Answer] = error.get("errorChain") or []
    message = chain[-1]["error"]["message"] if chain else error.get("message") or "failed without a word"
    return str(message).strip()[:MOST_TEXT]


def _again(dagster: Dagster, run: Run) -> Run | None:
    """The run that Dagster started in the place of one that its process did not survive."""
    return next(iter(find(dagster, {"dagster/parent_run_id": run.run_id}, limit=1)), None)


def _place(node: Answer) -> Place:
    names: dict[str, Any] = {
        kind: frozenset(n["name"] for n in node[kind]) for kind in ("jobs", "schedules", "sensors")
    }
    return Place(node["name"], node["location"]["name"], **names)


def _run(result: Answer) -> Run:
    return Run(result["runId"], result["status"], {tag["key"]: tag["value"] for tag in result["tags"]})
