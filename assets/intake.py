"""Intake assets: what a batch holds. Finding and storing the uploads is the inbox sensor's and pipelines/intake's."""

import dagster as dg

from assets.partitions import batches
from assets.presentation import addresses, describe
from assets.retrying import failures_told_apart
from pipelines.studio import Studio


@dg.asset(
    partitions_def=batches,
    group_name="intake",
    owners=["team:studio"],
    kinds={"postgres"},
    code_version="1",
    description="The files of the batch's jobs, stored by their content. A bad file is listed with its reason and what "
    "to do; mend it in the inbox and it comes in again by itself.",
)
def uploads(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.editing import batch
    from pipelines.intake import arrivals

    with failures_told_apart():
        came = arrivals.of_batch(studio, context.partition_key, context.run.run_id)
        found = batch.uploads(studio, context.partition_key)
    return dg.MaterializeResult(metadata={**describe(found), "pages": addresses({one.name: one.page for one in came})})
