"""Composing: a model of four-part harmony learned from chorales, and arrangements of the batch's melodies.

How melodies are harmonised, judged and heard is pipelines/composing's.
"""

import dagster as dg

from assets.intake import uploads
from assets.partitions import batches
from assets.per_batch import over_batches
from assets.presentation import shown, told
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

GROUP = "composing"
OWNERS = ["team:ml"]


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "parquet"},
    code_version="1",
    description="382 chorales by Bach in the standard split, in tonic-relative form: what harmony is learned from. "
    "Look at which test pieces share their tune with a training piece.",
)
def chorale_corpus(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.composing import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.assemble(studio)))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[chorale_corpus],
    kinds={"python", "tensorflow", "onnx"},
    code_version="1",
    description="A masked transformer over voices and beats that says how likely each pitch is, with a memory of the "
    "training melodies; trained on the corpus, exported to ONNX and held against Keras. Look at the curves.",
)
def harmonizer_model(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.composing import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=shown(learning.train(studio)))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[harmonizer_model],
    kinds={"python", "html"},
    code_version="1",
    description="The candidate beside fixed intervals, the most frequent voicing, an HMM, LightGBM and a transformer "
    "in one shot: pitches, onsets, chords, parallels, on chorales that it never saw. Open the report.",
)
def harmonizer_report(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.composing import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=shown(learning.evaluate(studio)))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[harmonizer_report],
    kinds={"onnx", "postgres"},
    code_version="1",
    description="The candidate as a registered version, with its scores, for 5 % of the owners (all, when there was "
    "none before). model_rollouts takes it from there.",
)
def harmonizer_release(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.composing import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.release(studio)))


@dg.asset(
    partitions_def=batches,
    backfill_policy=dg.BackfillPolicy.multi_run(5),
    group_name=GROUP,
    owners=OWNERS,
    deps=[uploads, harmonizer_release],
    kinds={"python", "midi"},
    code_version="1",
    description="Each melody of the batch as finished arrangements, in the results folder: MIDI files and REAPER "
    "projects, something to listen to, and a report that says why one is ranked before another.",
)
def accompaniments(context: dg.AssetExecutionContext, studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.composing import batch

    return over_batches(context, studio, batch.arrange)
