"""Several batches in one run, by Dagster in this process: what one of them costs the others, what the checks say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import dagster as dg
import numpy as np
import pytest

from assets.partitions import FIRST, LAST
from definitions import build_defs
from pipelines import staleness
from pipelines.editing import batch, job
from pipelines.settings import Settings
from pipelines.storage.arrays import pack
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio
from tests.assets import small_batches

HEAVY = {"edit_renders", "edit_quality", "masters"}


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(replace(settings, workers="1"), database, objects, Cache(objects))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def keys(studio: Studio, instance: dg.DagsterInstance) -> list[str]:
    small_batches.fill(studio.settings.inbox, ["first", "second", "third"])
    found = small_batches.plan(studio, 3)
    small_batches.finish(studio, found)
    instance.add_dynamic_partitions("batches", found)
    return found


def run(studio: Studio, instance: dg.DagsterInstance, step: str, keys: Sequence[str]) -> dg.ExecuteInProcessResult:
    found = build_defs(resources={"studio": studio}).resolve_implicit_global_asset_job_def()
    tags = {FIRST: keys[0], LAST: keys[-1]}
    return found.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(step)], tags=tags, raise_on_error=False
    )


def made(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> dict[str | None, dict[str, object]]:
    """Of each batch that the run materialized, the metadata, as the UI reads it."""
    records = instance.get_records_for_run(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    events = [record.asset_materialization for record in records]
    return {e.partition: {name: value.value for name, value in e.metadata.items()} for e in events if e is not None}


def failure(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    said = event.step_failure_data.user_failure_data
    assert said is not None and said.description is not None
    return said.description


def of_step(step: str, studio: Studio) -> list[str]:
    return [key for one in staleness.find(studio, [step]) for key in one.batches]


def test_each_batch_of_a_run_is_told_of_on_its_own(
    studio: Studio, instance: dg.DagsterInstance, keys: list[str]
) -> None:
    result = run(studio, instance, "video_features", keys)
    assert result.success
    told = made(result, instance)
    assert set(told) == set(keys)
    assert [told[key]["items"] for key in keys] == [1, 1, 1]
    for key, name in zip(keys, ("first", "second", "third"), strict=True):
        assert f"{name}/clip.mp4" in str(told[key]["table"])
        assert "picture_1" in told[key] and "picture_2" not in told[key]
    checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert {name: check.passed for name, check in checks.items()} == {
        "every_item_done": True,
        "plausible": True,
    }


def test_a_batch_that_fails_costs_itself(studio: Studio, instance: dg.DagsterInstance, keys: list[str]) -> None:
    first, second, third = keys
    assert run(studio, instance, "video_features", keys).success
    (loaded,) = batch.load(studio, second)
    (clip,) = loaded.edit.clips
    features = job.analyse_clip(clip, studio.cache)
    stored = studio.cache.key("video", job.version_of("video_features"), clip.content_hash, {})
    studio.objects.put_named(stored, pack(replace(features, motion=features.motion * np.nan)))

    result = run(studio, instance, "video_features", keys)
    assert not result.success
    assert set(made(result, instance)) == {first, third}, "what a blocking check would stop is not materialized"
    assert f"1 of 3 batches failed: {second}: second/clip.mp4: " in failure(result)
    assert instance.get_materialized_partitions(dg.AssetKey("video_features")) == set(keys), "of the first run"


def test_files_that_are_gone_are_the_failure_of_their_batch(
    studio: Studio, instance: dg.DagsterInstance, keys: list[str]
) -> None:
    """The object store lost a file: what no item's step can tell, for the batch cannot even be loaded."""
    (lost,) = batch.load(studio, keys[0])
    lost.edit.clips[0].path.unlink()
    result = run(studio, instance, "video_features", keys)
    assert not result.success
    assert set(made(result, instance)) == set(keys[1:])
    assert f"1 of 3 batches failed: {keys[0]}: " in failure(result)


def test_checks_name_the_batch_of_what_they_found(
    studio: Studio, instance: dg.DagsterInstance, keys: list[str]
) -> None:
    small_batches.fill(studio.settings.inbox, ["fourth"], first=3)
    broken = "  - {file: broken.mp4, kind: clip}\nedit:"
    (studio.settings.inbox / "fourth" / "broken.mp4").write_bytes(b"no video at all")
    (studio.settings.inbox / "fourth" / "job.yaml").write_text(small_batches.JOB.replace("edit:", broken))
    (key,) = small_batches.plan(studio, 1)
    instance.add_dynamic_partitions("batches", [key])
    result = run(studio, instance, "uploads", [keys[-1], key])
    assert result.success and set(made(result, instance)) == {keys[-1], key}
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed and str(check.description).startswith(f"{key}: fourth/broken.mp4")


def test_only_what_older_code_made_is_made_again(
    studio: Studio, instance: dg.DagsterInstance, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("pipelines.video.analysis.VERSION", "an earlier one")
        for key in keys[:2]:
            batch.analyse_clips(studio, key)
    batch.analyse_clips(studio, keys[2])
    (found,) = staleness.find(studio)
    assert (found.step, found.batches, found.items) == ("video_features", tuple(keys[:2]), 2)
    assert (found.version, found.by) == (job.version_of("video_features"), ("an earlier one",))

    told = made(run(studio, instance, "video_features", keys), instance)
    assert [told[key]["computed"] for key in keys] == [1, 1, 0]
    assert staleness.find(studio) == []


def test_what_cannot_be_made_again_is_not_stale(
    studio: Studio, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("pipelines.video.analysis.VERSION", "an earlier one")
        for key in keys:
            batch.analyse_clips(studio, key)
    assert of_step("video_features", studio) == keys
    expire = "update uploads set status = 'expired', object_key = null where name = 'clip.mp4' and job_id = 1"
    run_sql(studio, expire)
    run_sql(studio, f"update batches set pruned_at = now() where key = '{keys[1]}'")
    assert of_step("video_features", studio) == [keys[2]]
    run_sql(studio, f"update batches set status = 'requested' where key = '{keys[2]}'")
    assert of_step("video_features", studio) == []


def run_sql(studio: Studio, statement: str) -> None:
    from sqlalchemy import text

    with studio.database.session() as session:
        session.execute(text(statement))


def test_every_step_of_a_batch_has_a_policy_that_fits() -> None:
    graph = build_defs().resolve_asset_graph()
    steps = {
        key.to_user_string(): node
        for key in graph.get_all_asset_keys()
        for node in [graph.get(key)]
        if getattr(node.partitions_def, "name", None) == "batches"
    }
    assert set(steps) == {"uploads", *staleness.STEPS}
    for name, node in steps.items():
        assert node.backfill_policy is not None, name
        most = node.backfill_policy.max_partitions_per_run
        assert most is not None and (most == 1) == (name in HEAVY), name
        parents = {k.to_user_string() for k in node.parent_keys} & (set(steps) - {"uploads"})
        assert parents == set(staleness.named(name).reads if name != "uploads" else ())
        # Of equal policies Dagster makes one run, in which one bad batch would hold up what follows of all the others.
        for parent in parents:
            assert most == 1 or steps[parent].backfill_policy != node.backfill_policy, (parent, name)


def test_what_follows_a_step() -> None:
    assert staleness.downstream("lyrics_features") == (
        "lyrics_features",
        "shared_features",
        "edit_patterns",
        "edit_renders",
        "edit_quality",
    )
    assert staleness.downstream("waveforms") == ("waveforms",)
