"""Model assets: corpus, training sets, candidates and releases, one pair a task.

What learns is pipelines/models; what is learned, each system's.
"""

from collections.abc import Sequence

import dagster as dg

from assets.mastering import mastering_labels
from assets.presentation import cell, page, picture, told
from assets.retrying import failures_told_apart
from pipelines.studio import Studio

GROUP = "models"
OWNERS = ["team:ml"]
MASTERING_TASKS = {  # task -> what its model says, for people who choose an asset
    "master_reg": "the settings the master chain will find (two shelves, compression, loudness)",
    "preset_cls": "the preset that suits a mix",
    "align_conf": "whether a found alignment of stems is right",
}


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "postgres"},
    code_version="1",
    description="Training items made by known changes (gain, EQ, compression, noise, cuts, lags) to the sample's "
    "real recordings, so that models have something to learn before people's own pieces suffice. It is generated, "
    "and says so.",
)
def mastering_corpus(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.mastering import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.generate_corpus(studio)))


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    deps=[mastering_corpus, mastering_labels],
    kinds={"python", "parquet"},
    code_version="1",
    description="For each task the rows that may be learned from at this moment (consent to training given and not"
    " taken back), kept as a Parquet file that the model's registry row names by its hash.",
)
def mastering_training_set(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.mastering import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.assemble(studio)))


def _candidate(task: str, says: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"{task}_candidate",
        group_name=GROUP,
        owners=OWNERS,
        deps=[mastering_training_set],
        kinds={"python", "scikitlearn", "onnx"},
        code_version="1",
        description=f"A model that says {says}: cross-validated over whole recordings, the better of a linear model "
        f"and "
        "LightGBM, exported to ONNX and held against it. Look at the learning curve: does it still rise?",
    )
    def candidate(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
        from pipelines.mastering import learning

        with failures_told_apart():
            made = learning.train(studio, task)
        metadata = told(made.summary)
        for name, png in made.pictures.items():
            metadata[name] = picture(png, f"{task} {name}")
        return dg.MaterializeResult(metadata=metadata)

    return candidate


def _release(task: str, says: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"{task}_release",
        group_name=GROUP,
        owners=OWNERS,
        deps=[f"{task}_candidate"],
        kinds={"onnx", "postgres"},
        code_version="1",
        description=f"The registered version that says {says}, and who gets it: 5 % of the users at first (all, when "
        f"there "
        "was none before). model_rollouts takes it from there.",
    )
    def release(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
        from pipelines.mastering import learning

        with failures_told_apart():
            return dg.MaterializeResult(metadata=told(learning.release(studio, task)))

    return release


@dg.asset(
    group_name="incremental",
    owners=OWNERS,
    kinds={"python", "scikitlearn", "onnx"},
    code_version="1",
    description="Linear models that learn on from the newest labels, a hundred at a time, between two weekly "
    "trainings. One that does better on held-out rows than what serves is registered and gets 5 % of the users.",
)
def incremental_models(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.mastering import learning

    with failures_told_apart():
        return dg.MaterializeResult(metadata=told(learning.learn_on(studio)))


@dg.asset(
    group_name="operation",
    owners=OWNERS,
    kinds={"postgres"},
    code_version="1",
    description="Who gets which version of each model, how it behaves over 1, 7 and 30 days, and what was decided "
    "about it: a candidate that behaves goes from 5 to 25 to 100 %, one that does not is taken back. `orimono "
    "rollout` does so by hand.",
)
def model_rollouts(studio: dg.ResourceParam[Studio]) -> dg.MaterializeResult[None]:
    from pipelines.models import overview, watching
    from pipelines.notifier import Notifier

    with failures_told_apart():
        decisions = watching.check(studio, Notifier(studio.settings, studio.database))
        metadata = told(overview.metrics(studio))
    metadata["page"] = page(studio.settings, "/models")
    metadata["decisions"] = dg.MetadataValue.md("\n".join(f"- {cell(d.sentence)}" for d in decisions) or "none")
    return dg.MaterializeResult(metadata=metadata)


def all_assets() -> Sequence[dg.AssetsDefinition]:
    made = [make(task, says) for task, says in MASTERING_TASKS.items() for make in (_candidate, _release)]
    return [mastering_corpus, mastering_training_set, *made, incremental_models, model_rollouts]
