"""Scoring: sheets in chunks of 500 rows, each row asked of a model once, the scored sheets in the results folder.

How a row is asked and what is written where is pipelines/scoring's. Chunks are partitions of their own, so that only
failed ones run again.
"""

import dagster as dg

from assets.intake import uploads
from assets.partitions import batches, chunks
from assets.per_batch import over_batches
from assets.presentation import told
from assets.retrying import MAX_RETRIES, failures_told_apart
from pipelines.scoring.chunks import AT_ONCE
from pipelines.studio import Studio

GROUP = "scoring"
OWNERS = ["team:ml"]


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(50),
    group_name=GROUP,
    owners=OWNERS,
    deps=[uploads],
    kinds={"python", "postgres"},
    code_version="1",
    description="The sheets of the batch's jobs, looked through and cut into chunks of 500 rows. A sheet that cannot "
    "be scored is listed with its reason. The chunks are asked for by the sensor score_chunks_due.",
)
def score_jobs(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.scoring import batch

    return over_batches(context, studio, batch.register)


@dg.asset(
    partitions_def=chunks,
    backfill_policy=dg.BackfillPolicy.multi_run(AT_ONCE),
    group_name=GROUP,
    owners=OWNERS,
    deps=[dg.AssetDep(score_jobs, partition_mapping=dg.AllPartitionMapping())],
    kinds={"python", "postgres"},
    code_version="1",
    description="500 rows of a sheet, scored: each asked once, every answer kept as it comes. A chunk in which a row "
    "could not be answered fails alone and runs again by itself, after 2, 4, 8 ... up to 60 s. Look at the rate, the "
    "429s and what it cost.",
)
def score_chunks(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.scoring import batch

    def canceled() -> bool:
        """Not by a shutdown: Dagster writes a person's wish down before it interrupts the run."""
        run = context.instance.get_run_by_id(context.run.run_id)
        return run is not None and run.status is dg.DagsterRunStatus.CANCELING

    fate = batch.Fate(last=context.retry_number >= MAX_RETRIES, canceled=canceled)
    with failures_told_apart():
        ran = batch.run(studio, context.partition_keys, fate)
    for key, summary in ran.finished.items():
        if ran.failed:  # what went well is materialized all the same, what failed is not
            context.log_event(dg.AssetMaterialization(context.asset_key, metadata=told(summary), partition=key))
        else:
            context.add_asset_metadata(told(summary), partition_key=key)
    if ran.failed:
        raise dg.Failure("; ".join(ran.failed.values()), allow_retries=False, metadata=told(ran.summary))
    return dg.MaterializeResult()


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(10),
    group_name=GROUP,
    owners=OWNERS,
    deps=[dg.AssetDep(score_chunks, partition_mapping=dg.AllPartitionMapping())],
    kinds={"python", "csv"},
    code_version="1",
    description="The batch's sheets with their scores, in the results folder (a Google Sheet: in itself). Cells that a "
    "person had filled are as they were. The picture shows how the scores of each category are spread.",
)
def scored_sheets(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.scoring import batch

    return over_batches(context, studio, batch.publish)
