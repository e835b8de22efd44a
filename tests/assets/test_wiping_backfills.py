"""What a person takes back goes from the records of backfills, too: runs over several batches, theirs among them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from assets.partitions import FIRST, LAST, PARTITION, SHEET_TAG
from assets.wiping import wipe

BATCH = "20261121-0099"


def run(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    return create_run_for_test(instance, job_name="x", status=dg.DagsterRunStatus.SUCCESS, tags=tags).run_id


def test_runs_over_a_batch_that_is_gone() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        theirs = (
            {PARTITION: BATCH},
            {FIRST: "20261120-0001", LAST: "20261121-0100"},
            {FIRST: BATCH, LAST: BATCH},
            {FIRST: "20261121-0098", LAST: "20261121-10000"},
        )
        others = (
            {FIRST: "20261120-0001", LAST: "20261121-0098"},
            {FIRST: "20261121-0100", LAST: "20261122-0001"},
            {FIRST: "17-0001", LAST: "2026-0099", SHEET_TAG: "17"},
        )
        doomed, kept = {run(instance, tags) for tags in theirs}, {run(instance, tags) for tags in others}
        now = datetime.now(UTC)
        assert wipe(instance, {BATCH: now - timedelta(hours=1)}, {}, now) == 0, "they are younger"
        moment = now + timedelta(seconds=1)
        assert wipe(instance, {BATCH: moment}, {}, moment) == len(doomed)
        assert {found.run_id for found in instance.get_runs()} == kept
