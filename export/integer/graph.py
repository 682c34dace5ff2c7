"""Reading the canonical QONNX graph: nodes in order, who reads what, constants, and the types that quantizers state."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from flipflow.export.integer.net import ActType

QUANTIZERS = ("Quant", "BipolarQuant")
LAYERS = ("Conv", "MatMul")
SUM_POOLS = ("ReduceSum", "ReduceMean", "GlobalAveragePool", "AveragePool")


@dataclass(frozen=True)
class LayerWeights:
    """integers: int64, [M, C, KH, KW] or [K, M] as in the file; scale: their unit; range of the quantizer."""

    integers: np.ndarray
    scale: float
    type: ActType


class CanonicalGraph:
    """The canonical model: `nodes` of the data path, producers first. An Add may read two tensors, a tensor have many readers.

    Weight quantizers are no part of `nodes`; they are reached through the layer they feed.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.constants = {init.name: numpy_helper.to_array(init) for init in graph.initializer}
        self._producers = {node.output[0]: node for node in graph.node}
        self.nodes = [node for node in graph.node if not self._is_weight(node)]
        infos = [*graph.input, *graph.value_info, *graph.output]
        self.shapes = {info.name: tuple(d.dim_value for d in info.type.tensor_type.shape.dim) for info in infos}
        self.first_quantizer = next(i for i, node in enumerate(self.nodes) if node.op_type in QUANTIZERS)
        self.input, self.output = graph.input[0].name, graph.output[0].name
        self.readers = Counter(name for node in self.nodes for name in set(self.data_inputs(node)))

    @property
    def last_layer(self) -> int:
        """Index in `nodes` of the last Conv or MatMul; everything behind it is the epilogue, for all paths have met by then."""
        return max(i for i, node in enumerate(self.nodes) if node.op_type in LAYERS)

    def data_inputs(self, node: onnx.NodeProto) -> list[str]:
        """The inputs of a node that depend on the image: one, or two of an Add."""
        return [name for name in node.input if name and name not in self.constants and not self.is_weight(name)]

    def is_weight(self, tensor: str) -> bool:
        """Whether a tensor is the output of a weight quantizer."""
        producer = self._producers.get(tensor)
        return producer is not None and self._is_weight(producer)

    def _is_weight(self, node: onnx.NodeProto) -> bool:
        return node.op_type in QUANTIZERS and node.input[0] in self.constants

    def quantizer_type(self, node: onnx.NodeProto) -> ActType:
        """Integer range of a quantizer's output."""
        if node.op_type == "BipolarQuant":
            return ActType(1, True, True, -1, 1)
        attrs = attributes(node)
        bits = int(self.constants[node.input[3]])
        signed, narrow = bool(attrs.get("signed", 1)), int(attrs.get("narrow", 0))
        if signed:
            half = 2 ** (bits - 1)
            return ActType(bits, True, False, -half + narrow, half - 1)
        return ActType(bits, False, False, 0, 2**bits - 1 - narrow)

    def quantizer_scale(self, node: onnx.NodeProto) -> float:
        """Unit of a quantizer's integers."""
        return float(self.constants[node.input[1]])

    def producer(self, tensor: str) -> onnx.NodeProto | None:
        """The node that makes `tensor`; None for the input and constants."""
        return self._producers.get(tensor)

    def weight_quantizer(self, tensor: str) -> onnx.NodeProto:
        """The weight quantizer that makes `tensor`."""
        return self._producers[tensor]

    def weights(self, node: onnx.NodeProto) -> LayerWeights:
        """Integer weights of a Conv or MatMul. Quantizing again what the importer quantized changes nothing."""
        quantizer = self._producers[node.input[1]]
        scale = self.quantizer_scale(quantizer)
        values = self.constants[quantizer.input[0]].astype(np.float64) / scale
        return LayerWeights(np.rint(values).astype(np.int64), scale, self.quantizer_type(quantizer))


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The node's attributes as Python values."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
