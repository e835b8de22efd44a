"""A backfill for real: batches that an older version had been through, asked for at the command line, run by the daemon
several a run; one batch that cannot be made costs itself and is made when it can be.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.editing import batch
from pipelines.settings import Settings
from pipelines.studio import Studio
from resources import instance
from tests.assets import small_batches
from tests.dags.house import House, opened

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]

BATCHES, OLD = 44, 42
STEP = "lyrics_features"
STATE = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
PARTITIONS = """query($path: [String!]!) { assetNodes(assetKeys: [{path: $path}]) {
  partitionStats { numMaterialized numFailed numPartitions } } }"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


@pytest.fixture(scope="module")
def studio(home: Path) -> Iterator[Studio]:
    found = Studio.open(Settings(home=str(home), settle_seconds="0.05"))
    yield found
    found.database.close()


@pytest.fixture(scope="module")
def keys(studio: Studio) -> list[str]:
    """Batches that have ended, and that Dagster knows; an older version had been through all but the last two."""
    small_batches.fill(studio.settings.inbox, [f"job {number:02d}" for number in range(BATCHES)], seconds=1.0)
    found = small_batches.plan(studio, BATCHES)
    small_batches.finish(studio, found)
    small_batches.left_by_older_code(studio, found[:OLD], STEP)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in instance.prepare(studio.settings, studio.database).items():
            patch.setitem(os.environ, name, value)
        with dg.DagsterInstance.get() as dagster:
            dagster.add_dynamic_partitions("batches", found)
    return found


@pytest.fixture(scope="module")
def house(home: Path, keys: list[str]) -> Iterator[House]:
    with opened(home) as found:
        found.environment["ORIMONO_DAGSTER_URL"] = f"http://127.0.0.1:{found.port}"
        yield found


def ended(house: House, backfill: str, seconds: float = 300) -> str:
    end = time.monotonic() + seconds
    while True:
        status = "not told"
        with contextlib.suppress(OSError):  # a database that takes no connection for a moment is the webserver's 500
            status = house.ask(STATE, id=backfill)["partitionBackfillOrError"]["status"]
        if status not in ("not told", "REQUESTED", "COMPLETING", "FAILING", "CANCELING"):
            return status
        assert time.monotonic() < end, (status, house.runs(), house.log()[-6000:])
        time.sleep(1)


def runs_of(house: House, backfill: str) -> list[dict[str, Any]]:
    found = [(run, {t["key"]: t["value"] for t in run["tags"]}) for run in house.runs()]
    return [{**run, "tags": tags} for run, tags in found if tags.get("dagster/backfill") == backfill]


def test_what_older_code_made_is_made_again_and_nothing_else(house: House, studio: Studio, keys: list[str]) -> None:
    (found,) = house.orimono("stale")["steps"]
    assert (found["step"], found["batches"], found["by"]) == (STEP, keys[:OLD], ["an earlier one"])
    (lost,) = batch.load(studio, keys[5])
    assert lost.edit.lyrics is not None
    path, away = lost.edit.lyrics.path, studio.settings.home_path / "away"
    path.rename(away)

    asked = house.orimono("backfill", STEP, "--stale")
    assert asked["batches"] == keys[:OLD] and asked["page"].endswith(f"/runs/b/{asked['backfill']}")
    ended(house, asked["backfill"])
    runs = runs_of(house, asked["backfill"])
    assert sorted(run["status"] for run in runs) == ["FAILURE", "SUCCESS", "SUCCESS"]
    assert {run["tags"]["orimono/heavy"] for run in runs} == {"yes"}
    spans = {
        (run["tags"]["dagster/asset_partition_range_start"], run["tags"]["dagster/asset_partition_range_end"])
        for run in runs
    }
    assert spans == {(keys[0], keys[19]), (keys[20], keys[39]), (keys[40], keys[41])}
    (node,) = house.ask(PARTITIONS, path=[STEP])["assetNodes"]
    stats = node["partitionStats"]
    assert (stats["numMaterialized"], stats["numPartitions"]) == (OLD - 1, BATCHES)
    (left,) = house.orimono("stale")["steps"]
    assert left["batches"] == [keys[5]]

    away.rename(path)
    again = house.orimono("backfill", STEP)
    assert again["batches"] == [keys[5]]
    assert ended(house, again["backfill"]) == "COMPLETED_SUCCESS"
    assert [run["status"] for run in runs_of(house, again["backfill"])] == ["SUCCESS"]
    assert house.orimono("stale")["steps"] == []
    assert house.orimono("backfill", STEP)["batches"] == []
