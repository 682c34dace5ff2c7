"""Writing the canonical graph: one node after the other, constants as initializers, shapes annotated."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CANONICAL_OPSET = 13
QONNX_DOMAIN = "qonnx.custom_op.general"
_IR_VERSION = 8


class GraphBuilder:
    """A graph under construction; a node takes the tensor `current`, and its output becomes that. Set both to go on elsewhere."""

    def __init__(self, input_name: str, input_shape: tuple[int, ...]) -> None:
        self.current = input_name
        self.shape = input_shape
        self._input = (input_name, input_shape)
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._infos: list[onnx.ValueInfoProto] = []
        self._counts: dict[str, int] = {}

    def constant(self, hint: str, value: np.ndarray) -> str:
        """Add an initializer; returns its name."""
        name = self._unique(hint)
        self._initializers.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def append(
        self,
        op_type: str,
        operands: tuple[str, ...],
        shape: tuple[int, ...],
        origin: str,
        position: int = 0,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Add a node that takes the current tensor as input number `position` beside `operands`.

        `origin` names the node of the source file it stands for; it is kept in the node's doc string for messages.
        """
        inputs = [*operands[:position], self.current, *operands[position:]]
        output = self._unique(f"{op_type.lower()}_out")
        self._nodes.append(self._node(op_type, inputs, output, origin, attributes or {}))
        self._annotate(output, shape)
        self.current, self.shape = output, shape

    def join(self, op_type: str, inputs: tuple[str, str], shape: tuple[int, ...], origin: str) -> None:
        """Add a node that takes two tensors of the graph."""
        output = self._unique(f"{op_type.lower()}_out")
        self._nodes.append(self._node(op_type, list(inputs), output, origin, {}))
        self._annotate(output, shape)
        self.current, self.shape = output, shape

    def side_node(self, op_type: str, inputs: list[str], shape: tuple[int, ...], origin: str, **attributes: Any) -> str:
        """Add a node beside the data path (a weight quantizer); returns its output's name."""
        output = self._unique(f"{op_type.lower()}_out")
        self._nodes.append(self._node(op_type, inputs, output, origin, attributes))
        self._annotate(output, shape)
        return output

    def model(self) -> onnx.ModelProto:
        """The finished model; its output is the current tensor."""
        name, shape = self._input
        infos = [info for info in self._infos if info.name != self.current]
        graph = helper.make_graph(
            self._nodes,
            "flipflow",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info(self.current, TensorProto.FLOAT, list(self.shape))],
            self._initializers,
            value_info=infos,
        )
        opsets = [helper.make_opsetid("", CANONICAL_OPSET), helper.make_opsetid(QONNX_DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="flipflow")
        model.ir_version = _IR_VERSION
        return model

    def _node(
        self, op_type: str, inputs: list[str], output: str, origin: str, attributes: Mapping[str, Any]
    ) -> onnx.NodeProto:
        domain = QONNX_DOMAIN if op_type in ("Quant", "BipolarQuant") else ""
        name = self._unique(op_type)
        return helper.make_node(op_type, inputs, [output], name=name, domain=domain, doc_string=origin, **attributes)

    def _annotate(self, name: str, shape: tuple[int, ...]) -> None:
        self._infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))

    def _unique(self, hint: str) -> str:
        count = self._counts.get(hint, 0)
        self._counts[hint] = count + 1
        return f"{hint}_{count}"
