"""Lists: how long one takes with 500 decisions behind it, how many of the true best it holds, a thousand at once, the
memory of the process that makes them.

The catalogue is made up: videos in clusters whose vectors lie near each other, as those of trained towers do, and
viewers who decided about videos of a few clusters, so that what they have seen is what is nearest to them. The user
tower has the product's size (its hidden layers count for nothing here, and are computed all the same).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.measure import Figure, write
from pipelines import clock
from pipelines.models import registry, rollout
from pipelines.recommending import dataset
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.item_features import ItemEncoder
from pipelines.recommending.moments import Moments
from pipelines.recommending.recipe import DIMS, Recipe
from pipelines.recommending.serving import LiveRecommender, Recommendations
from pipelines.recommending.two_tower import TwoTower
from pipelines.recommending.user_features import UserEncoder
from pipelines.recommending.viewers import Viewers
from pipelines.settings import Settings
from pipelines.storage import embedding_loads, embedding_rows, embedding_sets
from pipelines.storage.cache import Cache
from pipelines.storage.database import Database
from pipelines.storage.objects import Objects
from pipelines.studio import Studio

SIZES = (32_304, 200_000)
VIEWERS, DECISIONS = 1000, 500
WIDTH = 192  # of a video's row in the model
CLUSTERS = 300
GENRES = ("action", "comedy", "drama", "documentary", "horror", "music", "romance", "science fiction")
NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
CALLS = 400
TARGET = "500 decisions, 20 places, reasons; tower, search and all reads of the database"


def ids_of(n: int, of: str) -> list[uuid.UUID]:
    return [uuid.UUID(bytes=hashlib.md5(f"{of} {i}".encode()).digest()) for i in range(n)]


def tables(n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(rows of the videos [n, WIDTH], matrix [WIDTH, 768])."""
    rng = np.random.default_rng(1)
    spectrum = np.linspace(1, 0.15, WIDTH)
    centres = rng.normal(0, 1, (CLUSTERS, WIDTH)) * spectrum
    rows = centres[np.arange(n) % CLUSTERS] + 0.7 * rng.normal(0, 1, (n, WIDTH)) * spectrum
    rows[:, 0] += 6  # what all have in common: two videos' vectors have a cosine of about .4
    return np.asarray(rows, np.float32), (rng.normal(0, 1, (WIDTH, DIMS)) / np.sqrt(DIMS)).astype(np.float32)


