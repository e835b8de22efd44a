"""A made-up studio to make lists in: videos in clusters whose vectors lie near each other, as those of trained towers
do, and viewers who decided about videos of a few clusters, so that what they have seen is what is nearest to them.

Filled through the product's own functions; measured by bench_recommend.py.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipelines import clock
from pipelines.models import registry, rollout
from pipelines.recommending import dataset
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.item_features import ItemEncoder
from pipelines.recommending.moments import Moments
from pipelines.recommending.recipe import DIMS, Recipe
from pipelines.recommending.two_tower import TwoTower
from pipelines.recommending.user_features import UserEncoder
from pipelines.recommending.viewers import Viewers
from pipelines.storage import embedding_loads, embedding_rows, embedding_sets
from pipelines.studio import Studio

VIEWERS, DECISIONS = 1000, 500
WIDTH = 192  # of a video's row in the model
CLUSTERS = 300
GENRES = ("action", "comedy", "drama", "documentary", "horror", "music", "romance", "science fiction")
NOW = datetime(2026, 11, 1, 4, tzinfo=UTC)  # after the last decision


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
    constants: dict[str, NDArray[Any]] = {
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


def events_of(videos: list[uuid.UUID], chosen: NDArray[np.int64]) -> Interactions:
    back = DECISIONS - np.tile(np.arange(DECISIONS), len(chosen))
    return Interactions(
        users=np.repeat(np.arange(len(chosen), dtype=np.int32), DECISIONS),
        items=chosen.ravel().astype(np.int32),
        times=int(NOW.timestamp()) - 3600 * back,
        ratings=np.full(chosen.size, np.nan, np.float32),
        wanted=np.tile(np.arange(DECISIONS) % 4 != 3, len(chosen)),
        user_ids=np.array([f"{i:04d}" for i in range(len(chosen))]),
        item_ids=np.array([str(one) for one in videos]),
    )


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
    known = made.user_vectors(made.user_inputs(events_of(videos, histories(n))))
    with studio.database.session() as session:
        set_id = embedding_sets.create_set(session, row.id)
        for kind, ids, rows in (("video", videos, vectors), ("user", people, known)):
            digests = np.zeros((len(ids), 16), np.uint8)
            embedding_loads.copy_in(session, kind, set_id, ids, rows, digests, version=row.version, now=clock.now())  # type: ignore[arg-type]
        embedding_loads.index(session, set_id, indexed_from=10**9)  # found in memory here
        embedding_sets.finish(session, set_id, NOW)
        rollout.begin(session, "two_tower", row.id, clock.now(), "bench", "a bench")
    with studio.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as outside:
        outside.exec_driver_sql("analyze")
