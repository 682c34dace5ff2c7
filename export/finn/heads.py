"""Reads the nodes that compute, layers and sums over windows, from the QONNX file; and the formats that quantizers state."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.export.finn.formats import QUANTIZERS, Format, attributes, quantizer_format
from flipflow.export.finn.network import Layer, WindowSum, fail, label, shape_of


def _scalar(model: Any, node: NodeProto, index: int, default: float) -> float:
    if len(node.input) <= index:
        return default
    values = np.unique(model.get_initializer(node.input[index]))
    if len(values) != 1:
        raise fail("E251", node, "it has a scale or width per channel.", "Use one per tensor.")
    return float(values[0])


def node_format(model: Any, node: NodeProto) -> Format:
    """Format that a quantizer node of the QONNX file produces."""
    scale = _scalar(model, node, 1, 1.0)
    return quantizer_format(node, scale, _scalar(model, node, 2, 0.0), _scalar(model, node, 3, 1.0))


def _weights(model: Any, node: NodeProto) -> tuple[NDArray[np.int64], Format]:
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    quantizer = model.find_producer(node.input[1])
    if quantizer is None or quantizer.op_type not in QUANTIZERS:
        raise fail("E253", node, "its weights are not quantized.", "Feed them through a BipolarQuant or Quant node.")
    form = node_format(model, quantizer)
    context = {name: model.get_initializer(name) for name in quantizer.input if name}
    if any(value is None for value in context.values()):
        raise fail("E253", node, "its weights are not constant.", "Store weights and scales as initializers.")
    getCustomOp(quantizer).execute_node(context, model.graph)
    integers = np.asarray(context[quantizer.output[0]], np.float64) / form.scale
    return np.rint(integers).astype(np.int64), form


def _pair(values: object, default: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(v) for v in values) if isinstance(values, (list, tuple)) and values else tuple(default)


def _padding(model: Any, node: NodeProto, pad: NodeProto | None, x: Format) -> tuple[tuple[int, ...], str]:
    own = _pair(attributes(node).get("pads"), (0, 0, 0, 0))
    if pad is None:
        return own, "zero" if any(own) else "none"
    sizes = [int(size) for size in np.ravel(model.get_initializer(pad.input[1]))]
    value = float(np.ravel(model.get_initializer(pad.input[2]))[0]) if len(pad.input) > 2 and pad.input[2] else 0.0
    kinds = {0.0: "zero"}
    if x.bipolar:
        kinds |= {-x.scale: "minus_one", x.scale: "plus_one"}
    mode = attributes(pad).get("mode", b"constant")
    if value not in kinds or mode != b"constant" or any(own) or len(sizes) != 8 or any(sizes[i] for i in (0, 1, 4, 5)):
        fix = "Pad height and width with 0 or, where the tensor is bipolar, with -1 or +1 times its scale."
        raise fail("E254", pad, f"padding with {value:g} in mode {mode!r} is not supported here.", fix)
    pads = (sizes[2], sizes[3], sizes[6], sizes[7])
    if min(pads) < 0:
        raise fail("E254", pad, "it crops.", "Only padding that grows the map can be lowered.")
    return pads, kinds[value] if any(pads) else "none"


def implicit(node: NodeProto) -> bool:
    """Whether a Conv or pool leaves its padding to the runtime."""
    return attributes(node).get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")


def read_layer(model: Any, node: NodeProto, pad: NodeProto | None, x: Format) -> Layer:
    """A Conv or MatMul whose input has format x, with the Pad node before it.

    Raises: FlipflowError E253 (weights not quantized), E254 (out of the supported set).
    """
    weights, form = _weights(model, node)
    values = attributes(node)
    stride = _pair(values.get("strides"), (1, 1))
    pads, kind = _padding(model, node, pad, x) if node.op_type == "Conv" else ((0, 0, 0, 0), "none")
    dilations = _pair(values.get("dilations"), (1, 1))
    plain = values.get("group", 1) == 1 and set(dilations) == {1} and len(node.input) == 2 and len(stride) == 2
    if not plain or implicit(node):
        fix = "Use 2-D convolutions of group 1, dilation 1, explicit pads, without bias (a bias is an Add node)."
        raise fail("E254", node, "groups, dilations, auto_pad or a bias are not supported.", fix)
    start = pad.input[0] if pad is not None else node.input[0]
    top, left, bottom, right = pads
    return Layer(
        label(node), weights, form, start, node.output[0], (stride[0], stride[1]), (top, left, bottom, right), kind
    )


def read_sum(model: Any, node: NodeProto, x: str) -> WindowSum:
    """A sum or average over windows of the map `x` [1,C,H,W].

    Raises: FlipflowError E254 where it reduces something else than rows and columns, or pads.
    """
    shape = shape_of(model, x)
    values = attributes(node)
    fix = "Reduce rows and columns, or average windows without padding and dilation."
    if len(shape) != 4:
        raise fail("E254", node, f"its input has shape {shape}, not that of a map.", fix)
    if node.op_type != "AveragePool":
        given: object = values.get("axes", [2, 3])
        if node.op_type.startswith("Reduce") and len(node.input) > 1 and node.input[1]:
            given = [int(axis) for axis in np.ravel(model.get_initializer(node.input[1]))]
        if sorted(axis % 4 for axis in _pair(given, ())) != [2, 3]:
            raise fail("E254", node, f"it reduces the axes {given}.", fix)
        return WindowSum(label(node), node, node.output[0], (shape[2], shape[3]), (1, 1))
    kernel, stride = _pair(values.get("kernel_shape"), ()), _pair(values.get("strides"), (1, 1))
    odd = any(_pair(values.get("pads"), (0,))) or set(_pair(values.get("dilations"), (1,))) != {1}
    if len(kernel) != 2 or odd or implicit(node) or values.get("ceil_mode", 0):
        raise fail("E254", node, "it pads, dilates, or is not two-dimensional.", fix)
    return WindowSum(label(node), node, node.output[0], (kernel[0], kernel[1]), (stride[0], stride[1]))
