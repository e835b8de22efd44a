"""Intake assets: what a batch holds. Finding and storing the uploads is the inbox sensor's and pipelines/intake's."""

import dagster as dg

from assets.partitions import batches
from assets.presentation import describe
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

    with failures_told_apart():
        return dg.MaterializeResult(metadata=describe(batch.uploads(studio, context.partition_key)))
