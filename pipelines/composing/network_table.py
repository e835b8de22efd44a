"""The chorale network as the registry keeps and tries every model: float32 [n, d] "features" to [n, k] "outputs".

A row is a beat as encoding.py has it; the memory is silent. The same weights in another frame: what serves is
harmonizer.py's own file.
"""

from __future__ import annotations

from pipelines.composing import encoding
from pipelines.composing.network_export import BETWEEN, OUTPUT, ROWS, VOTES
from pipelines.errors import BadInput
from pipelines.models.sessions import INPUT
from pipelines.models.sessions import OUTPUT as TABLE


def to_table(network: bytes, reach: int) -> bytes:
    """ONNX of a network of network_export.to_onnx with attention up to ``reach`` beats: the beats of one piece in, the
    mean of the members' logits out. Equal networks give equal bytes. BadInput when it is none."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import TensorProto, helper

    try:
        model = onnx.load_model_from_string(network)
    except DecodeError as error:
        raise BadInput("the network", "is no ONNX file", "train it again") from error
    graph = model.graph
    if [one.name for one in graph.input] != [ROWS, VOTES, BETWEEN] or [one.name for one in graph.output] != [OUTPUT]:
        raise BadInput("the network", "has other inputs or outputs than a chorale network", "train it again")
    width = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    for node in graph.node:  # the last node's name is free for the table's
        node.output[:] = ["members" if name == OUTPUT else name for name in node.output]
        node.input[:] = ["members" if name == OUTPUT else name for name in node.input]
    constants = {"table_zero": 0, "table_one": 1, "table_reach": reach, "table_minus": -reach}
    for name, value in constants.items():
        graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [], [value]))
    graph.initializer.append(helper.make_tensor("table_first", TensorProto.INT64, [1], [0]))
    graph.initializer.append(helper.make_tensor("table_votes", TensorProto.INT64, [1], [encoding.N_VOTES]))
    silence = helper.make_tensor("silence", TensorProto.FLOAT, [1], [0.0])
    graph.initializer.append(helper.make_tensor("table_second", TensorProto.INT64, [1], [1]))
    before = [
        helper.make_node("Cast", [INPUT], [ROWS], to=TensorProto.INT32),
        helper.make_node("Shape", [INPUT], ["table_shape"]),
        helper.make_node("Gather", ["table_shape", "table_zero"], ["table_n"], axis=0),
        helper.make_node("Unsqueeze", ["table_n", "table_first"], ["table_beats"]),
        helper.make_node("Concat", ["table_beats", "table_votes"], ["table_silence"], axis=0),
        helper.make_node("ConstantOfShape", ["table_silence"], [VOTES], value=silence),
        helper.make_node("Range", ["table_zero", "table_n", "table_one"], ["table_place"]),
        helper.make_node("Unsqueeze", ["table_place", "table_first"], ["table_to"]),
        helper.make_node("Unsqueeze", ["table_place", "table_second"], ["table_from"]),
        helper.make_node("Sub", ["table_to", "table_from"], ["table_apart"]),
        helper.make_node("Clip", ["table_apart", "table_minus", "table_reach"], ["table_near"]),
        helper.make_node("Add", ["table_near", "table_reach"], [BETWEEN]),
    ]
    after = helper.make_node("ReduceMean", ["members"], [TABLE], axes=[0], keepdims=0)
    nodes = [*before, *graph.node, after]
    del graph.node[:], graph.input[:], graph.output[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", encoding.N_FEATURES]))
    graph.output.append(helper.make_tensor_value_info(TABLE, TensorProto.FLOAT, ["n", width]))
    return bytes(model.SerializeToString(deterministic=True))
