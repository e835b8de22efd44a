"""A step of batches as an asset: one batch a run as uploads come in, several a run in a backfill.

What a step does is pipelines'; how many batches one run takes is each asset's backfill policy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.partitions import BACKFILL, BACKFILL_OF
from assets.presentation import describe
from assets.retrying import MAX_RETRIES, failures_told_apart
from pipelines.errors import BadInput, Unavailable
from pipelines.studio import Studio

if TYPE_CHECKING:
    from pipelines.items import Result

log = logging.getLogger(__name__)
Step = Callable[[Studio, str], "Sequence[Result[Any]]"]
Find = Callable[[Studio, str], Sequence[str]]
MOST_TOLD = 10  # failed batches that a run's failure names


def over_batches(
    context: dg.AssetExecutionContext, studio: Studio, step: Step, *, bars: Sequence[Find] = ()
) -> dg.MaterializeResult[None]:
    """``step`` (studio, batch key) over each batch of the run, as ``each_batch`` does it."""
    # Of a thousand batches nobody looks at four pictures each, and the event log keeps them for ever.
    pictures = {"pictures": 1} if is_backfill(context) else {}
    return each_batch(context, studio, lambda key: describe(step(studio, key), **pictures), bars=bars)


def each_batch(
    context: dg.AssetExecutionContext,
    studio: Studio,
    make: Callable[[str], Mapping[str, Any]],
    *,
    bars: Sequence[Find] = (),
) -> dg.MaterializeResult[None]:
    """``make`` (batch key -> metadata) for each batch of the run.

    In a backfill a batch that fails costs itself: the others are materialized, and the run then fails and names it.
    ``bars`` are what the asset's blocking checks ask. They are asked here as well, because a backfill makes what comes
    next of every batch that is materialized, in another run, whatever a check said.
    """
    keys = context.partition_keys
    if not is_backfill(context):
        with failures_told_apart():
            return dg.MaterializeResult(metadata=make(keys[0]))
    made: dict[str, Mapping[str, Any]] = {}
    failed: dict[str, str] = {}
    with failures_told_apart():
        for number, key in enumerate(keys):
            try:
                metadata = make(key)
                problems = [problem for find in bars for problem in find(studio, key)]
            except BadInput as bad:
                failed[key] = str(bad)
            except Unavailable as away:
                if context.retry_number < MAX_RETRIES:
                    raise  # all again after its wait: what is done is answered from the store
                failed |= dict.fromkeys(keys[number:], str(away))
                break
            except Exception as bug:
                log.exception("defect in %s for batch %s", context.asset_key.to_user_string(), key)
                failed[key] = f"failed in Orimono itself ({type(bug).__name__}: {bug})"
            else:
                if problems:
                    failed[key] = "; ".join(problems[:3])
                else:
                    made[key] = metadata
    for key, metadata in made.items():
        if failed:
            context.log_event(dg.AssetMaterialization(context.asset_key, metadata=metadata, partition=key))
        else:
            context.add_asset_metadata(metadata, partition_key=key)
    if failed:
        told = "; ".join(f"{key}: {reason}" for key, reason in list(failed.items())[:MOST_TOLD])
        raise dg.Failure(f"{len(failed)} of {len(keys)} batches failed: {told}", allow_retries=False)
    return dg.MaterializeResult()


def is_backfill(context: dg.AssetExecutionContext) -> bool:
    """Whether the run is one of a backfill, or takes several batches for any other reason."""
    return len(context.partition_keys) > 1 or bool({BACKFILL, BACKFILL_OF} & context.run.tags.keys())
