"""Trained towers as two ONNX files and the model that is served, refused when they answer differently from Keras.

The graphs are written node by node: equal weights are equal bytes, in any process and on any day. How they are run is
two_tower.py's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import BadInput
from pipelines.models.onnx_export import LIMIT
from pipelines.models.onnx_export import run as run_onnx
from pipelines.models.onnx_graph import Graph
from pipelines.models.sessions import INPUT, OUTPUT
from pipelines.recommending import prior
from pipelines.recommending.item_features import ItemEncoder
from pipelines.recommending.recipe import Recipe
from pipelines.recommending.towers import CLIP, OUTSIDE, Towers
from pipelines.recommending.two_tower import TwoTower
from pipelines.recommending.viewers import Viewers

_TINY = 1e-12  # below it a vector has no direction
_CHECKED = 256  # rows of each tower


def model_of(
    towers: Towers, popularity: NDArray[np.float32], viewers: Viewers, items: ItemEncoder, recipe: Recipe
) -> tuple[TwoTower, float]:
    """The model to serve, and the largest difference of its vectors from those of Keras.

    Raises BadInput when that is above `onnx_export.LIMIT`, or a vector's norm is not 1.
    """
    user, item = user_tower(towers), item_tower(towers)
    features, table = towers.features.numpy(), towers.table().numpy()
    n = len(features)
    given = np.concatenate([np.arange(1, n + 1, dtype=np.float32)[:, None], popularity[:, None], features], axis=1)
    rows = np.unique(np.linspace(0, n - 1, _CHECKED).astype(int))
    expected = towers.item_vectors(table[rows], popularity[rows, None]).numpy()
    parity = _difference("the item tower", run_onnx(item, given[rows]), expected)
    # histories of one item each, and viewers anywhere within what was seen
    pooled = np.tile(table[rows], (1, towers.sizes.pools))
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(len(rows), towers.sizes.user_features))
    plain = (towers.user_mean.numpy() + towers.user_scale.numpy() * drawn / 5).astype(np.float32)
    expected = towers.user_vectors(pooled, plain).numpy()
    found = run_onnx(user, np.concatenate([pooled, plain], axis=1))
    parity = max(parity, _difference("the user tower", found, expected))
    model = TwoTower(
        user_onnx=user,
        item_onnx=item,
        item_ids=viewers.encoder.item_ids,
        items=items,
        viewers=viewers,
        table=table,
        popularity=popularity,
        recipe=recipe,
    )
    return model, parity


def user_tower(towers: Towers) -> bytes:
    """ "features" [n, pools * width + user features] -> "outputs" [n, dims]."""
    pooled, plain = towers.sizes.pools * towers.width, towers.sizes.user_features
    graph = Graph()
    pools = _columns(graph, INPUT, 0, pooled)
    centred = graph.add("Sub", _columns(graph, INPUT, pooled, pooled + plain), graph.constant(towers.user_mean.numpy()))
    scaled = graph.add("Div", centred, graph.constant(towers.user_scale.numpy()))
    features = graph.add("Clip", scaled, graph.scalar(-CLIP), graph.scalar(CLIP))
    vector = _tower(graph, graph.add("Concat", pools, features, axis=1), towers.user, "user", towers.recipe)
    if towers.trust is not None:
        hidden = graph.add("Relu", _dense(graph, features, towers.trust.get_layer("trust_dense_0")))
        outside = _columns(graph, INPUT, pooled + OUTSIDE, pooled + OUTSIDE + 1)
        ahead = graph.add("Mul", outside, graph.scalar(towers.recipe.prior_ahead))
        plainly = _dense(graph, hidden, towers.trust.get_layer("trust_out"))
        trust = graph.add("Tanh", graph.add("Add", plainly, ahead))
        vector = _with_last(graph, vector, trust)
    return _bytes(graph, vector, pooled + plain, towers.recipe.dims)


def item_tower(towers: Towers) -> bytes:
    """ "features" [n, 2 + item features] -> "outputs" [n, dims]: the item's row in training + 1 (0, or one that does
    not exist: unknown), its recent popularity, its features."""
    n, d = towers.sizes.n_items, towers.sizes.item_features
    graph = Graph()
    number = graph.add("Clip", _columns(graph, INPUT, 0, 1), graph.scalar(0), graph.scalar(n))
    index = graph.add("Squeeze", graph.add("Cast", number, to=7), graph.integers([1]))
    ids = graph.add("Gather", graph.constant(towers.ids.numpy()), index, axis=0)
    features = _columns(graph, INPUT, 2, 2 + d)
    mapped = graph.add("MatMul", features, graph.constant(towers.mapping.numpy()))
    vector = _tower(graph, graph.add("Concat", ids, mapped, axis=1), towers.item, "item", towers.recipe)
    if towers.trust is not None:
        scaled = graph.add("Mul", _columns(graph, INPUT, 1, 2), graph.scalar(float(towers.prior_scale.numpy())))
        last = graph.add("Clip", scaled, graph.scalar(-prior.LIMIT), graph.scalar(prior.LIMIT))
        vector = _with_last(graph, vector, last)
    return _bytes(graph, vector, 2 + d, towers.recipe.dims)


def _tower(graph: Graph, given: str, keras_model: Any, name: str, recipe: Recipe) -> str:
    hidden = given
    for at in range(len(recipe.hidden)):
        hidden = graph.add("Relu", _dense(graph, hidden, keras_model.get_layer(f"{name}_dense_{at}")))
    seen_again = graph.add("Concat", hidden, given, axis=1)
    out = graph.add("Tanh", _dense(graph, seen_again, keras_model.get_layer(f"{name}_out")))
    length = graph.add("ReduceL2", out, axes=[1], keepdims=1)
    return graph.add("Div", out, graph.add("Max", length, graph.scalar(_TINY)))


def _with_last(graph: Graph, vector: str, last: str) -> str:
    rest = graph.add("Sqrt", graph.add("Sub", graph.scalar(1.0), graph.add("Mul", last, last)))
    return graph.add("Concat", graph.add("Mul", vector, rest), last, axis=1)


def _columns(graph: Graph, name: str, start: int, end: int) -> str:
    return graph.add("Slice", name, graph.integers([start]), graph.integers([end]), graph.integers([1]))


def _dense(graph: Graph, given: str, layer: Any) -> str:
    kernel, bias = (np.asarray(weight) for weight in layer.get_weights())
    return graph.add("Gemm", given, graph.constant(kernel), graph.constant(bias))


def _bytes(graph: Graph, answer: str, width_in: int, width_out: int) -> bytes:
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", width_in])
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", width_out])
    return graph.bytes("orimono", [given], answer, output)


def _difference(what: str, found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    remedy = "train it again"
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise BadInput(what, "does not answer in ONNX what it answers in Keras", remedy)
    difference = float(np.abs(found - expected).max(initial=0.0))
    if difference > LIMIT:
        raise BadInput(what, f"differs by {difference:.2g} between ONNX and Keras (limit {LIMIT:g})", remedy)
    norms = np.linalg.norm(found, axis=1)
    if np.abs(norms - 1).max(initial=0.0) > LIMIT:
        raise BadInput(what, f"gives vectors of lengths {norms.min():.3g} to {norms.max():.3g}, not 1", remedy)
    return difference
