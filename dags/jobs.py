"""Jobs: which assets a run makes. When it runs is cadences.py's and sensors.py's."""

from __future__ import annotations

import dagster as dg

# Work that fills all cores: such runs wait for each other (see resources/instance.py), while watching goes on beside.
HEAVY = {"orimono/heavy": "yes"}

batch = dg.define_asset_job(
    "batch",
    selection=dg.AssetSelection.groups("intake", "analysis", "editing", "mastering")
    | dg.AssetSelection.assets("decisions", "score_jobs", "accompaniments"),
    tags=HEAVY,
    description="A batch of jobs from uploads to finished, judged edits and masters, arranged melodies, "
    "decisions that are kept, and sheets that are cut into chunks.",
)
partial_fit = dg.define_asset_job(
    "partial_fit",
    selection=dg.AssetSelection.assets("incremental_models"),
    tags=HEAVY,
    description="Models that learn on from the newest labels, between two weekly trainings.",
)
recommending = dg.define_asset_job(
    "recommending",
    selection=dg.AssetSelection.groups("recommending"),
    tags=HEAVY,
    description="From the decisions of a batch to lists for every viewer in one run: features, training, evaluation, "
    "embeddings, recommendations.",
)
composing = dg.define_asset_job(
    "composing",
    selection=dg.AssetSelection.assets("harmonizer_release").upstream(),
    tags=HEAVY,
    description="A harmonizer from the chorales: corpus, training, evaluation, release.",
)
scoring_chunks = dg.define_asset_job(
    "scoring_chunks",
    selection=dg.AssetSelection.assets("score_chunks"),
    description="Chunks of a sheet, 500 rows each, asked of a model. The sensor score_chunks_due asks for these runs.",
)
scoring_sheets = dg.define_asset_job(
    "scoring_sheets",
    selection=dg.AssetSelection.assets("scored_sheets"),
    description="The sheets of a batch, written when every chunk has ended.",
)
