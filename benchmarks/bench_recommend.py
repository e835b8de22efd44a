"""Lists: how long one takes with 500 decisions behind it, how many of the true best it holds, a thousand at once, the
memory of the process that makes them.

The catalogue is made up (made_up_studio.py). The user tower has the product's size (its hidden layers count for nothing
here, and are computed all the same).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.made_up_studio import DECISIONS, NOW, VIEWERS, filled, histories, ids_of, model, tables, vectors_of
from benchmarks.measure import Figure, write
from pipelines.recommending.answers import Recommendations
from pipelines.recommending.serving import LiveRecommender
from pipelines.settings import Settings
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

SIZES = (32_304, 200_000)
CALLS = 400
SETTLE_S = 5  # for the database to write what was loaded
TARGET = "500 decisions, 20 places, reasons; tower, search and all reads of the database"


def recall(
    found: Recommendations, vectors: NDArray[np.float32], vector: NDArray[np.float32], seen: NDArray[np.int64]
) -> float:
    scores = vectors @ vector
    scores[seen] = -np.inf
    best = set(np.argpartition(-scores, 20)[:20].tolist())
    return len(best & {int(item.external_id) for item in found.items}) / 20


def figures_of(n: int, home: str) -> Iterator[tuple[str, Figure]]:
    """By a process of its own, whose memory is what serving takes."""
    settings = Settings(home=home)
    objects = Objects.open(settings)
    studio = Studio(settings, Database(settings), objects, Cache(objects))
    people = [str(one) for one in ids_of(VIEWERS, "viewer")]
    start = time.perf_counter()
    with LiveRecommender(studio, timeout_s=5.0) as asked:
        asked.recommend(people[0])
        yield "first_list", Figure(time.perf_counter() - start, "s", note="from nothing; PostgreSQL searches")
        asked.refresh()
        yield "in_memory", Figure(time.perf_counter() - start, "s", note="after which this process searches")
        taken, lists = [], []
        for call in range(-40, CALLS):
            begun = time.perf_counter()
            found = asked.recommend(people[call % VIEWERS])
            taken.append((time.perf_counter() - begun) * 1e3)
            if call >= 0:
                lists.append(found)
        taken = taken[40:]
        assert all(found.path == "tower" and len(found.items) == 20 for found in lists)
        p50, p95, p99 = np.quantile(taken, [0.5, 0.95, 0.99])
        yield "p50", Figure(float(p50), "ms", at_most=10, note=TARGET)
        yield "p95", Figure(float(p95), "ms")
        yield "p99", Figure(float(p99), "ms", at_most=30)
        single = CALLS / (sum(taken) / 1e3)
        yield "single_rate", Figure(single, "lists/s", note="one after the other, one thread")
        wish = {"diversity": 0.3, "exploration": 0.2, "genres": ["drama", "music"]}
        more = []
        for call in range(100):
            begun = time.perf_counter()
            asked.recommend(people[call], seed=1, **wish)  # type: ignore[arg-type]
            more.append((time.perf_counter() - begun) * 1e3)
        yield "p50_with_every_wish", Figure(float(np.median(more)), "ms", note="genres, diversity, exploration")
        rates = []
        for _ in range(3):
            begun = time.perf_counter()
            many = asked.recommend_many(people)
            rates.append(VIEWERS / (time.perf_counter() - begun))
        assert all(found.path == "table" and len(found.items) == 20 for found in many)
        rate = float(np.median(rates))
        yield "batch_rate", Figure(rate, "lists/s", note=f"{VIEWERS} viewers at once, each with 500 decisions")
        yield "batch_to_single", Figure(rate / single, "times", at_least=10)
        fresh = []
        for call in range(50):
            begun = time.perf_counter()
            asked.decide(people[call], lists[call].items[0].external_id, "like")
            asked.recommend(people[call])
            fresh.append((time.perf_counter() - begun) * 1e3)
        yield "decide_to_next_list", Figure(float(np.median(fresh)), "ms", note="p50, decided and listed")
        begun = time.perf_counter()
        mixed = asked.recommend_many(people)
        rate = VIEWERS / (time.perf_counter() - begun)
        assert sum(found.path == "tower" for found in mixed) == 50
        yield "batch_rate_some_by_tower", Figure(rate, "lists/s", note="50 of the 1,000 have just decided something")
    status = Path("/proc/self/status").read_text().splitlines()
    rss = next(line for line in status if line.startswith("VmHWM")).split()[1]
    yield "peak_memory", Figure(int(rss) / 1024, "MB", at_most=1024, note="of the process that serves")
    assert "tensorflow" not in sys.modules
    made = model(n, [str(one) for one in ids_of(n, "video")])
    vectors = vectors_of(made.table, tables(n)[1])
    found_share, shares_of_many = [], []
    for viewer, history in enumerate(histories(n)[:CALLS]):
        names = [made.item_ids[i] for i in history]
        times = np.array([int(NOW.timestamp()) - 3600 * (DECISIONS - back) for back in range(DECISIONS)])
        wanted = np.arange(DECISIONS) % 4 != 3
        x = made.user_input_of(names, times, np.full(DECISIONS, np.nan, np.float32), wanted)
        vector = made.user_vectors(x[None])[0]
        found_share.append(recall(lists[viewer], vectors, vector, history))
        shares_of_many.append(recall(many[viewer], vectors, vector, history))
    every = "against every dot product"
    yield "recall_at_20", Figure(float(np.mean(found_share)), "share", at_least=0.99, note=every)
    yield "batch_recall_at_20", Figure(float(np.mean(shares_of_many)), "share", at_least=0.99, note=every)


def run() -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for n in SIZES:
        with tempfile.TemporaryDirectory(prefix="orimono-bench-") as home:
            studio = Studio.open(Settings(home=home))
            try:
                filled(studio, n)
                time.sleep(SETTLE_S)
                load = os.getloadavg()[0]
                note = "of the machine's last minute, which filling alone brings to about 1.5: beyond it was busy"
                figures[f"load_average_{n}"] = Figure(load, "processes", note=note)
                code = f"from benchmarks.bench_recommend import served; served({n}, {home!r})"
                out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            finally:
                studio.database.close()
            for line in out.stdout.splitlines():
                name, value, unit, at_most, at_least, note = line.split("|")
                bounds = (float(at_most) if at_most else None, float(at_least) if at_least else None)
                figures[f"{name}_{n}"] = Figure(float(value), unit, *bounds, note)
    return figures


def served(n: int, home: str) -> None:
    for name, f in figures_of(n, home):
        bounds = ["" if bound is None else str(bound) for bound in (f.at_most, f.at_least)]
        print("|".join([name, str(f.value), f.unit, *bounds, f.note]), flush=True)


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}", file=sys.stderr)
    write("recommend", results)
