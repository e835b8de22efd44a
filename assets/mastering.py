"""Mastering assets of a batch: stems aligned, mixes mastered, and what models learn from them. The sound is
pipelines/mastering's."""

import dagster as dg

from assets.intake import uploads
from assets.partitions import batches
from assets.per_batch import over_batches
from pipelines.studio import Studio

GROUP = "mastering"
OWNERS = ["team:audio"]


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(20),
    group_name=GROUP,
    owners=OWNERS,
    deps=[uploads],
    kinds={"python", "numpy"},
    code_version="1",
    description="How the vocal of each job lies against its instrumental: lag, drift, a confidence, ok, warn or "
    "fail with the reasons. The picture shows the lag found in each window; a straight level line is good.",
)
def alignments(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.mastering import batch

    return over_batches(context, studio, batch.align)


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(25),
    group_name=GROUP,
    owners=OWNERS,
    deps=[alignments],
    kinds={"python", "numpy", "postgres"},
    code_version="1",
    description="The feature vectors of mixes and stems, and of aligned stems the evidence of their alignment, in "
    "features_store.",
)
def mastering_features(
    context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]
) -> dg.MaterializeResult[None]:
    from pipelines.mastering import batch

    return over_batches(context, studio, batch.describe)


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    group_name=GROUP,
    owners=OWNERS,
    deps=[mastering_features],
    kinds={"python", "numpy"},
    code_version="1",
    description="Each mix (or pair of stems, aligned and mixed) through the master chain, with the preset that its"
    " owner, a model or a rule chose. The picture shows spectrum and loudness before and after.",
)
def masters(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.mastering import batch

    return over_batches(context, studio, batch.master)


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(20),
    group_name=GROUP,
    owners=OWNERS,
    deps=[masters],
    kinds={"python", "ffmpeg"},
    code_version="1",
    description="30 to 60 s of each master to listen to on the way: mono AAC at 96 kbit/s.",
)
def previews(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.mastering import batch

    return over_batches(context, studio, batch.preview)


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(20),
    group_name=GROUP,
    owners=OWNERS,
    deps=[masters],
    kinds={"python"},
    code_version="1",
    description="Each master's waveform as a picture and as peaks for a player (audiowaveform's JSON, version 2).",
)
def waveforms(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.mastering import batch

    return over_batches(context, studio, batch.draw)


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(20),
    group_name=GROUP,
    owners=OWNERS,
    deps=[mastering_features, masters],
    kinds={"python", "postgres"},
    code_version="1",
    description="What models are to answer: settings derived from what the chain took in and gave out, and the "
    "preset by rule or by its owner's choice. `orimono label` corrects one. Only what its owner allows is learned "
    "from.",
)
def mastering_labels(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.mastering import batch

    return over_batches(context, studio, batch.label)
