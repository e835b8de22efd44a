"""Decisions to lists as one Dagster run: the job `recommending`, over a batch of a small world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from definitions import build_defs
from pipelines.recommending import learning
from pipelines.recommending.people import viewer_id
from pipelines.storage import recommended
from pipelines.studio import Studio
from tests.recommending import house, series
from tests.recommending.conftest import studio as studio

pytestmark = [pytest.mark.xdist_group("towers"), pytest.mark.timeout(600)]

ASSETS = {
    *("decisions", "interactions", "recommendation_features", "two_tower_candidate", "recommendation_report"),
    *("two_tower_release", "user_embeddings", "video_embeddings", "two_tower_rollout", "recommendations"),
}


def run(studio: Studio, instance: dg.DagsterInstance, job: str, key: str | None = None) -> dg.ExecuteInProcessResult:
    definitions = build_defs(resources={"studio": dg.ResourceDefinition.hardcoded_resource(studio)})
    if key is not None:
        instance.add_dynamic_partitions("batches", [key])
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key=key, run_config=quiet, raise_on_error=False
    )


def test_from_decisions_to_lists_in_one_run(studio: Studio, tmp_path: Path) -> None:
    studio = replace(studio, settings=replace(studio.settings, workers="1"))
    key = house.take(studio, series.job(tmp_path / "series"))
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(studio, instance, "recommending", key)
        assert done.success
        made = {e.asset_key.to_user_string(): e for e in done.get_asset_materialization_events() if e.asset_key}
        assert set(made) == ASSETS
        checks = {e.check_name: e.passed for e in done.get_asset_check_evaluations()}
        assert all(checks.values()), checks
        assert {"fit_to_learn_from", "may_be_rolled_out", "as_the_model_says", "lists_hold"} <= set(checks)
        told = made["recommendation_report"].materialization.metadata
        assert told["leave_last_out_ndcg_at_20"].value > 0.3  # type: ignore[operator]
        assert Path(str(told["report"].value)).is_file()
        assert made["two_tower_rollout"].materialization.metadata["stage"].value == 100
    with studio.database.session() as session:
        assert len(recommended.of_viewer(session, viewer_id("viewer 0"))) == learning.LENGTH


def test_a_studio_without_decisions_trains_what_it_has(studio: Studio) -> None:
    """The weekly run ends well where nobody decided anything: what is behind `interactions` is left out."""
    behind = [dg.AssetKey(name) for name in ("interactions", "recommendation_features", "two_tower_candidate")]
    definitions = build_defs(resources={"studio": dg.ResourceDefinition.hardcoded_resource(studio)})
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, asset_selection=behind, raise_on_error=False)
        assert done.success
        assert done.get_asset_materialization_events() == []
