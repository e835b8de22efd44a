"""Many machines: features of clips on two Ray nodes of one processor each against one, and what an item costs there."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

from benchmarks.bench_corpus import SEED, describe, wall_seconds
from benchmarks.measure import Figure, write
from pipelines import items
from pipelines.compute import cluster as connection
from pipelines.items import Item, Produced
from pipelines.mastering import recipes
from pipelines.mastering.recipes import Mix
from pipelines.settings import Settings
from pipelines.storage.cache import Cache

CLIPS, BLOCKS = 60, 5
WARM = 16
AWS = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "us-east-1"}


def nothing(settings: Settings, cache: Cache, payload: int) -> Produced:
    return Produced(stored=True)


def clips(n: int) -> list[Item[Mix]]:
    found = recipes.recordings(recipes.sample_sources())
    mixes = (recipe for i in range(4 * n) if isinstance(recipe := recipes.draw(SEED, i, found), Mix))
    return [Item(str(i), str(i), recipe) for i, recipe in zip(range(n), mixes, strict=False)]


def seconds_a_clip(settings: Settings, work: list[Item[Mix]]) -> float:
    """Median of the blocks, after what starts processes and decodes sources."""
    items.run(settings, work[:WARM], describe)
    found = []
    for start in range(0, len(work), CLIPS):
        block = work[start : start + CLIPS]
        found.append(wall_seconds(lambda block=block: items.run(settings, block, describe)) / len(block))
        print(f"{found[-1] * 1e3:.0f} ms a clip", file=sys.stderr, flush=True)
    return statistics.median(found)


def run() -> dict[str, Figure]:
    from moto.server import ThreadedMotoServer

    from tests.compute.ray_cluster import cluster

    os.environ |= AWS
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/studio", method="PUT"), timeout=10):
        pass
    folder = Path(tempfile.mkdtemp(prefix="orimono-ray-"))
    work = clips(CLIPS * BLOCKS)
    try:
        with cluster(folder / "c", nodes=1, **AWS) as running:
            settings = Settings(
                home=str(folder / "home"), objects_url="s3://studio", s3_endpoint=endpoint, compute=running.address
            )
            one = seconds_a_clip(settings, work)
            running.add()
            time.sleep(2)
            two = seconds_a_clip(settings, work)
            empty = [Item(str(i), str(i), i) for i in range(500)]
            items.run(settings, empty[:20], nothing)
            each = wall_seconds(lambda: items.run(settings, empty, nothing)) / len(empty)
            connection.disconnect()
            loky = replace(settings, compute="local", workers="2")
            here = seconds_a_clip(loky, work)
    finally:
        connection.disconnect()
        store.stop()
    note = f"features of {CLIPS * BLOCKS} clips of 8 to 9 s by items.run, objects over S3; one processor a node"
    return {
        "features_two_nodes_over_one": Figure(one / two, "x", at_least=1.7, note=note),
        "features_on_two_nodes": Figure(1 / two, "clips/s", note=note),
        "features_on_two_local_processes": Figure(1 / here, "clips/s", note="the same clips by loky"),
        "an_item_over_ray": Figure(each * 1e3, "ms", note="500 items that do nothing, on two nodes: sent and answered"),
    }


if __name__ == "__main__":
    from benchmarks import bench_compute  # nodes know a function by its module's name

    results = bench_compute.run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}")
    write("compute", results)
