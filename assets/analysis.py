"""Analysis assets: what the music, clips and words of a batch hold. One row an item, computed once a content."""

import dagster as dg

from assets.checks import feature_store, problems_of
from assets.partitions import batches
from assets.per_batch import over_batches
from pipelines.studio import Studio

GROUP = "analysis"
OWNERS = ["team:media"]


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(20),
    group_name=GROUP,
    owners=OWNERS,
    deps=["uploads"],
    kinds={"python", "numpy", "postgres"},
    code_version="1",
    description="Beats, downbeats, BPM, sections, energy, onsets, loudness and the feature vector of each song. "
    "Look at the pictures: white lines are beats, the letters sections. A wrong octave of the tempo is mended by "
    "`bpm` in job.yaml.",
)
def music_features(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.editing import batch

    return over_batches(context, studio, batch.analyse_music, bars=(problems_of("music_features"), feature_store))


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(5),
    group_name=GROUP,
    owners=OWNERS,
    deps=["uploads"],
    kinds={"python", "opencv"},
    code_version="1",
    description="Shots, motion, colour, brightness, sharpness, faces and visual tags of each clip, from one decode "
    "pass. The picture shows a thumbnail a shot over the score curve that found the cuts.",
)
def video_features(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.editing import batch

    return over_batches(context, studio, batch.analyse_clips, bars=[problems_of("video_features")])


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(20),
    group_name=GROUP,
    owners=OWNERS,
    deps=["uploads"],
    kinds={"python", "scikitlearn"},
    code_version="1",
    description="Phrases, emotions, keywords and sentence embeddings of the words (LRC, SRT or plain text; English and "
    "Japanese). The picture shows the emotions over time.",
)
def lyrics_features(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.editing import batch

    return over_batches(context, studio, batch.analyse_lyrics, bars=[problems_of("lyrics_features")])
