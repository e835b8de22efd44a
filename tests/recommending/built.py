"""Small two-tower models made by hand, without TensorFlow, and studios in which they serve.

A viewer's vector is the mean of what lies in the pools, carried into 768 dimensions by the same matrix as the videos',
so that a viewer's nearest videos are those like what they decided on last.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from pipelines.models import drift, registry, rollout
from pipelines.recommending import dataset, syncing
from pipelines.recommending.embedding import Batch
from pipelines.recommending.interactions import Interactions
from pipelines.recommending.item_features import ItemEncoder
from pipelines.recommending.moments import Moments
from pipelines.recommending.people import viewer_id
from pipelines.recommending.recipe import DIMS, Recipe
from pipelines.recommending.two_tower import TwoTower
from pipelines.recommending.user_features import UserEncoder
from pipelines.recommending.viewers import Viewers
from pipelines.storage import decisions
from pipelines.storage.recommending_tables import Video
from pipelines.storage.tables import ModelVersion
from pipelines.studio import Studio

if TYPE_CHECKING:
    import pandas as pd

NAME = "two_tower"
GENRES = ("comedy", "drama", "horror", "music", "science fiction")
WIDTH = 16  # of a video's row, from which histories are pooled
NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def tower(matrix: NDArray[np.float32], shift: float = 0.0) -> bytes:
    """float32 "features" [n, d] @ matrix [d, 768] + shift, brought to length 1."""
    nodes = [
        helper.make_node("MatMul", ["features", "w"], ["carried"]),
        helper.make_node("Add", ["carried", "b"], ["moved"]),
        helper.make_node("LpNormalization", ["moved"], ["outputs"], axis=1, p=2),
    ]
    constants = {"w": matrix.astype(np.float32), "b": np.full(matrix.shape[1], shift, np.float32)}
    return _model(nodes, constants, *matrix.shape)


def failing(d: int) -> bytes:
    """A tower that answers zeros, and NaN to whatever is not zeros."""
    nodes = [
        helper.make_node("Abs", ["features"], ["size"]),
        helper.make_node("MatMul", ["size", "w"], ["sum"]),
        helper.make_node("Neg", ["sum"], ["less"]),
        helper.make_node("Sqrt", ["less"], ["outputs"]),
    ]
    return _model(nodes, {"w": np.ones((d, DIMS), np.float32)}, d, DIMS)


def _model(nodes: Sequence[Any], constants: dict[str, NDArray[np.float32]], d: int, k: int) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", d])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["n", k])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def video_id(number: int) -> UUID:
    """Some of them end in zeros, which a careless S16 would lose."""
    return uuid.UUID(int=((number * 2654435761 + 1) << 64) | ((number << 16) if number % 3 else number << 40))


def frame(n: int) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "item_id": [str(video_id(i)) for i in range(n)],
            "title": [f"Title {i}" for i in range(n)],
            "genres": [[GENRES[i % len(GENRES)]] for i in range(n)],
            "year": [1990.0 + i % 30 for i in range(n)],
        }
    )


def rows(n: int, seed: int = 0, clusters: int = 12) -> NDArray[np.float32]:
    """float32[n, WIDTH]: videos of one cluster are alike."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 1, (clusters, WIDTH))
    found = centres[np.arange(n) % clusters] + rng.normal(0, 0.35, (n, WIDTH))
    return np.asarray(found, np.float32)


def two_tower(n: int, *, seed: int = 0, shift: float = 0.0, user_onnx: bytes | None = None) -> TwoTower:
    """Of the videos ``frame(n)``."""
    catalogue = frame(n)
    rng = np.random.default_rng(seed)
    events = Interactions(
        users=np.repeat(np.arange(4, dtype=np.int32), 5),
        items=rng.integers(0, n, 20).astype(np.int32),
        times=np.sort(rng.integers(1_600_000_000, 1_700_000_000, 20)),
        ratings=np.full(20, np.nan, np.float32),
        wanted=np.ones(20, np.bool_),
        user_ids=np.array([f"u{i}" for i in range(4)]),
        item_ids=catalogue["item_id"].to_numpy(np.str_),
    )
    recipe = Recipe(taus=(3.0, float("inf")))
    moments = Moments(int(events.times.min()), int(events.times.max()))
    viewers = Viewers(UserEncoder.fit(events, catalogue), moments, recipe.taus, recipe.window, unwanted=False)
    carried = np.random.default_rng(5).normal(0, 1, (WIDTH, DIMS))
    names = viewers.n_pools * WIDTH + len(viewers.names)
    user = np.zeros((names, DIMS))
    for pool, weight in enumerate((0.8, 0.2)):
        user[pool * WIDTH : (pool + 1) * WIDTH] = weight * carried
    items = ItemEncoder.fit(catalogue, np.zeros(n, np.int64))
    return TwoTower(
        user_onnx=tower(user.astype(np.float32), shift) if user_onnx is None else user_onnx,
        item_onnx=tower(np.zeros((2 + len(items.names), DIMS), np.float32), 1.0),  # not asked by these tests
        item_ids=tuple(catalogue["item_id"]),
        items=items,
        viewers=viewers,
        table=rows(n, seed),
        popularity=np.zeros(n, np.float32),
        recipe=recipe,
    )


