"""The units of orchestration: a batch of jobs (20261121-0001), and 500 rows of a sheet (17-0003)."""

from __future__ import annotations

import dagster as dg

batches = dg.DynamicPartitionsDefinition(name="batches")
# Dagster's own tags of a run: its partition, or the first and the last of several.
PARTITION, FIRST, LAST = (
    "dagster/partition",
    "dagster/asset_partition_range_start",
    "dagster/asset_partition_range_end",
)
BACKFILL, BACKFILL_OF = "dagster/backfill", "orimono/backfill"  # the backfill that a run is one of, and its first step
SHEET_TAG = "orimono/score_job"  # of runs of chunks: whose
chunks = dg.DynamicPartitionsDefinition(name="score_chunks")
