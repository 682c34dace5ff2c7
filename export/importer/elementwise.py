"""Data movement, elementwise operators, and the float layers that stay on the host."""

import numpy as np
import onnx

from flipflow.export.evaluate import evaluate
from flipflow.export.importer import operators as ops
from flipflow.export.importer.state import WriterState, indices, label

# --- data movement ---


def write_move(state: WriterState, node: onnx.NodeProto, after: np.ndarray) -> None:
    """A reshape or transpose: written on the host, kept in the view behind the first quantizer."""
    if after.ndim < 2 or after.shape[0] != 1:
        state.problem(
            node, "E214", f"it gives the shape {after.shape}: images are mixed.", "Keep axis 0 for the batch."
        )
        return
    if state.on_host:
        _host_move(state, node, after)
        return
    context = dict(state.constants) | {node.input[0]: state.view}
    state.view = evaluate(node, context, state.opset)[0]


def _host_move(state: WriterState, node: onnx.NodeProto, after: np.ndarray) -> None:
    if node.op_type == "Transpose":
        attrs = ops.attributes(node)
        if attrs.get("perm", (1,))[0] != 0:
            state.problem(node, "E214", "it moves the batch axis: images are mixed.", "Keep axis 0 for the batch.")
            return
        state.builder.append("Transpose", (), after.shape, label(node), attributes=attrs)
    else:
        target = state.builder.constant("shape", np.array([-1, *after.shape[1:]], np.int64))
        state.builder.append("Reshape", (target,), after.shape, label(node))
    state.view = indices(after.shape)


# --- elementwise operators ---


def write_elementwise(state: WriterState, node: onnx.NodeProto, before: np.ndarray, after: np.ndarray) -> None:
    """An operator that keeps the shape; behind the first quantizer its constants are scalars or one value a channel."""
    if before.shape != after.shape:
        state.problem(node, "E216", f"it broadcasts {before.shape} to {after.shape}.", "Keep the tensor's shape.")
        return
    data_at = next(i for i, name in enumerate(node.input) if name not in state.constants)
    names = _operands(state, node, before, data_at)
    if names is None:
        return
    attrs = {
        k: v for k, v in ops.attributes(node).items() if k not in ("min", "max", "momentum", "training_mode", "spatial")
    }
    state.builder.append(node.op_type, names, state.builder.shape, label(node), data_at, attrs)
    state.activation = None


def _operands(state: WriterState, node: onnx.NodeProto, before: np.ndarray, data_at: int) -> tuple[str, ...] | None:
    if node.op_type == "Clip":
        bounds = ops.clip_bounds(node, state.constants)
        return tuple("" if bound is None else state.builder.constant("bound", bound) for bound in bounds)
    names = []
    for position, name in enumerate(node.input):
        if position == data_at:
            continue
        value = state.constants[name]
        if np.isnan(value).any() or (node.op_type == "BatchNormalization" and not np.isfinite(value).all()):
            state.problem(
                node, "E217", f"its constant {name!r} holds values that are not finite.", "Train again; lower the rate."
            )
            return None
        if node.op_type == "BatchNormalization":
            fitted = state.channel_vector(value.reshape(1, -1, *[1] * (before.ndim - 2)), before.shape)
            fitted = None if fitted is None else np.broadcast_to(fitted.reshape(-1), (state.builder.shape[1],))
        elif state.on_host:
            fitted = value
        else:
            fitted = state.channel_vector(value, before.shape)
        if fitted is None:
            state.problem(
                node,
                "E216",
                f"its constant {name!r} of shape {value.shape} is not one value a channel.",
                "Use scalars or one value a channel.",
            )
            return None
        names.append(state.builder.constant(node.op_type.lower() + "_constant", fitted.astype(np.float32)))
    return tuple(names)


# --- host layers ---


def write_host(state: WriterState, node: onnx.NodeProto, after: np.ndarray) -> None:
    """Float layers before the first quantizer stay as they are."""
    data_at = next(i for i, name in enumerate(node.input) if name not in state.constants)
    names = [
        state.builder.constant("host_constant", state.constants[name]) if name else ""
        for i, name in enumerate(node.input)
        if i != data_at
    ]
    state.builder.append(node.op_type, tuple(names), after.shape, label(node), data_at, ops.attributes(node))
    state.view = indices(after.shape)
