"""Backfills at the command line without a Dagster that runs: the same runs and checks, in the command's own process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.editing import batch
from pipelines.settings import Settings
from pipelines.studio import Studio
from resources import instance
from serving.cli import main
from tests.assets import small_batches

pytestmark = [pytest.mark.xdist_group("backfills"), pytest.mark.timeout(420)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("ORIMONO_", "DAGSTER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ORIMONO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORIMONO_WORKERS", "1")
    monkeypatch.setenv("ORIMONO_DAGSTER_URL", "http://127.0.0.1:9")  # where nothing listens
    for name in ("DAGSTER_HOME", instance.URL_VARIABLE):  # so that it is unset again at the end
        monkeypatch.setenv(name, "set by the command")
    return tmp_path / "home"


@pytest.fixture
def studio(home: Path) -> Iterator[Studio]:
    found = Studio.open(Settings(home=str(home), settle_seconds="0.05", workers="1"))
    yield found
    found.database.close()


@pytest.fixture
def keys(studio: Studio) -> list[str]:
    small_batches.fill(studio.settings.inbox, ["a", "b", "c", "d"], seconds=4.0)
    found = small_batches.plan(studio, 4)
    small_batches.finish(studio, found)
    return found


def orimono(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_batch_that_fails_goes_no_further(
    studio: Studio, keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    small_batches.left_by_older_code(studio, [keys[0], keys[1], keys[3]], "lyrics_features")
    (lost,) = batch.load(studio, keys[1])
    assert lost.edit.lyrics is not None
    lost.edit.lyrics.path.unlink()
    wanted = [keys[0], keys[1], keys[3]]
    planned = orimono(capsys, "backfill", "lyrics_features", "--downstream", "--dry-run")
    assert planned["batches"] == wanted and planned["steps"][1] == "shared_features"

    assert orimono(capsys, "backfill", "score_jobs", "--all")["made"]["score_jobs"]["made"] == 4
    done = orimono(capsys, "backfill", "edit_patterns", "--batches", f"{keys[0]}..{keys[1]},{keys[3]}", code=1)
    assert done["made"] == {"edit_patterns": {"wanted": 3, "made": 2, "failed": 1}}
    assert len(done["errors"]) == 1 and f"1 of 2 batches failed: {keys[1]}" in done["errors"][0]
    with dg.DagsterInstance.get() as dagster:
        assert dagster.get_materialized_partitions(dg.AssetKey("edit_patterns")) == {keys[0], keys[3]}
        spans = [run.tags["dagster/asset_partition_range_start"] for run in dagster.get_runs()]
    assert spans == [keys[3], keys[0], keys[0]], "newest first: what lies apart is a run of its own"


def test_what_cannot_be_asked_for(studio: Studio, keys: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, told in (
        (["music"], "music: is not a step of a batch; choose from music_features"),
        (["score_chunks"], "`orimono retry`"),
        (["masters", "--batches", "20000101-0001"], "batch 20000101-0001: is no batch that has ended"),
        (["masters", "--batches", f"{keys[2]}..{keys[0]}"], "runs backwards"),
        (["masters", "--batches", ","], "names no batch"),
    ):
        assert told in orimono(capsys, "backfill", *arguments, code=2)["error"]["message"]
    assert orimono(capsys, "backfill", "masters")["batches"] == []