def item_vectors(model: TwoTower, shift: float = 0.0) -> NDArray[np.float32]:
    """float32[n, 768] of its videos, of length 1."""
    found = model.table @ np.random.default_rng(5).normal(0, 1, (WIDTH, DIMS)) + shift
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def input_width(n: int) -> int:
    return len(two_tower(n).input_names)


@dataclass(frozen=True, slots=True)
class Released:
    row: ModelVersion
    model: TwoTower
    vectors: NDArray[np.float32]  # of its videos


def catalogue(studio: Studio, n: int, *, first: int = 0) -> None:
    """Videos ``first`` to n, called "0", "1" ..., each of one genre."""
    with studio.database.session() as session:
        for i in range(first, n):
            session.add(
                Video(
                    id=video_id(i), external_id=str(i), title=f"Title {i}", genres=[GENRES[i % len(GENRES)]], year=1990
                )
            )


def released(
    studio: Studio, model: TwoTower, *, now: datetime = NOW, rolled_out: bool = True, viewers: Sequence[str] = ()
) -> Released:
    """Registered, with embeddings (of ``viewers``, too, from what they decided), and rolled out: live if the first."""
    data = model.to_bytes()
    key = f"recommending/{hashlib.sha256(data).hexdigest()}.towers"
    studio.objects.put_named(key, data)
    rng = np.random.default_rng(3)
    inputs = rng.normal(0, 1, (50, len(model.input_names))).astype(np.float32)
    row = registry.register(
        studio, name=NAME, trained_onnx=model.user_onnx, framework="keras", metrics={},
        reference=drift.reference(inputs, inputs, input_columns=model.monitored, output_columns=(0, 1)),
        feature_version=dataset.FEATURE_VERSION, code_version=key[-30:], snapshot_id=None, licences=[],
        provenance={"bundle": {"key": key, "sha256": hashlib.sha256(data).hexdigest()}}, now=now, created_by="test",
    )  # fmt: skip
    vectors = item_vectors(model)
    sync(studio, row, model, vectors, now=now, viewers=viewers)
    if rolled_out:
        with studio.database.session() as session:
            rollout.begin(session, NAME, row.id, now, "test", "a test")
    return Released(row, model, vectors)


def sync(
    studio: Studio,
    row: ModelVersion,
    model: TwoTower,
    vectors: NDArray[np.float32],
    *,
    now: datetime = NOW,
    viewers: Sequence[str] = (),
    few: float = 0.02,
) -> int:
    """The version's embeddings are these from now on; the set's id."""
    ids = [UUID(name) for name in model.item_ids]
    people = [Batch([viewer_id(v) for v in viewers], user_vectors(studio, model, viewers))] if viewers else []
    return syncing.sync(studio, row, people, _batches(ids, vectors), now, few=few).set_id


def user_vectors(studio: Studio, model: TwoTower, viewers: Sequence[str]) -> NDArray[np.float32]:
    found = []
    for viewer in viewers:
        with studio.database.session() as session:
            known = decisions.history(session, viewer_id(viewer))
        x = model.user_input_of(known.video_ids.tolist(), known.times, known.ratings, known.wanted)
        found.append(model.user_vectors(x[None])[0])
    return np.array(found, np.float32)


def decided(
    studio: Studio, viewer: str, numbers: Sequence[int], decision: str = "like", *, at: datetime = NOW, step_s: int = 60
) -> None:
    """The viewer decided about these videos, one after the other, the last at ``at``."""
    with studio.database.session() as session:
        for back, number in enumerate(reversed(numbers)):
            moment = at - timedelta(seconds=step_s * back)
            decisions.record(session, viewer_id(viewer), video_id(number), decision, at=moment, now=at)


def _batches(ids: list[UUID], vectors: NDArray[np.float32]) -> Iterator[Batch]:
    for start in range(0, len(ids), 500):
        yield Batch(ids[start : start + 500], vectors[start : start + 500])
