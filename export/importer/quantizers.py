"""Quantizers of activations and of weights: what scales and bit widths they may have, and their canonical nodes."""

import numpy as np
import onnx

from flipflow.export.evaluate import evaluate
from flipflow.export.importer import operators as ops
from flipflow.export.importer.state import Activation, WriterState, indices, label
from flipflow.export.importer.weights import MOST_WEIGHT_BITS, QuantWeight, power_of_two


def weight_quantizer(state: WriterState, node: onnx.NodeProto) -> QuantWeight | None:
    """The integers behind a quantizer on a constant; None (with a problem noted) where its scale will not do."""
    scale = _scale(state, node)
    if scale is None:
        return None
    values = evaluate(node, state.constants, state.opset)[0]
    if not np.isfinite(values).all():
        state.problem(node, "E217", "some of the weights are infinite or not a number.", "Train again; lower the rate.")
        return None
    integers = np.rint(values.astype(np.float64) / scale).astype(np.int64)
    if _is_bipolar(state, node):
        return QuantWeight(integers, scale, 1, True, False, True, label(node))
    attrs = ops.attributes(node)
    bits = int(state.constants[node.input[3]].reshape(-1)[0])
    signed, narrow = bool(attrs.get("signed", 1)), bool(attrs.get("narrow", 0))
    if bits > MOST_WEIGHT_BITS:
        state.problem(
            node, "E206", f"its weights have {bits} bits.", f"Use at most {MOST_WEIGHT_BITS} bits for weights."
        )
        return None
    return QuantWeight(integers, scale, bits, signed, narrow, False, label(node))


def weight_node(state: WriterState, weight: QuantWeight) -> str:
    """Write the weights and the quantizer that states their type; returns its output's name."""
    values = (weight.integers * weight.scale).astype(np.float32)
    shape = tuple(values.shape)
    operands = [
        state.builder.constant("weight", values),
        state.builder.constant("scale", np.array(weight.scale, np.float32)),
    ]
    if weight.bipolar:
        return state.builder.side_node("BipolarQuant", operands, shape, weight.source)
    operands.append(state.builder.constant("zero_point", np.array(0, np.float32)))
    operands.append(state.builder.constant("bit_width", np.array(weight.bits, np.float32)))
    return state.builder.side_node(
        "Quant",
        operands,
        shape,
        weight.source,
        signed=int(weight.signed),
        narrow=int(weight.narrow),
        rounding_mode="ROUND",
    )


def write_quantizer(state: WriterState, node: onnx.NodeProto) -> None:
    """An activation quantizer: the data are quantized from here on, whatever its scale is."""
    scale = _scale(state, node)
    state.on_host = False
    bipolar = scale is not None and _is_bipolar(state, node)
    state.activation = Activation(scale or 1.0, bipolar)
    if scale is None:
        return
    if not bipolar:
        state.activation = Activation(scale, False, *_range(state, node))
    operands = [state.builder.constant("scale", np.array(scale, np.float32))]
    attrs = {} if bipolar else _quant_attributes(node)
    if not bipolar:
        bits = state.constants[node.input[3]].astype(np.float32).reshape(())
        operands.append(state.builder.constant("zero_point", np.array(0, np.float32)))
        operands.append(state.builder.constant("bit_width", bits))
    op_type = "BipolarQuant" if bipolar else "Quant"
    state.builder.append(op_type, tuple(operands), state.builder.shape, label(node), attributes=attrs)
    if state.view.shape != state.builder.shape and state.view.size != int(np.prod(state.builder.shape)):
        state.view = indices(state.builder.shape)


def _range(state: WriterState, node: onnx.NodeProto) -> tuple[int, int]:
    """Smallest and largest integer of a Quant."""
    attrs = ops.attributes(node)
    bits, narrow = int(state.constants[node.input[3]].reshape(-1)[0]), int(bool(attrs.get("narrow", 0)))
    if attrs.get("signed", 1):
        return narrow - 2 ** (bits - 1), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def _is_bipolar(state: WriterState, node: onnx.NodeProto) -> bool:
    """Whether -1 and +1 are all it gives: QONNX takes a signed Quant of one bit as a sign, too."""
    if node.op_type == "BipolarQuant":
        return True
    return bool(ops.attributes(node).get("signed", 1)) and float(state.constants[node.input[3]].reshape(-1)[0]) == 1.0


def _quant_attributes(node: onnx.NodeProto) -> dict[str, object]:
    attrs = ops.attributes(node)
    rounding = attrs.get("rounding_mode", b"ROUND").decode()
    # Any number but 0 is true to QONNX.
    signed, narrow = bool(attrs.get("signed", 1)), bool(attrs.get("narrow", 0))
    return {"signed": int(signed), "narrow": int(narrow), "rounding_mode": rounding}


def _scale(state: WriterState, node: onnx.NodeProto) -> float | None:
    """The quantizer's scale, or None with a problem noted (E206 scale or zero point, E212 not constant)."""
    operands = [state.constants.get(name) for name in node.input[1:]]
    if any(operand is None for operand in operands):
        state.problem(node, "E206", "its scale, zero point or bit width is not a constant.", "Freeze it before export.")
        return None
    scales = np.unique(operands[0].astype(np.float32))  # type: ignore[union-attr]
    if scales.size != 1 or not power_of_two(float(scales[0])):
        shown = ", ".join(f"{value:g}" for value in scales[:3]) + (", ..." if scales.size > 3 else "")
        state.problem(
            node,
            "E206",
            f"its scale is {shown}; exact integers need one power of two for the whole tensor.",
            "Train with scaling_const=1.0 (binary) or restrict_scaling_type=POWER_OF_TWO (fixed point).",
        )
        return None
    if node.op_type != "BipolarQuant" and np.any(operands[1]):
        state.problem(node, "E206", "its zero point is not 0.", "Use a quantizer with zero point 0.")
        return None
    if node.op_type != "BipolarQuant":
        return _checked_bits(state, node, float(scales[0]), operands[2])
    return float(scales[0])


def _checked_bits(state: WriterState, node: onnx.NodeProto, scale: float, bit_width: np.ndarray | None) -> float | None:
    bits = np.unique(bit_width) if bit_width is not None else np.zeros(0)
    if bits.size != 1 or bits[0] != np.rint(bits[0]) or not 1 <= bits[0] <= 16:
        state.problem(node, "E206", f"its bit width is {bits.tolist()}.", "Use one whole bit width from 1 to 16.")
        return None
    return scale
