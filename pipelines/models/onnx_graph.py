"""A network as ONNX, written node by node: equal weights are equal bytes, in any process and on any day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPSET, _IR = 17, 8  # what onnxruntime 1.12 and newer reads


class Graph:
    """Nodes and weights in the order they are added, named by their number."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node of ONNX's ``operator``; the name of what it answers."""
        from onnx import helper

        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def half(self, values: NDArray[np.float32]) -> str:
        """Kept as float16, half the file, and widened again as it runs."""
        from onnx import TensorProto

        return self.add("Cast", self.constant(values.astype(np.float16)), to=TensorProto.FLOAT)

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def integer(self, value: int) -> str:
        return self.constant(np.array(value, np.int64))

    def integers(self, values: Sequence[int]) -> str:
        return self.constant(np.array(values, np.int64))

    def bytes(self, name: str, inputs: Sequence[Any], answer: str, output: Any) -> bytes:
        """The file, checked by ONNX's own checker. ``inputs`` and ``output`` are ONNX's value infos; ``answer`` is the
        node whose value the output has."""
        from onnx import checker, helper

        last = helper.make_node("Identity", [answer], [output.name], name="last")
        graph = helper.make_graph([*self.nodes, last], name, list(inputs), [output], self.weights)
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="orimono")
        checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
