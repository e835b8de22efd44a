"""Small ONNX models, sound and unsound, made by hand: float32 "features" [n, d] to float32 "outputs" [n, k]."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from sqlalchemy import select

from pipelines.models import drift, registry, rollout
from pipelines.storage.database import Database
from pipelines.storage.tables import ModelTraffic, ModelVersion
from pipelines.storage.traffic import NOTHING, Traffic
from pipelines.studio import Studio

NAME, FEATURES, D, K = "master_reg", "audio-1", 6, 3
START = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def model(
    nodes: Sequence[NodeProto],
    *,
    d: int | str = D,
    k: int | str = K,
    rows: int | str = "n",
    names: tuple[str, str] = ("features", "outputs"),
    dtype: int = TensorProto.FLOAT,
    constants: dict[str, Any] | None = None,
    **metadata: str,
) -> bytes:
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in (constants or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(names[0], dtype, [rows, d])],
        [helper.make_tensor_value_info(names[1], dtype, [rows, k])],
        tensors,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, metadata)
    return bytes(made.SerializeToString())


def linear(bias: float = 0.0, *, d: int = D, k: int = K, classes: Sequence[str] = (), **metadata: str) -> bytes:
    """Each output is the mean of the features, plus ``bias``."""
    if classes:
        metadata["classes"] = json.dumps(list(classes))
    constants = {"w": np.full((d, k), 1 / d, np.float32), "b": np.full(k, bias, np.float32)}
    return model(
        [helper.make_node("Gemm", ["features", "w", "b"], ["outputs"])], d=d, k=k, constants=constants, **metadata
    )


def _mean() -> list[NodeProto]:
    return [helper.make_node("MatMul", ["features", "w"], ["mean"])]


_W = {"w": np.full((D, K), 1 / D, np.float32)}


def nan_below_zero() -> bytes:
    return model([*_mean(), helper.make_node("Sqrt", ["mean"], ["outputs"])], constants=_W)


def loses_rows_below_zero() -> bytes:
    """Rows whose first feature is negative are missing from its answer."""
    nodes = [
        *_mean(),
        helper.make_node("Gather", ["features", "first"], ["column"], axis=1),
        helper.make_node("GreaterOrEqual", ["column", "zero"], ["kept"]),
        helper.make_node("Compress", ["mean", "kept"], ["outputs"], axis=0),
    ]
    return model(nodes, constants={**_W, "first": np.int64(0), "zero": np.float32(0)})


def raises_below_zero() -> bytes:
    """It looks a row up by a number that the first feature makes; there is only row 0."""
    nodes = [
        *_mean(),
        helper.make_node("Gather", ["features", "first"], ["column"], axis=1),
        helper.make_node("Min", ["column", "zero"], ["negative"]),
        helper.make_node("Mul", ["negative", "many"], ["far"]),
        helper.make_node("Cast", ["far"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", ["shelf", "place"], ["book"]),
        helper.make_node("Add", ["mean", "book"], ["outputs"]),
    ]
    numbers = {"first": np.int64(0), "zero": np.float32(0), "many": np.float32(1e6)}
    return model(nodes, constants={**_W, **numbers, "shelf": np.zeros((1, K), np.float32)})


def slow_below_zero(always: bool = False) -> bytes:
    """Goes round in a loop for minutes when the first feature of the first row is negative."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Sin", ["value"], ["next_value"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next_value", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        *_mean(),
        helper.make_node("Gather", ["features", "first"], ["row"], axis=0),
        helper.make_node("Gather", ["row", "first"], ["x"], axis=0),
        helper.make_node("Neg", ["x"], ["negative"]),
        helper.make_node("Max", ["negative", "least"], ["rounds"]),
        helper.make_node("Mul", ["rounds", "many"], ["turns"]),
        helper.make_node("Cast", ["turns"], ["trips"], to=TensorProto.INT64),
        helper.make_node("Loop", ["trips", "yes", "mean"], ["outputs"], body=body),
    ]
    constants = {
        **_W,
        "first": np.int64(0),
        "least": np.float32(1 if always else 0),
        "many": np.float32(1e9),
        "yes": np.bool_(True),
    }
    return model(nodes, constants=constants)


def rows(n: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32[n, 6], none negative."""
    return np.abs(np.random.default_rng(seed).normal(0, 1, (n, D))).astype(np.float32)


def reference(d: int = D, k: int = K) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    return drift.reference(rng.normal(0, 1, (500, d)), rng.normal(0, 1, (500, k)))


def registered(studio: Studio, data: bytes, **changed: Any) -> ModelVersion:
    values: dict[str, Any] = {
        "name": NAME,
        "trained_onnx": data,
        "framework": "onnx",
        "metrics": {"mae": 0.5},
        "reference": reference(),
        "feature_version": FEATURES,
        "code_version": "1",
        "snapshot_id": None,
        "licences": ["CC0-1.0"],
        "provenance": {"generated": True},
        "now": START,
        "created_by": "test",
    }
    return registry.register(studio, **(values | changed))


def begun(studio: Studio, data: bytes, **changed: Any) -> ModelVersion:
    """Registered, and rolled out: live when it is the first, at 5 % otherwise."""
    row = registered(studio, data, **changed)
    with studio.database.session() as session:
        rollout.begin(session, row.name, row.id, START, "test", "a test")
    return row


def user_of(stage: int, name: str = NAME) -> str:
    """A user whom a candidate at this stage serves; for 0, one whom no candidate serves before 100 %."""
    candidates = (f"user-{i}" for i in range(10_000))
    if stage == 0:
        return next(u for u in candidates if rollout.bucket(name, u) >= 2500)
    return next(u for u in candidates if rollout.bucket(name, u) < stage * 100)


def counted(database: Database, model_id: int, since: datetime | None = None, until: datetime | None = None) -> Traffic:
    """What the database holds of a version's traffic in [since, until), added up."""
    query = select(ModelTraffic).where(ModelTraffic.model_id == model_id).order_by(ModelTraffic.minute)
    if since is not None and until is not None:
        query = query.where(ModelTraffic.minute >= since, ModelTraffic.minute < until)
    total = NOTHING
    with database.session() as session:
        for row in session.execute(query).scalars():
            arrays = (row.latency_counts, row.input_counts, row.output_counts)
            numbers = (row.n, row.errors, row.retries, row.latency_ms)
            total += Traffic(*numbers, *(np.array(a, np.int64) for a in arrays), last_error=row.last_error)
    return total
