"""Editing assets: from shared features to cut lists, pictures and a judged result; the editing is pipelines/editing."""

import dagster as dg

from assets.analysis import lyrics_features, music_features, video_features
from assets.checks import problems_of, shared_suite
from assets.partitions import batches
from assets.per_batch import over_batches
from pipelines.studio import Studio

GROUP = "editing"
OWNERS = ["team:editing"]


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(50),
    group_name=GROUP,
    owners=OWNERS,
    deps=[music_features, video_features, lyrics_features],
    kinds={"python", "numpy"},
    code_version="1",
    description="What all patterns draw on, computed once a job: the music's grid, the usable pieces of the clips, and "
    "how well each piece suits each moment (sync, semantic, energy, flow, coverage).",
)
def shared_features(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.editing import batch

    return over_batches(context, studio, batch.share, bars=[shared_suite])


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(25),
    group_name=GROUP,
    owners=OWNERS,
    deps=[shared_features],
    kinds={"python", "numpy"},
    code_version="1",
    description="The cut list of each pattern (dynamic, narrative, hybrid and any plugged in). The picture lays the "
    "patterns over the music's energy; each colour is a clip.",
)
def edit_patterns(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.editing import batch

    return over_batches(context, studio, batch.plan, bars=[problems_of("edit_patterns")])


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    group_name=GROUP,
    owners=OWNERS,
    deps=[edit_patterns],
    kinds={"python", "ffmpeg"},
    code_version="1",
    description="Each edit as an MP4, rendered shot by shot and joined without encoding again. The picture is a "
    "contact sheet of the finished file.",
)
def edit_renders(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.editing import batch

    return over_batches(context, studio, batch.render)


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    group_name=GROUP,
    owners=OWNERS,
    deps=[edit_renders],
    kinds={"python", "html"},
    code_version="1",
    description="How good each edit is, measured on its MP4 with the cuts detected again, and the results folder: "
    "MP4s, timelines for Resolve, Premiere and Final Cut, and a report to open in a browser.",
)
def edit_quality(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.editing import batch

    return over_batches(context, studio, batch.judge)
