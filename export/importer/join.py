"""Where two paths of data meet: the Add of a residual network."""

import numpy as np
import onnx

from flipflow.export.importer.state import Activation, Place, WriterState, indices, label

_REMEDY = (
    "Quantize both to the same power-of-two scale: give the two QuantIdentity layers before the sum one scaling_const "
    "(in [model], residual_fraction sets it for the whole network)."
)


def write_add(
    state: WriterState, node: onnx.NodeProto, places: tuple[Place, Place], names: tuple[str, str], after: np.ndarray
) -> bool:
    """Write an Add of two tensors; False (with a problem noted) where the walk cannot go on.

    Both must be quantized, with the same scale, and of the same shape; `names` are the tensors' in the source file.
    """
    left, right = places
    if left.shape != right.shape or left.view.shape != right.view.shape or not np.array_equal(left.view, right.view):
        note_mismatch(state, node, names, (left.view.shape, right.view.shape))
        return False
    loose = [name for place, name in zip(places, names, strict=True) if place.activation is None or place.pending_pad]
    if loose:
        what = f"it adds {' and '.join(repr(name) for name in loose)}, which no quantizer made."
        state.problem(node, "E222", what, _REMEDY)
        return False
    assert left.activation is not None and right.activation is not None
    if not _require_saturated(state, node, places, names):
        return False
    one, other = left.activation.scale, right.activation.scale
    if one != other:
        what = f"it adds {names[0]!r} in steps of {one:g} and {names[1]!r} in steps of {other:g}."
        state.problem(node, "E222", what, _REMEDY)
    state.go(left)
    state.builder.join("Add", (left.tensor, right.tensor), left.shape, label(node))
    ranges = tuple((place.activation.low, place.activation.high) for place in places if place.activation is not None)
    low, high = (sum(ends) for ends in zip(*ranges, strict=True))
    state.activation = Activation(one, False, low, high, (ranges[0], ranges[1]))
    if after.shape != state.view.shape:
        state.view = indices(state.builder.shape)
    return True


def note_mismatch(
    state: WriterState, node: onnx.NodeProto, names: tuple[str, str], shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    """Note that an Add joins tensors that are not of one shape or order (E223)."""
    pair = " and ".join(f"{name!r} of shape {list(shape)}" for name, shape in zip(names, shapes, strict=True))
    what = f"it adds {pair}, element by element they do not match."
    state.problem(node, "E223", what, "Bring both paths to the same channels, rows, columns and order.")


def _require_saturated(
    state: WriterState, node: onnx.NodeProto, places: tuple[Place, Place], names: tuple[str, str]
) -> bool:
    for place, name in zip(places, names, strict=True):
        if place.activation is not None and place.activation.summed is not None:
            require_saturated(state, node, name, place.activation)
            return False
    return True


def require_saturated(state: WriterState, node: onnx.NodeProto, tensor: str, activation: Activation) -> None:
    """Note that a sum of two tensors reaches `node` as it is (E224)."""
    ranges = " and ".join(f"{low}..{high}" for low, high in activation.summed or ())
    state.problem(
        node,
        "E224",
        f"its input {tensor!r} is a sum of two tensors that no quantizer has brought back to their range: it can reach "
        f"{activation.low}..{activation.high}, they lie in {ranges}.",
        "Put a QuantIdentity of the same scale behind the addition: it saturates, in training too.",
    )