def vectors_of(rows: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    found = rows @ matrix
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def user_tower(d: int, pools: int, matrix: NDArray[np.float32]) -> bytes:
    """The mean of the pools through ``matrix``, and layers of the product's size that add nothing."""
    rng = np.random.default_rng(2)
    w = np.zeros((d, DIMS), np.float32)
    for pool in range(pools):
        w[pool * WIDTH : (pool + 1) * WIDTH] = matrix / pools
    constants = {
        "w": w,
        "a": rng.normal(0, 0.01, (d, 512)),
        "b": rng.normal(0, 0.01, (512, 256)),
        "c": np.zeros((256, DIMS)),
    }
    nodes = [
        helper.make_node("MatMul", ["features", "a"], ["h1"]),
        helper.make_node("Relu", ["h1"], ["r1"]),
        helper.make_node("MatMul", ["r1", "b"], ["h2"]),
        helper.make_node("Relu", ["h2"], ["r2"]),
        helper.make_node("MatMul", ["r2", "c"], ["nothing"]),
        helper.make_node("MatMul", ["features", "w"], ["carried"]),
        helper.make_node("Add", ["carried", "nothing"], ["sum"]),
        helper.make_node("LpNormalization", ["sum"], ["outputs"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", d])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["n", DIMS])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def histories(n: int) -> NDArray[np.int64]:
    """[VIEWERS, DECISIONS] videos, none twice a viewer, oldest first: nine of ten from six clusters."""
    rng = np.random.default_rng(3)
    found = np.empty((VIEWERS, DECISIONS), np.int64)
    for viewer in range(VIEWERS):
        mine = rng.permutation(CLUSTERS)[:6]
        near = rng.choice(mine, 4 * DECISIONS) + CLUSTERS * rng.integers(0, n // CLUSTERS, 4 * DECISIONS)
        far = rng.integers(0, n, 4 * DECISIONS)
        picked = np.where(rng.random(4 * DECISIONS) < 0.9, near, far)
        _, first = np.unique(picked, return_index=True)
        kept = picked[np.sort(first)]
        if len(kept) < DECISIONS:
            kept = np.concatenate([kept, np.setdiff1d(rng.permutation(n)[: 4 * DECISIONS], kept)])
        found[viewer] = kept[:DECISIONS]
    return found


def model(n: int, names: list[str]) -> TwoTower:
    import pandas as pd

    rng = np.random.default_rng(4)
    genres = [[GENRES[(i % CLUSTERS) % len(GENRES)]] for i in range(n)]
    frame = pd.DataFrame({"item_id": names, "title": [f"Title {i}" for i in range(n)], "genres": genres})
    m = 20_000
    events = Interactions(
        users=np.sort(rng.integers(0, 200, m)).astype(np.int32),
        items=rng.integers(0, n, m).astype(np.int32),
        times=np.sort(rng.integers(1_700_000_000, 1_790_000_000, m)),
        ratings=np.full(m, np.nan, np.float32),
        wanted=np.ones(m, np.bool_),
        user_ids=np.array([str(i) for i in range(200)]),
        item_ids=np.array(names),
    )
    recipe = Recipe()
    rows, matrix = tables(n)
    viewers = Viewers(
        UserEncoder.fit(events, frame), Moments(1_700_000_000, 1_790_000_000), recipe.taus, recipe.window, False
    )
    d = viewers.n_pools * WIDTH + len(viewers.names)
    onnx = user_tower(d, viewers.n_pools, matrix)
    items = ItemEncoder.fit(frame[:1000], np.zeros(1000, np.int64))
    return TwoTower(onnx, onnx, tuple(names), items, viewers, rows, np.zeros(n, np.float32), recipe)


def filled(studio: Studio, n: int) -> None:
    """A studio in which ``n`` videos and 1,000 viewers with 500 decisions each are, and a version that serves all."""
    videos, people = ids_of(n, "video"), ids_of(VIEWERS, "viewer")
    names = [str(one) for one in videos]
    made = model(n, names)
    data = made.to_bytes()
    studio.objects.put_named("bench/towers", data)
    with (
        studio.database.session() as session,
        embedding_rows.raw(session) as connection,
        connection.cursor() as cursor,
    ):
        with cursor.copy("copy viewers (user_id, pseudonym) from stdin") as copy:
            for one in people:
                copy.write_row((one, str(one)))
        with cursor.copy("copy videos (id, external_id, title, genres) from stdin") as copy:
            for i, one in enumerate(videos):
                copy.write_row((one, str(i), f"Title {i}", [GENRES[(i % CLUSTERS) % len(GENRES)]]))
        statement = "copy user_video_decisions (user_id, video_id, decision, decided_at) from stdin"
        with cursor.copy(statement) as copy:
            for viewer, history in zip(people, histories(n), strict=True):
                for back, video in enumerate(history.tolist()):
                    at = datetime.fromtimestamp(NOW.timestamp() - 3600 * (DECISIONS - back), UTC)
                    copy.write_row((viewer, videos[video], ("like", "watch", "like", "dislike")[back % 4], at))
    row = registry.register(
        studio, name="two_tower", trained_onnx=made.user_onnx, framework="keras", metrics={}, reference={},
        feature_version=dataset.FEATURE_VERSION, code_version="bench", snapshot_id=None, licences=[],
        provenance={"bundle": {"key": "bench/towers", "sha256": hashlib.sha256(data).hexdigest()}},
        now=NOW, created_by="bench",
    )  # fmt: skip
    vectors = vectors_of(made.table, tables(n)[1])
    with studio.database.session() as session:
        set_id = embedding_sets.create_set(session, row.id)
        digests = np.zeros((n, 16), np.uint8)
        embedding_loads.copy_in(session, "video", set_id, videos, vectors, digests, version=row.version, now=NOW)
        embedding_loads.index(session, set_id, indexed_from=10**9)  # found in memory here
        embedding_sets.finish(session, set_id, NOW)
        rollout.begin(session, "two_tower", row.id, clock.now(), "bench", "a bench")
    with studio.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as outside:
        outside.exec_driver_sql("analyze")


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
        fresh = []
        for call in range(50):
            begun = time.perf_counter()
            asked.decide(people[call], lists[call].items[0].external_id, "like")
            asked.recommend(people[call])
            fresh.append((time.perf_counter() - begun) * 1e3)
        yield "decide_to_next_list", Figure(float(np.median(fresh)), "ms", note="p50, decided and listed")
        begun = time.perf_counter()
        many = asked.recommend_many(people, 20)
        rate = VIEWERS / (time.perf_counter() - begun)
        yield "batch_rate", Figure(rate, "lists/s", note=f"{VIEWERS} viewers at once, each with 500 decisions")
        yield "batch_to_single", Figure(rate / single, "times", at_least=10)
        again = [asked.recommend(one).items for one in people[:100]]
        pairs = zip(again, many[:100], strict=True)
        same = np.mean([[i.video_id for i in a] == [i.video_id for i in b.items] for a, b in pairs])
        yield "batch_same_as_single", Figure(float(same), "share", at_least=1)
    status = Path("/proc/self/status").read_text().splitlines()
    rss = next(line for line in status if line.startswith("VmHWM")).split()[1]
    yield "peak_memory", Figure(int(rss) / 1024, "MB", at_most=1024, note="of the process that serves")
    assert "tensorflow" not in sys.modules
    made = model(n, [str(one) for one in ids_of(n, "video")])
    vectors = vectors_of(made.table, tables(n)[1])
    found_share = []
    for viewer, history in enumerate(histories(n)[:CALLS]):
        names = [made.item_ids[i] for i in history]
        times = np.array([int(NOW.timestamp()) - 3600 * (DECISIONS - back) for back in range(DECISIONS)])
        wanted = np.arange(DECISIONS) % 4 != 3
        x = made.user_input_of(names, times, np.full(DECISIONS, np.nan, np.float32), wanted)
        vector = made.user_vectors(x[None])[0]
        found_share.append(recall(lists[viewer], vectors, vector, history))
    yield "recall_at_20", Figure(float(np.mean(found_share)), "share", at_least=0.99, note="against every dot product")


def run() -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for n in SIZES:
        with tempfile.TemporaryDirectory(prefix="orimono-bench-") as home:
            studio = Studio.open(Settings(home=home))
            try:
                filled(studio, n)
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
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # a second thread of BLAS spins and takes the core from PostgreSQL
        for name, f in figures_of(n, home):
            bounds = ["" if bound is None else str(bound) for bound in (f.at_most, f.at_least)]
            print("|".join([name, str(f.value), f.unit, *bounds, f.note]), flush=True)


if __name__ == "__main__":
    results = run()
    for name, figure in results.items():
        print(f"{name}: {figure.value:.3f} {figure.unit}  {'' if figure.met else 'NOT MET'}", file=sys.stderr)
    write("recommend", results)
