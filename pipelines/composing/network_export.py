"""Trained chorale networks as one ONNX file, written node by node: equal weights are equal bytes.

Weights are kept as float16, which a run widens again. How the file is run is harmonizer.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.composing import encoding
from pipelines.composing.network import Sizes
from pipelines.models.onnx_graph import Graph

ROWS, VOTES, BETWEEN, OUTPUT = "rows", "votes", "between", "outputs"
_EPSILON = 1e-5


def to_onnx(models: Sequence[Any], sizes: Sizes) -> bytes:
    """One file of several networks of one size.

    "rows" int32[n, N_FEATURES], "votes" float32[n, N_VOTES] and "between" int64[n, n] (`between`) -> "outputs"
    float32[members, n, outputs], each as network.build's for one piece without padding.
    """
    from onnx import TensorProto, helper

    graph = Graph()
    outputs = [graph.add("Unsqueeze", _member(graph, model, sizes), graph.integers([0])) for model in models]
    joined = graph.add("Concat", *outputs, axis=0)
    inputs = [
        helper.make_tensor_value_info(ROWS, TensorProto.INT32, ["n", encoding.N_FEATURES]),
        helper.make_tensor_value_info(VOTES, TensorProto.FLOAT, ["n", encoding.N_VOTES]),
        helper.make_tensor_value_info(BETWEEN, TensorProto.INT64, ["n", "n"]),
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [len(models), "n", sizes.outputs])
    return graph.bytes("harmonizer", inputs, joined, output)


def between(n: int, reach: int) -> NDArray[np.int64]:
    """int64[n, n]: how far each beat is from each, as an index of the attention's terms."""
    place = np.arange(n)
    found: NDArray[np.int64] = np.clip(place[None] - place[:, None], -reach, reach) + reach
    return found


def round_weights(model: Any) -> None:
    """Rounds a Keras network's weights to what the file keeps of them."""
    for variable in model.trainable_variables:
        variable.assign(variable.numpy().astype(np.float16).astype(np.float32))


def parity(
    models: Sequence[Any], network: bytes, sizes: Sizes, rows: NDArray[np.int32], votes: NDArray[np.float32]
) -> float:
    """The largest difference of the file's answers from those of the Keras networks to the same input."""
    import onnxruntime as ort

    session = ort.InferenceSession(network, providers=["CPUExecutionProvider"])
    found = session.run([OUTPUT], {ROWS: rows, VOTES: votes, BETWEEN: between(len(rows), sizes.reach)})[0]
    given = [rows[None], votes[None], np.ones((1, len(rows)), np.float32)]
    return max(
        float(np.abs(model(given, training=False).numpy()[0] - answer).max())
        for model, answer in zip(models, found, strict=True)
    )


def _member(graph: Graph, model: Any, sizes: Sizes) -> str:
    weights = _Weights(model)
    table = graph.half(weights.of("table", "embeddings"))
    state = graph.add("ReduceSum", graph.add("Gather", table, ROWS, axis=0), graph.integers([1]), keepdims=0)
    state = graph.add("Add", state, _dense(graph, weights, "votes_in", VOTES))
    for at in range(sizes.layers):
        heard = _norm(graph, weights, f"norm_a{at}", state)
        state = graph.add("Add", state, _attention(graph, weights, f"attention_{at}", heard, sizes))
        worked = _norm(graph, weights, f"norm_b{at}", state)
        worked = _gelu(graph, _convolved(graph, weights, f"conv_{at}", worked, sizes.kernel))
        state = graph.add("Add", state, _dense(graph, weights, f"dense_{at}", worked))
    return _dense(graph, weights, "out", _norm(graph, weights, "norm", state))


def _attention(graph: Graph, weights: _Weights, name: str, given: str, sizes: Sizes) -> str:
    each = sizes.width // sizes.heads
    qkv = _dense(graph, weights, f"{name}/qkv", given)
    qkv = graph.add("Reshape", qkv, graph.integers([-1, 3, sizes.heads, each]))
    qkv = graph.add("Transpose", qkv, perm=[1, 2, 0, 3])
    q, k, v = (graph.add("Gather", qkv, graph.integer(part), axis=0) for part in range(3))
    scores = graph.add(
        "MatMul", graph.add("Mul", q, graph.scalar(each**-0.5)), graph.add("Transpose", k, perm=[0, 2, 1])
    )
    distance = graph.add("Gather", graph.half(weights.of(name, "distance")), BETWEEN, axis=0)
    scores = graph.add("Add", scores, graph.add("Transpose", distance, perm=[2, 0, 1]))
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), v)
    mixed = graph.add("Reshape", graph.add("Transpose", mixed, perm=[1, 0, 2]), graph.integers([-1, sizes.width]))
    return _dense(graph, weights, f"{name}/out", mixed)


def _norm(graph: Graph, weights: _Weights, name: str, given: str) -> str:
    scale, shift = graph.half(weights.of(name, "gamma")), graph.half(weights.of(name, "beta"))
    return graph.add("LayerNormalization", given, scale, shift, axis=-1, epsilon=_EPSILON)


def _convolved(graph: Graph, weights: _Weights, name: str, given: str, kernel: int) -> str:
    image = graph.add("Unsqueeze", graph.add("Transpose", given, perm=[1, 0]), graph.integers([0]))
    filters = graph.half(weights.of(name, "kernel").transpose(2, 1, 0))
    pads = [(kernel - 1) // 2, kernel // 2]
    found = graph.add("Conv", image, filters, graph.half(weights.of(name, "bias")), pads=pads)
    return graph.add("Transpose", graph.add("Squeeze", found, graph.integers([0])), perm=[1, 0])


def _dense(graph: Graph, weights: _Weights, name: str, given: str) -> str:
    product = graph.add("MatMul", given, graph.half(weights.of(name, "kernel")))
    return graph.add("Add", product, graph.half(weights.of(name, "bias")))


def _gelu(graph: Graph, given: str) -> str:
    error = graph.add("Erf", graph.add("Mul", given, graph.scalar(0.5**0.5)))
    half = graph.add("Mul", given, graph.scalar(0.5))
    return graph.add("Mul", half, graph.add("Add", error, graph.scalar(1.0)))


class _Weights:
    """A Keras model's arrays by the names of layer and weight."""

    def __init__(self, model: Any) -> None:
        self.arrays = {variable.path: variable.numpy() for variable in model.trainable_variables}

    def of(self, layer: str, weight: str) -> NDArray[np.float32]:
        return np.asarray(self.arrays[f"{layer}/{weight}"], np.float32)
