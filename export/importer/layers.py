"""Pads, pools, convolutions and fully connected layers behind the first quantizer."""

import numpy as np
import onnx

from flipflow.export.importer import operators as ops
from flipflow.export.importer.join import require_saturated
from flipflow.export.importer.pools import write_pool
from flipflow.export.importer.quantizers import weight_node
from flipflow.export.importer.state import WriterState, indices, label
from flipflow.export.importer.weights import QuantWeight, power_of_two, recognize


def write_layer(state: WriterState, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
    """Write a Pad, pool, Conv, Gemm or MatMul, or note its problem."""
    if node.op_type == "Pad":
        _pad(state, node, after)
    elif node.op_type in ("MaxPool", *ops.SUM_POOLS):
        write_pool(state, node, before, after)
    elif node.op_type == "Conv":
        _conv(state, node, before, after)
    else:
        _matmul(state, node, after)


def _pad(state: WriterState, node: onnx.NodeProto, after: np.ndarray) -> None:
    pads, value, mode = ops.pad_request(node, state.constants, after.ndim)
    if not any(pads):
        return
    if not state.require_plain(node):
        return
    outer = pads[:2] + pads[4:6]
    known = state.activation is not None and (
        value == 0.0 or (state.activation.bipolar and abs(value) == state.activation.scale)
    )
    if mode != "constant" or len(pads) != 8 or any(outer) or min(pads) < 0 or not known:
        state.problem(
            node,
            "E209",
            f"it pads with {value:g} (mode {mode}, pads {pads}).",
            "Pad rows and columns only, with 0, or with -1 or +1 times the scale of a bipolar tensor.",
        )
        return
    state.pending_pad = ((pads[2], pads[3], pads[6], pads[7]), value)
    state.view = indices(after.shape)


def _conv(state: WriterState, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
    attrs = ops.attributes(node)
    weight = _layer_weight(state, node, node.input[1])
    kernel = tuple(state.constants[node.input[1]].shape[2:]) if node.input[1] in state.constants else ()
    if attrs.get("group", 1) != 1 or any(d != 1 for d in attrs.get("dilations", ())) or len(kernel) != 2:
        state.problem(
            node,
            "E208",
            f"it has group={attrs.get('group', 1)}, dilations={attrs.get('dilations')}, kernel {kernel}.",
            "Use two-dimensional convolutions with group 1 and dilation 1.",
        )
        state.pending_pad = None
        _after_layer(state, after.shape)
        return
    pads = ops.window_pads(node, before.shape[2:], kernel)
    outer = state.pending_pad[0] if state.pending_pad is not None else (0, 0, 0, 0)
    if any(a + b >= kernel[axis % 2] for axis, (a, b) in enumerate(zip(pads, outer, strict=True))):
        state.problem(
            node,
            "E209",
            f"it pads by {[a + b for a, b in zip(pads, outer, strict=True)]}, so windows of {kernel} lie wholly in the border.",
            "Pad by less than the kernel's size.",
        )
        return
    if state.pending_pad is not None:
        pads = _merge_pad(state, node, pads)
    elif not state.require_plain(node):
        return
    if weight is not None:
        strides = tuple(attrs.get("strides", (1, 1)))
        own = {"kernel_shape": kernel, "strides": strides, "pads": pads, "group": 1, "dilations": (1, 1)}
        operand = weight_node(state, weight)
        state.builder.append("Conv", (operand,), after.shape, label(node), attributes=own)
    _after_layer(state, after.shape)
    if weight is not None and len(node.input) > 2 and node.input[2]:
        _per_output(state, "Add", state.constants[node.input[2]], node)


def _merge_pad(state: WriterState, node: onnx.NodeProto, pads: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    assert state.pending_pad is not None
    outer, value = state.pending_pad
    state.pending_pad = None
    if value == 0.0:
        return (pads[0] + outer[0], pads[1] + outer[1], pads[2] + outer[2], pads[3] + outer[3])
    if any(pads):
        state.problem(node, "E209", "it pads with 0 what a Pad node has padded already.", "Pad in one place.")
        return pads
    _, channels, height, width = state.builder.shape
    shape = (1, channels, height + outer[0] + outer[2], width + outer[1] + outer[3])
    amounts = state.builder.constant("pads", np.array([0, 0, *outer[:2], 0, 0, *outer[2:]], np.int64))
    filler = state.builder.constant("pad_value", np.array(value, np.float32))
    state.builder.append("Pad", (amounts, filler), shape, label(node), attributes={"mode": "constant"})
    return pads


def _matmul(state: WriterState, node: onnx.NodeProto, after: np.ndarray) -> None:
    attrs = ops.attributes(node)
    rank = state.constants[node.input[1]].ndim if node.input[1] in state.constants else 2
    if node.input[0] in state.constants or attrs.get("transA", 0) or state.view.ndim != 2 or rank != 2:
        state.problem(
            node,
            "E214",
            f"it multiplies data of shape {state.view.shape} in an unusual order.",
            "Write fully connected layers as x @ W with x of shape [batch, features].",
        )
        return
    weight = _layer_weight(state, node, node.input[1])
    if weight is not None:
        rows = weight.integers.T if attrs.get("transB", 0) else weight.integers
        ordered = np.empty_like(rows)
        ordered[state.view.reshape(-1)] = rows
        if len(state.builder.shape) > 2:
            state.builder.append("Flatten", (), (1, rows.shape[0]), label(node), attributes={"axis": 1})
        operand = weight_node(state, weight.reshaped(ordered))
        state.builder.append("MatMul", (operand,), after.shape, label(node))
    _after_layer(state, after.shape)
    if weight is None:
        return
    if attrs.get("alpha", 1.0) != 1.0:
        _per_output(state, "Mul", np.array(attrs["alpha"], np.float32), node)
    if len(node.input) > 2 and node.input[2]:
        _per_output(state, "Add", state.constants[node.input[2]] * np.float32(attrs.get("beta", 1.0)), node)


def _after_layer(state: WriterState, shape: tuple[int, ...]) -> None:
    state.layers += 1
    state.activation = None
    state.now(shape)


def _per_output(state: WriterState, op_type: str, value: np.ndarray, node: onnx.NodeProto) -> None:
    """A bias or factor, scalar or one value a channel, behind the layer."""
    shape = state.builder.shape
    fitted = value.reshape(()) if value.size == 1 else value.reshape(1, shape[1], *[1] * (len(shape) - 2))
    name = state.builder.constant(op_type.lower() + "_constant", fitted.astype(np.float32))
    state.builder.append(op_type, (name,), shape, label(node))


def _layer_weight(state: WriterState, node: onnx.NodeProto, name: str) -> QuantWeight | None:
    if state.activation is None:
        state.problem(
            node, "E212", "its input is not quantized.", "Put a QuantIdentity (sign or fixed point) before every layer."
        )
    elif state.activation.summed is not None:
        require_saturated(state, node, node.input[0], state.activation)
    weight = state.weights.get(name)
    if weight is None and name in state.refused:
        return None
    if weight is None and name in state.constants:
        weight = recognize(state.constants[name], label(node))
    if weight is not None and not power_of_two(weight.scale):
        state.problem(
            node,
            "E206",
            f"its weights are -{weight.scale:g} and {weight.scale:g}; exact integers need a power of two.",
            "Train with scaling_const=1.0 (binary) or restrict_scaling_type=POWER_OF_TWO (fixed point).",
        )
        return None
    if weight is None:
        state.problem(
            node,
            "E205",
            "its weights are not quantized.",
            "Use a quantized layer (binary, or fixed point with a power-of-two scale) and export QONNX.",
        )
    return weight
