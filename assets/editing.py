"""Editing assets: from shared features to cut lists, pictures and a judged result; the editing is pipelines/editing."""

import dagster as dg

from assets.analysis import lyrics_features, music_features, video_features
from assets.partitions import batches
from assets.presentation import describe
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

GROUP = "editing"
OWNERS = ["team:editing"]


@dg.asset(
    partitions_def=batches,
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

    with failures_told_apart():
        return dg.MaterializeResult(metadata=describe(batch.share(studio, context.partition_key)))


@dg.asset(
    partitions_def=batches,
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

    with failures_told_apart():
        return dg.MaterializeResult(metadata=describe(batch.plan(studio, context.partition_key)))


@dg.asset(
    partitions_def=batches,
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

    with failures_told_apart():
        return dg.MaterializeResult(metadata=describe(batch.render(studio, context.partition_key)))


@dg.asset(
    partitions_def=batches,
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

    with failures_told_apart():
        return dg.MaterializeResult(metadata=describe(batch.judge(studio, context.partition_key)))
