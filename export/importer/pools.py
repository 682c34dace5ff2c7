"""Pools behind the first quantizer: maxima, and sums and averages of quantized maps."""

import numpy as np
import onnx

from flipflow.export.importer import operators as ops
from flipflow.export.importer.join import require_saturated
from flipflow.export.importer.state import WriterState, indices, label


def write_pool(state: WriterState, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
    """Write a MaxPool or a sum pool, or note its problem."""
    if node.op_type == "MaxPool":
        _max_pool(state, node, before, after)
    else:
        _sum_pool(state, node, before, after)


def _max_pool(state: WriterState, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
    attrs = ops.attributes(node)
    kernel = tuple(attrs["kernel_shape"])
    if len(kernel) != 2 or any(d != 1 for d in attrs.get("dilations", (1, 1))):
        state.problem(node, "E208", "only two-dimensional pooling without dilation is supported.", "Change the layer.")
        state.now(after.shape)
        return
    if not state.require_plain(node):
        return
    pads = ops.window_pads(node, before.shape[2:], kernel)
    own = {"kernel_shape": kernel, "strides": tuple(attrs.get("strides", (1, 1))), "pads": pads}
    state.builder.append("MaxPool", (), after.shape, label(node), attributes=own)
    state.view = indices(after.shape)


def _sum_pool(state: WriterState, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
    """Sums stay what they are; the division of an average goes into what follows."""
    if state.activation is None:
        fix = "Put a QuantIdentity before the pool: sums of integers are exact, sums of floats are not."
        state.problem(node, "E212", "its input is not quantized.", fix)
    elif state.activation.summed is not None:
        require_saturated(state, node, node.input[0], state.activation)
    elif before.ndim != 4 or not state.require_plain(node):
        return
    operands, own = _reduction(state, node) if node.op_type.startswith("Reduce") else _average(state, node, before)
    state.activation = None
    if own is None:
        state.now(after.shape)
        return
    state.builder.append(node.op_type, operands, after.shape, label(node), attributes=own)
    state.now(after.shape)


def _reduction(state: WriterState, node: onnx.NodeProto) -> tuple[tuple[str, ...], dict[str, object] | None]:
    """Operands and attributes in opset 13 of a sum or mean over rows and columns."""
    attrs = ops.attributes(node)
    given = state.constants[node.input[1]] if len(node.input) > 1 and node.input[1] else attrs.get("axes", ())
    axes = sorted(int(axis) % 4 for axis in np.ravel(given))
    if axes != [2, 3]:
        what = f"it reduces the axes {axes or 'all'} of [batch, channels, rows, columns]."
        state.problem(node, "E208", what, "Reduce rows and columns, axes 2 and 3.")
        return (), None
    keep = int(attrs.get("keepdims", 1))
    if node.op_type == "ReduceMean":
        return (), {"axes": axes, "keepdims": keep}
    return (state.builder.constant("axes", np.array(axes, np.int64)),), {"keepdims": keep}


def _average(
    state: WriterState, node: onnx.NodeProto, before: np.ndarray
) -> tuple[tuple[str, ...], dict[str, object] | None]:
    """Attributes of an average over windows, or over the whole map."""
    if node.op_type == "GlobalAveragePool":
        return (), {}
    attrs = ops.attributes(node)
    kernel = tuple(attrs["kernel_shape"])
    pads = ops.window_pads(node, before.shape[2:], kernel)
    if len(kernel) != 2 or any(pads) or any(d != 1 for d in attrs.get("dilations", (1, 1))):
        what = f"it averages windows of {kernel} with pads {pads} and dilations {attrs.get('dilations', (1, 1))}."
        state.problem(node, "E208", what, "Use average pools without padding and dilation, in two dimensions.")
        return (), None
    return (), {"kernel_shape": kernel, "strides": tuple(attrs.get("strides", (1, 1)))}
