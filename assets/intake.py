"""Intake assets: what a batch holds. Finding and storing the uploads is the inbox sensor's and pipelines/intake's."""

from typing import Any

import dagster as dg

from assets.partitions import batches
from assets.per_batch import each_batch
from assets.presentation import addresses, describe
from pipelines.studio import Studio


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(100),
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

    def make(key: str) -> dict[str, Any]:
        came = arrivals.of_batch(studio, key, context.run.run_id)
        pages = addresses({one.name: one.page for one in came})
        return {**describe(batch.uploads(studio, key)), "pages": pages}

    return each_batch(context, studio, make)
