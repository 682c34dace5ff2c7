"""Conv and MatMul nodes as integer layers, and the sums that their actual weights allow."""

import numpy as np
import onnx

from flipflow.export.integer.chain import Reach
from flipflow.export.integer.graph import LayerWeights, attributes
from flipflow.export.integer.net import Conv, Domain, Linear, PadKind
from flipflow.export.integer.tensors import Fixed

EXACT_FLOAT32 = 2**24


def make_layer(name: str, node: onnx.NodeProto, tensor: Fixed, weights: LayerWeights) -> Conv | Linear:
    """The layer of a Conv or MatMul node on `tensor`."""
    return _conv(name, node, tensor, weights) if node.op_type == "Conv" else _linear(name, tensor, weights)


def _conv(name: str, node: onnx.NodeProto, tensor: Fixed, weights: LayerWeights) -> Conv:
    attrs = attributes(node)
    pads = tuple(attrs["pads"])
    kind: PadKind = "zero" if any(pads) else "none"
    if tensor.border is not None:
        pads, kind = tensor.border.pads, tensor.border.kind
    binary = tensor.type.bipolar and weights.type.bipolar
    return Conv(
        name=name,
        weights=weights.integers.transpose(0, 2, 3, 1).astype(np.int16),
        stride=tuple(attrs["strides"]),
        pads=pads,
        pad_kind=kind,
        input=tensor.type,
        weight_bits=weights.type.bits,
        weight_bipolar=weights.type.bipolar,
        domain="popcount" if binary and kind != "zero" else "sum",
    )


def _linear(name: str, tensor: Fixed, weights: LayerWeights) -> Linear:
    rows = weights.integers
    if tensor.flat_from is not None and len(tensor.flat_from) == 4:
        _, channels, height, width = tensor.flat_from
        rows = rows.reshape(channels, height, width, -1).transpose(1, 2, 0, 3).reshape(rows.shape)
    domain: Domain = "popcount" if tensor.type.bipolar and weights.type.bipolar else "sum"
    return Linear(name, rows.T.astype(np.int16), tensor.type, weights.type.bits, weights.type.bipolar, domain)


def sums_of(layer: Conv | Linear, unit: float) -> Reach:
    """All sums the layer can give, from its actual weights; unit: their real value."""
    rows = layer.weights.reshape(layer.weights.shape[0], -1).astype(np.int64)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    smallest, largest = layer.input.minimum, layer.input.maximum
    low, high = positive * smallest + negative * largest, positive * largest + negative * smallest
    # Sums of K signs have K's parity, unless padding leaves some of them out.
    step = 2 if layer.domain == "popcount" else 1
    return Reach(int(low.min()), int(high.max()), step, low, high, unit, 4 if isinstance(layer, Conv) else 2)
