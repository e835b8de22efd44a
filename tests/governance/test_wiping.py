"""Runs of chunks of a sheet that is gone, whoever started them, and the sheet's partitions: nothing else goes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from assets.partitions import SHEET_TAG, chunks
from assets.wiping import wipe

PARTITION, FIRST, LAST = (
    "dagster/partition",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)
KEYS = ["1-0001", "17-0001", "17-0002", "18-0001", "117-0001"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        found.add_dynamic_partitions("score_chunks", KEYS)
        yield found


def run(instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus) -> str:
    return create_run_for_test(instance, job_name="scoring_chunks", status=status, tags=tags).run_id


@dg.asset(partitions_def=chunks, backfill_policy=dg.BackfillPolicy.single_run())
def of_chunks() -> None: ...


def test_whoever_started_a_run_of_a_sheet_that_is_gone(instance: dg.DagsterInstance) -> None:
    done, going_on = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED
    theirs = (
        {SHEET_TAG: "17", PARTITION: "17-0001"},
        {PARTITION: "17-0002"},
        {FIRST: "17-0001", LAST: "17-0002"},
        {FIRST: "1-0001", LAST: "17-0001"},
        {FIRST: "17-0002", LAST: "18-0001"},
    )
    doomed = {run(instance, tags, done) for tags in theirs}
    others = ({PARTITION: "1-0001"}, {PARTITION: "117-0001"}, {PARTITION: "17"}, {SHEET_TAG: "18"}, {"a": "17-0001"})
    kept = {run(instance, tags, done) for tags in others}
    kept.add(run(instance, {PARTITION: "17-0001"}, going_on))
    # From a sheet before it to one after it: no tag names it, what was made does.
    across = dg.materialize([of_chunks], instance=instance, tags={FIRST: "1-0001", LAST: "18-0001"}).run_id
    now = datetime.now(UTC)

    assert wipe(instance, {}, {}, None) == 0
    assert wipe(instance, {}, {"17": now - timedelta(hours=1)}, now) == 0, "they are younger"
    assert {r.run_id for r in instance.get_runs()} == doomed | kept | {across}
    moment = now + timedelta(seconds=1)
    assert wipe(instance, {}, {"17": moment}, moment) == len(doomed) + 1
    assert {r.run_id for r in instance.get_runs()} == kept
    assert instance.get_dynamic_partitions("score_chunks") == ["1-0001", "18-0001", "117-0001"]
    assert wipe(instance, {}, {"17": moment}, moment) == 0
