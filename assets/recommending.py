"""Recommending: decisions and videos become interactions, a two-tower model, its embeddings, and lists for viewers.

How any of it is done is pipelines/recommending's.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from assets.intake import uploads
from assets.partitions import batches
from assets.per_batch import over_batches
from assets.presentation import shown, told
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

GROUP = "recommending"
OWNERS = ["team:ml"]


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(50),
    group_name=GROUP,
    owners=OWNERS,
    deps=[uploads],
    kinds={"python", "postgres"},
    code_version="1",
    description="The tables of the batch's jobs read into videos, tags and user_video_decisions: how many rows are "
    "new, known or refused, and why. The same rows again change nothing.",
)
def decisions(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.recommending import batch

    return over_batches(context, studio, batch.load)


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[decisions],
    kinds={"python", "parquet"},
    code_version="1",
    description="All decisions that may be learned from at this moment (training allowed, not withdrawn), cleaned, "
    "with the catalogue as it is now: two Parquet files that the model's registry row names by their hashes. Where "
    "there is nothing to learn from, the run ends here, and well.",
    output_required=False,
)
def interactions(studio: dg.ResourceParam[Studio]) -> Iterator[dg.MaterializeResult[None]]:
    from pipelines.recommending import learning

    with failures_told_apart():
        summary = learning.assemble(studio)
    if summary is not None:
        yield dg.MaterializeResult(metadata=told(summary))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[interactions],
    kinds={"python", "numpy"},
    code_version="1",
    description="What the towers read: of each video words, genres, numbers and counts, of each viewer behaviour, "
    "genres, times and history. Look at what was missing or unknown.",
)
def recommendation_features(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.recommending import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.describe_features(studio)))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[recommendation_features],
    kinds={"python", "tensorflow", "onnx"},
    code_version="1",
    description="A user tower and a video tower whose vectors lie close where a viewer will choose a video: trained "
    "twice with something held out, to be judged, and once with everything, to serve. Exported to ONNX and held "
    "against Keras. Look at the curves: does validation still rise?",
)
def two_tower_candidate(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.recommending import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=shown(learning.train(studio)))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[two_tower_candidate],
    kinds={"python", "html"},
    code_version="1",
    description="The candidate beside popularity, recent popularity, ItemKNN, EASE, iALS and a ridge on the decayed "
    "history: all videos ranked, seen ones removed, by each viewer's last choice and by the last days. Open the "
    "report before it goes out to more viewers.",
)
def recommendation_report(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.recommending import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=shown(learning.evaluate(studio)))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[recommendation_report],
    kinds={"onnx", "postgres"},
    code_version="1",
    description="The candidate as a registered version, with its scores and the hashes of all it learned from. Nobody "
    "gets it before its embeddings are whole: see two_tower_rollout.",
)
def two_tower_release(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.recommending import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.register(studio)))


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            name,
            group_name=GROUP,
            owners=OWNERS,
            deps=[decisions, two_tower_release],
            kinds={"onnx", "postgres", "pgvector"},
            code_version="1",
            description=f"The vector of every {what}, 768 numbers of length 1, for each version in use: computed "
            "through ONNX, loaded into a partition of its own, indexed and counted, and then shown to readers all at "
            "once. Of a version that has a set, only what changed moves.",
        )
        for name, what in (("user_embeddings", "viewer with decisions"), ("video_embeddings", "video"))
    ],
    name="embeddings",
)
def embeddings(studio: dg.ResourceParam[Studio]) -> Iterator[dg.MaterializeResult[None]]:
    from pipelines.recommending import learning

    with failures_told_apart():
        synced = learning.sync(studio)
    for name, summary in synced.items():
        yield dg.MaterializeResult(asset_key=name, metadata=told(summary))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=["user_embeddings", "video_embeddings"],
    kinds={"postgres"},
    code_version="1",
    description="The newest version, once its embeddings are whole, for 5 % of the viewers (all, when there was none "
    "before). model_rollouts takes it from there.",
)
def two_tower_rollout(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.recommending import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.begin(studio)))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=["user_embeddings", "video_embeddings", two_tower_rollout],
    kinds={"python", "postgres"},
    code_version="1",
    description="A list of 20 for every viewer, in one pass over the vectors, each place with its reason: for mails, "
    "front pages and other readers of the table recommendations. Who asks `orimono recommend` gets a fresh list.",
)
def recommendations(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.recommending import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.recommend_all(studio)))


def all_assets() -> Sequence[dg.AssetsDefinition]:
    return [
        decisions,
        interactions,
        recommendation_features,
        two_tower_candidate,
        recommendation_report,
        two_tower_release,
        embeddings,
        two_tower_rollout,
        recommendations,
    ]
