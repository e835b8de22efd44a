"""The assets of a batch, run by Dagster in this process over real media, a real database and a real object store."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

from definitions import build_defs
from pipelines.editing import batch, job
from pipelines.intake import batches, scan
from pipelines.settings import Settings
from pipelines.storage.arrays import pack
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

MEDIA = Path(__file__).resolve().parents[2] / "sample" / "media"
ANALYSIS = ["uploads", "music_features", "video_features", "lyrics_features"]


@pytest.fixture
def studio(settings: Settings, database: Database, objects: Objects) -> Studio:
    return Studio(replace(settings, workers="1"), database, objects, Cache(objects))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def make_batch(studio: Studio, folder: Path, clips: Sequence[str]) -> str:
    """A job of one short song, these clips (a name that is no sample is a broken file) and some words."""
    folder.mkdir()
    shutil.copy(MEDIA / "vibe_ace.ogg", folder)
    for name in clips:
        if (MEDIA / name).exists():
            shutil.copy(MEDIA / name, folder)
        else:
            (folder / name).write_bytes((MEDIA / "big_buck_bunny_5s.mp4").read_bytes()[:40_000])
    (folder / "words.lrc").write_text("[00:01.00]Spring has come\n")
    listed = "".join(f"  - {{file: {name}, kind: clip, tags: [meadow]}}\n" for name in clips)
    (folder / "job.yaml").write_text(
        "owner: tester\nfiles:\n  - {file: vibe_ace.ogg, kind: music}\n  - {file: words.lrc, kind: lyrics}\n"
        f"{listed}edit: {{duration: 6, fps: 25, patterns: [dynamic, narrative]}}\n"
    )
    # By hand, as a person copies: `orimono ingest` would refuse the broken file at once.
    shutil.copytree(folder, studio.settings.inbox / folder.name)
    (studio.settings.inbox / folder.name / "_COMPLETE").touch()
    time.sleep(studio.settings.number("settle_seconds") * 2)
    report = scan.scan(studio.settings.inbox, studio.database, studio.objects, studio.settings)
    assert report.new == [folder.name], report
    with studio.database.session() as session:
        (made,) = batches.plan_batches(session)
    return made.key


def materialize(
    studio: Studio, instance: dg.DagsterInstance, key: str, names: Sequence[str]
) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions("batches", [key])
    definitions = build_defs(resources={"studio": studio})
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        partition_key=key,
        asset_selection=[dg.AssetKey(n) for n in names],
        raise_on_error=False,
    )


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    return {
        e.asset_key.to_user_string(): {k: v.value for k, v in e.materialization.metadata.items()}
        for e in result.get_asset_materialization_events()
        if e.asset_key
    }


def failed_checks(result: dg.ExecuteInProcessResult) -> dict[str, str | None]:
    return {
        f"{e.asset_key.to_user_string()}.{e.check_name}": e.description
        for e in result.get_asset_check_evaluations()
        if not e.passed
    }


CLIPS = ("big_buck_bunny_0_30.webm", "big_buck_bunny_5s.mp4")


def test_a_batch_becomes_plans_and_a_second_run_computes_nothing(
    studio: Studio, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    key = make_batch(studio, tmp_path / "a song", CLIPS)
    names = [*ANALYSIS, "shared_features", "edit_patterns"]
    first = materialize(studio, instance, key, names)
    assert first.success
    assert failed_checks(first) == {}
    made = materialized(first)
    assert {n: made[n]["items"] for n in names} == dict(zip(names, [4, 1, 2, 1, 1, 1], strict=True))
    assert all("data:image/webp;base64," in str(made[n]["picture_1"]) for n in (*ANALYSIS[1:], "edit_patterns"))
    assert list((studio.settings.home_path / "data_docs").glob(f"*/{key}/index.html"))

    again = materialized(materialize(studio, instance, key, names))
    assert {n: again[n]["computed"] for n in names} == dict.fromkeys(names, 0)


def test_implausible_features_go_no_further(studio: Studio, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    key = make_batch(studio, tmp_path / "song", CLIPS)
    assert materialize(studio, instance, key, ANALYSIS).success
    (loaded,) = batch.load(studio, key)
    features = job.music_features(loaded.edit, studio.cache)
    stored = studio.cache.key("music", job.version_of("music_features"), loaded.edit.music.content_hash, {"bpm": None})
    studio.objects.put_named(stored, pack(replace(features, bpm=-7.0, energy=np.full(5, np.nan, np.float32))))

    result = materialize(studio, instance, key, ["music_features", "shared_features", "edit_patterns"])
    assert not result.success
    assert list(materialized(result)) == ["music_features"]
    assert "BPM -7.0 is outside" in str(failed_checks(result)["music_features.plausible"])


def test_a_broken_clip_is_left_out_and_told(studio: Studio, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    key = make_batch(studio, tmp_path / "song", [*CLIPS, "壊れた clip.mp4"])
    names = [*ANALYSIS, "shared_features", "edit_patterns"]
    result = materialize(studio, instance, key, names)
    assert result.success
    told = failed_checks(result)
    assert set(told) <= {"uploads.every_upload_good", "video_features.every_item_done"}
    assert told
    assert all("壊れた clip.mp4" in str(d) for d in told.values())
    assert materialized(result)["edit_patterns"]["failed"] == 0
