"""What a sensor of Dagster's wants to be run, asked of it and started. Standard library only.

Dagster evaluates the sensor (its daemon would do the same every few seconds); starting what it names is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orimono_airflow.graphql import Answer, Away, Dagster, unwrapped
from orimono_airflow.runs import RUN_TAG, Place, find, launch

ASKER = "airflow"  # the cursor by which the sensor knows who asks: dags/sensors.py
MOST_RUNS = 10_000  # of one look
ADD_AT_ONCE = 200  # partitions a question
KEY_TAG = "orimono/run_key"  # which of the sensor's requests a run answers
SENSOR_TAG = "dagster/sensor_name"  # of runs that Dagster's daemon started, which these are not

_LOOK = """mutation($selector: SensorSelector!, $cursor: String) {
  sensorDryRun(selectorData: $selector, cursor: $cursor) { __typename
  ... on DryRunInstigationTick { evaluationResult { skipReason error { message }
    runRequests { runKey jobName tags { key value } }
    dynamicPartitionsRequests { type partitionsDefName partitionKeys } } }
  ... on Error { message } } }"""
_ADD = """addDynamicPartition(repositorySelector: $place, partitionsDefName: $name, partitionKey: $key%d) { __typename
  ... on Error { message } }"""
_DELETE = """mutation($place: RepositorySelector!, $name: String!, $keys: [String!]!) {
  deleteDynamicPartitions(repositorySelector: $place, partitionsDefName: $name, partitionKeys: $keys) { __typename
  ... on Error { message } } }"""


def start_due(
    dagster: Dagster, place: Place, sensor: str, request: str, say: Callable[[str], None] = lambda _: None
) -> list[str]:
    """Starts what the sensor names; ids of the runs, also of those that an earlier try of this request started before
    it broke off. Raises Away when the sensor fails: what it will name next is found anew from the database.

    The sensor writes down what it names as asked for. What is not started after all is asked for again by a later look.
    """
    earlier = find(dagster, {RUN_TAG: request}, limit=MOST_RUNS)
    tick = dagster.ask(_LOOK, selector={**place.selector, "sensorName": sensor}, cursor=ASKER)["sensorDryRun"]
    found = unwrapped(tick, "DryRunInstigationTick")["evaluationResult"]
    if found["error"] is not None:
        raise Away(f"the sensor {sensor} failed: {found['error']['message'].strip()}")
    for change in found["dynamicPartitionsRequests"] or ():
        if change["type"] == "ADD_PARTITIONS":
            _add(dagster, place, change["partitionsDefName"], change["partitionKeys"])
    started = [run.run_id for run in earlier]
    for wanted in found["runRequests"] or ():
        tags = {tag["key"]: tag["value"] for tag in wanted["tags"] if tag["key"] != SENSOR_TAG}
        tags |= {RUN_TAG: request, KEY_TAG: wanted["runKey"]}
        started.append(launch(dagster, place, wanted["jobName"], tags))
        say(f"{wanted['runKey']}: {dagster.link(started[-1])}")
    for change in found["dynamicPartitionsRequests"] or ():
        if change["type"] == "DELETE_PARTITIONS":
            variables = {"name": change["partitionsDefName"], "keys": change["partitionKeys"]}
            done = dagster.ask(_DELETE, place=place.selector, **variables)["deleteDynamicPartitions"]
            unwrapped(done, "DeleteDynamicPartitionsSuccess")
    if not started:
        say(found["skipReason"] or "nothing is due")
    return started


def _add(dagster: Dagster, place: Place, name: str, keys: Sequence[str]) -> None:
    """Those that are there already are no matter."""
    for first in range(0, len(keys), ADD_AT_ONCE):
        batch = keys[first : first + ADD_AT_ONCE]
        declared = " ".join(f"$key{n}: String!" for n in range(len(batch)))
        fields = " ".join(f"a{n}: {_ADD % n}" for n in range(len(batch)))
        query = f"mutation($place: RepositorySelector!, $name: String!, {declared}) {{ {fields} }}"
        variables = {f"key{n}": key for n, key in enumerate(batch)}
        done: Answer = dagster.ask(query, place=place.selector, name=name, **variables)
        for answer in done.values():
            if answer["__typename"] != "DuplicateDynamicPartitionError":
                unwrapped(answer, "AddDynamicPartitionSuccess")
