"""Sheets in the house for real: a job with a sheet in the inbox, its chunks asked for by the sensor, one made to fail;
only that one runs again, and the sheet's state tells the truth all the while."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dags.house import House, opened
from tests.scoring.llm_server import LLM, Behaviour, expected, serve

pytestmark = [pytest.mark.xdist_group("daemon"), pytest.mark.timeout(420)]

CATEGORIES = ("joy", "anger")
ROWS, STUMBLES = 1_500, 700  # the row that the model cannot be asked about, in the second of three chunks


@pytest.fixture(scope="module")
def server() -> Iterator[LLM]:
    with serve(Behaviour(latency=0.002, fail="stumble")) as found:
        yield found


@pytest.fixture(scope="module")
def house(server: LLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    extra = {"ORIMONO_OPENAI_BASE_URL": server.url, "ORIMONO_SCORE_PROVIDER": "openai", "ORIMONO_SCORE_MODEL": "m"}
    with opened(tmp_path_factory.mktemp("house"), extra) as found:
        yield found


def job(folder: Path) -> Path:
    folder.mkdir()
    with (folder / "opinions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "utterance"])
        writer.writerows([n, f"opinion {n}{' stumble' * (n == STUMBLES)}"] for n in range(ROWS))
    wish = f"score: {{categories: [{', '.join(CATEGORIES)}]}}"
    text = f"owner: tester@example.com\nfiles: [{{file: opinions.csv, kind: sheet}}]\n{wish}\n"
    (folder / "job.yaml").write_text(text, encoding="utf-8")
    return folder


def sheets(house: House) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = house.orimono("status")["sheets"]
    return found


def until(condition: Callable[[], Any], house: House, seconds: float = 150) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, (sheets(house), house.log()[-6000:])
        time.sleep(0.5)
    return found


def test_only_the_chunk_that_failed_runs_again(house: House, server: LLM, tmp_path: Path) -> None:
    house.orimono("ingest", str(job(tmp_path / "opinions")))
    until(lambda: any(s["rows"] == ROWS - 1 for s in sheets(house)), house)
    (state,) = sheets(house)
    assert state["of"] == ROWS and state["status"] in ("running", "partly failed")
    seen = until(lambda: next((s for s in sheets(house) if s["status"] == "partly failed"), None), house)
    assert seen["chunks"] == {"finished": 2, "failed": 1} and len(seen["failed"]) == 1 and seen["rows"] == ROWS - 1
    out = house.home / "results" / "opinions" / "opinions.scored.csv"
    assert not out.exists()

    server.behaviour.fail = ""
    until(out.exists, house)
    until(lambda: sheets(house) == [], house)  # nothing is left to say
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == ROWS
    for row in rows:
        found = {category: int(row[category]) for category in CATEGORIES}
        assert found == expected(row["utterance"], CATEGORIES)
    assert set(server.asked.values()) == {1}  # nobody was asked twice

    runs = [r for r in house.runs() if r["jobName"] == "scoring_chunks"][::-1]
    tags = [{t["key"]: t["value"] for t in r["tags"]} for r in runs]
    first = tags[0]["dagster/asset_partition_range_start"], tags[0]["dagster/asset_partition_range_end"]
    assert [part.rpartition("-")[2] for part in first] == ["0001", "0003"]
    assert {t["dagster/partition"].rpartition("-")[2] for t in tags[1:]} == {"0002"}
    assert runs[0]["status"] == "FAILURE" and runs[-1]["status"] == "SUCCESS"
    query = """{assetNodes(assetKeys: [{path: ["score_chunks"]}])
      {partitionStats {numMaterialized numFailed numPartitions}}}"""
    (node,) = house.ask(query)["assetNodes"]
    assert node["partitionStats"] == {"numMaterialized": 3, "numFailed": 0, "numPartitions": 3}
