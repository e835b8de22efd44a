"""A fitted model as ONNX: float32 "features" [n, d] to float32 "outputs" [n, k], and what it is in its metadata.

Equal models are equal bytes: a linear model is skl2onnx's two nodes; a forest is LightGBM's trees (read by onnxmltools)
in one ensemble with a column an output; behind either stands the link, and no name depends on the day.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.models.estimators import Fitted, Forest, Linear, Link, apply_link

INPUT, OUTPUT = "features", "outputs"
LIMIT = 1e-4  # of parity: float32 arithmetic stays two digits below
_OPSET, _ML_OPSET, _IR = 17, 3, 8  # what onnxruntime 1.12 and newer reads


def to_onnx(model: Fitted, input_dim: int, metadata: dict[str, str]) -> bytes:
    """The model as bytes, checked by ONNX's own checker. ``metadata`` becomes its ``metadata_props``."""
    from onnx import TensorProto, checker, helper

    if isinstance(model, Linear):
        nodes, tensors = _linear(model)
        k = len(model.intercept)
    elif isinstance(model, Forest):
        nodes, k = _forest(model, input_dim)
        tensors = []
    else:
        raise TypeError(f"no ONNX for {type(model).__name__}")
    graph = helper.make_graph(
        [*nodes, *_link(model.link)],
        "orimono",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", input_dim])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", k])],
        tensors,
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    onnx = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="orimono")
    helper.set_model_props(onnx, dict(sorted(metadata.items())))
    checker.check_model(onnx, full_check=True)
    return bytes(onnx.SerializeToString(deterministic=True))


def run(onnx: bytes, X: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs [n, k] by onnxruntime. For checks; serving keeps a warm session (inference.py)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], {INPUT: np.ascontiguousarray(X, np.float32)})[0], np.float32)


def parity(onnx: bytes, model: Fitted, X: NDArray[np.float32]) -> float:
    """Largest |ONNX - model| / max(1, |model|) over all rows and outputs: relative for large numbers, absolute for
    small. Infinite where ONNX answers something that is no number."""
    expected = apply_link(model.raw(X), model.link)
    found = run(onnx, X).astype(np.float64)
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected)), initial=0.0))


def metadata_of(onnx: bytes) -> dict[str, str]:
    """What ``to_onnx`` was given, read back."""
    import onnx as library

    model = library.load(io.BytesIO(onnx))
    return {prop.key: prop.value for prop in model.metadata_props}


def classes_of(metadata: dict[str, str]) -> tuple[str, ...] | None:
    """The names of the columns of "outputs", of a classifier; None for a regression."""
    return tuple(json.loads(metadata["classes"])) if "classes" in metadata else None


def _linear(model: Linear) -> tuple[list[Any], list[Any]]:
    """skl2onnx's graph of a StandardScaler and a linear regression with these coefficients.

    It centres before it scales: folding both into the coefficients would cancel away float32's digits where a feature's
    mean is large beside its deviation.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    d = len(model.mean)
    scaler, regression = StandardScaler(), LinearRegression()
    scaler.mean_, scaler.scale_, scaler.var_ = model.mean, model.scale, model.scale**2
    scaler.n_features_in_ = regression.n_features_in_ = d
    scaler.n_samples_seen_ = 1
    regression.coef_, regression.intercept_ = model.coef.T, model.intercept
    made = convert_sklearn(
        make_pipeline(scaler, regression),
        initial_types=[(INPUT, FloatTensorType([None, d]))],
        target_opset={"": _OPSET, "ai.onnx.ml": _ML_OPSET},
    )
    nodes = list(made.graph.node)
    (last,) = [node for node in nodes if made.graph.output[0].name in node.output]
    last.output[:] = ["raw"]
    return nodes, list(made.graph.initializer)


def _link(link: Link) -> list[Any]:
    """From "raw" to "outputs", as estimators.apply_link does."""
    from onnx import helper

    if link == "identity":
        return [helper.make_node("Identity", ["raw"], [OUTPUT])]
    if link == "softmax":
        return [helper.make_node("Softmax", ["raw"], [OUTPUT], axis=1)]
    return [
        helper.make_node("Neg", ["raw"], ["against"]),
        helper.make_node("Softplus", ["against"], ["surprise"]),
        helper.make_node("Neg", ["surprise"], ["level"]),
        helper.make_node("Softmax", ["level"], [OUTPUT], axis=1),
    ]


def _forest(model: Forest, input_dim: int) -> tuple[list[Any], int]:
    from onnx import helper

    k = len(model.boosters) if model.link == "identity" else model.boosters[0].num_model_per_iteration()
    merged: dict[str, list[Any]] = {}
    trees = 0
    for column, booster in enumerate(model.boosters):
        parts = _ensemble(booster, input_dim)
        leaves = "class" if model.link == "softmax" else "target"
        for name in list(parts):
            if name.endswith("_treeids"):
                parts[name] = [tree + trees for tree in parts[name]]
            elif name.endswith("_weights"):
                parts[name] = [float(np.float32(w / model.temperature)) for w in parts[name]]
        if leaves == "target":
            parts["target_ids"] = [column] * len(parts["target_ids"])
        trees += booster.num_trees()
        for name, values in parts.items():
            if name.startswith(("nodes_", f"{leaves}_")):
                merged.setdefault(name.replace(f"{leaves}_", "target_"), []).extend(values)
    node = helper.make_node("TreeEnsembleRegressor", [INPUT], ["raw"], domain="ai.onnx.ml")
    attributes = {**merged, "n_targets": k, "post_transform": "NONE"}
    node.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(attributes.items()))
    return [node], k


def _ensemble(booster: Any, input_dim: int) -> dict[str, list[Any]]:
    """The lists of a tree ensemble, by their names in ONNX."""
    from onnx import helper
    from onnxmltools.convert import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [(INPUT, FloatTensorType([None, input_dim]))]
    model = convert_lightgbm(_float32(booster), initial_types=types, zipmap=False)
    node = next(node for node in model.graph.node if node.op_type.startswith("TreeEnsemble"))
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {
        name: [v.decode() if isinstance(v, bytes) else v for v in values]
        for name, values in attributes.items()
        if name.startswith(("nodes_", "target_", "class_"))
    }


def _float32(booster: Any) -> Any:
    """The booster with each threshold lowered to the next float32.

    LightGBM cuts at float64 midpoints. Rounded to the nearest float32 instead, a cut between two neighbouring floats
    would fall on the upper one, and a row with just that value would go down the other branch.
    """
    import lightgbm

    lines = booster.model_to_string().split("\n")
    for at, line in enumerate(lines):
        if line.startswith("threshold="):
            cuts = np.array(line.removeprefix("threshold=").split(), np.float64)
            near = cuts.astype(np.float32)
            lowered = np.where(near > cuts, np.nextafter(near, np.float32(-np.inf)), near)
            lines[at] = "threshold=" + " ".join(repr(float(cut)) for cut in lowered)
        elif line.startswith("tree_sizes="):
            lines[at] = ""  # of the text before; without it the trees are read one by one
    return lightgbm.Booster(model_str="\n".join(lines))
