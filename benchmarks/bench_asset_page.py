"""An asset's page in the Dagster UI with a thousand partitions, each with the table and pictures that a batch leaves.

In Chromium, from the address to the partitions' bar with its counts, and over GraphQL, question by question.
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks import feature_house, small_uploads
from benchmarks.measure import Figure, write
from pipelines.settings import Settings
from pipelines.storage import embedded
from pipelines.studio import Studio

PARTITIONS = 1000
ASSETS = ("uploads", "music_features", "video_features")
LOOKED_AT = "music_features"
VIEWS = ("overview", "partitions", "events")
PICTURES = 4


def run(partitions: int = PARTITIONS) -> dict[str, Figure]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        studio = Studio.open(Settings(home=folder))
        try:
            with feature_house.instance(studio) as instance:
                _fill(instance, studio, partitions)
            port = _free_port()
            arguments = ("--host", "127.0.0.1", "--port", str(port))
            with feature_house.opened(home, "dagster-webserver", *arguments, module="definitions"):
                address = f"http://127.0.0.1:{port}"
                _awake(address)
                return {**_in_chromium(address), **_over_graphql(address, partitions)}
        finally:
            studio.database.close()
            embedded.stop(home, force=True)


def _fill(instance: dg.DagsterInstance, studio: Studio, partitions: int) -> None:
    """Partitions, and a materialization of each with what `describe` says of a batch."""
    from assets.partitions import batches
    from assets.presentation import describe

    assert batches.name is not None
    keys = [f"20261121-{number:04d}" for number in range(1, partitions + 1)]
    instance.add_dynamic_partitions(batches.name, keys)
    results = list(_analysed(studio))
    told = [describe(results[shift:] + results[:shift]) for shift in range(len(results))]
    for number, key in enumerate(keys):
        metadata = told[number % len(told)]
        for asset in ASSETS:
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=key, metadata=metadata))
        if number % 100 == 0:
            print(f"{number} partitions", file=sys.stderr, flush=True)


def _analysed(studio: Studio) -> Iterator[Any]:
    from pipelines.editing import steps
    from pipelines.items import Item, Result
    from pipelines.media.files import MediaFile
    from pipelines.media.hashing import content_hash

    for number in range(2 * PICTURES):
        path = studio.settings.home_path / f"song{number}.mp3"
        path.write_bytes(small_uploads.song(number))
        file = MediaFile(path, content_hash(path), path.name, ())
        produced = steps.analyse_music(studio.settings, studio.cache, steps.Song(file, None))
        yield Result(Item(path.name, file.content_hash, None), produced, None, 0.2)


def _in_chromium(address: str) -> dict[str, Figure]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        return {}
    flags = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    seconds: dict[str, list[float]] = {view: [] for view in VIEWS}
    asked: dict[str, list[float]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.on("requestfinished", lambda request: _note(request, asked))
        for _ in range(4):  # the first fetches and compiles the UI itself, as any first visit does
            for view in VIEWS:
                start = time.monotonic()
                page.goto(f"{address}/assets/{LOOKED_AT}?view={view}")
                page.get_by_text("20261121-").first.wait_for(timeout=120_000)
                seconds[view].append(time.monotonic() - start)
                page.wait_for_load_state("networkidle")
        browser.close()
    for operation, times in sorted(asked.items(), key=lambda item: -max(item[1])):
        print(f"{operation}: {statistics.median(times):.0f} ms, {max(times):.0f} at most", file=sys.stderr)
    note = "to the names of partitions on it, the UI's code being in the browser's cache"
    return {
        f"{view}_page_s": Figure(statistics.median(times[1:]), "s", at_most=2, note=note)
        for view, times in seconds.items()
    } | {"first_visit_s": Figure(seconds[VIEWS[0]][0], "s", note="with the UI's code")}


def _note(request: Any, asked: dict[str, list[float]]) -> None:
    if "/graphql" in request.url and request.post_data:
        name = json.loads(request.post_data).get("operationName", "?")
        asked.setdefault(name, []).append(request.timing["responseEnd"])


def _over_graphql(address: str, partitions: int) -> dict[str, Figure]:
    query = """query($path: [String!]!) { assetNodeOrError(assetKey: {path: $path}) { ... on AssetNode {
      partitionKeys assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions } }
      partitionStats { numPartitions numMaterialized numFailed }
      assetMaterializations(limit: 1) { partition timestamp } } } }"""
    times = []
    for _ in range(5):
        start = time.monotonic()
        node = _ask(address, query, path=[LOOKED_AT])["assetNodeOrError"]
        times.append(time.monotonic() - start)
        assert node["partitionStats"]["numMaterialized"] == partitions, node["partitionStats"]
    return {"graphql_partitions_s": Figure(statistics.median(times), "s", at_most=2, note=f"{partitions} partitions")}


def _ask(address: str, query: str, **variables: Any) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    assert "errors" not in found, found
    data: dict[str, Any] = found["data"]
    return data


def _awake(address: str) -> None:
    end = time.monotonic() + 300
    while True:
        try:
            _ask(address, "{version}")
            return
        except OSError:
            assert time.monotonic() < end, "the webserver does not answer"
            time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    write("asset_page", run(*(int(count) for count in sys.argv[1:2])))
