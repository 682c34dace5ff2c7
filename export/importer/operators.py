"""Which operators the importer takes, and how their attributes read across opsets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper

SKIPPED = frozenset({"Identity", "Dropout", "Cast"})
MOVES = frozenset({"Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"})
UNARY = frozenset(
    "Neg Abs Relu LeakyRelu Elu Selu Celu Sigmoid HardSigmoid Tanh Softplus Softsign ThresholdedRelu "
    "Exp Log Sqrt Reciprocal Floor Ceil Round Sign Erf".split()
)
BINARY = frozenset("Add Sub Mul Div Pow Min Max PRelu".split())
HOST_ONLY = frozenset(
    {"Conv", "Gemm", "MatMul", "AveragePool", "GlobalAveragePool", "MaxPool", "InstanceNormalization"}
)
SUM_POOLS = frozenset({"ReduceSum", "ReduceMean", "GlobalAveragePool", "AveragePool"})
QUANTIZERS = frozenset({"Quant", "IntQuant", "BipolarQuant"})
_WIDEST_PAD = 4096
_MOST_ELEMENTS = 1 << 28


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """The node's attributes as Python values."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def absurd_size(node: onnx.NodeProto, inputs: Mapping[str, np.ndarray]) -> bool:
    """Whether a damaged number makes the node ask for far more memory than any network; to be known before it runs."""
    pads = [attribute.ints for attribute in node.attribute if attribute.name == "pads"]
    if any(abs(pad) > _WIDEST_PAD for pad in (pads[0] if pads else ())):
        return True
    if node.op_type == "Pad" and not pads:
        return bool(np.any(np.abs(inputs[node.input[1]].astype(np.float64)) > _WIDEST_PAD))
    if node.op_type in ("ConstantOfShape", "Expand", "Tile", "Upsample", "Resize"):
        sizes = [inputs[name] for name in node.input[-1:] if name and inputs[name].dtype.kind in "if"]
        return bool(sizes) and float(np.abs(np.prod(sizes[0].astype(np.float64)))) > _MOST_ELEMENTS
    return False


def window_pads(node: onnx.NodeProto, in_size: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int, int, int]:
    """Padding (top, left, bottom, right) of a Conv or MaxPool, `auto_pad` and `ceil_mode` resolved.

    in_size: height and width of the input. Rounding up (`ceil_mode`) becomes explicit padding at bottom and right.
    """
    attrs = attributes(node)
    strides = tuple(attrs.get("strides", (1, 1)))
    mode = attrs.get("auto_pad", b"NOTSET").decode()
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        begins, ends = [], []
        for size, window, stride in zip(in_size, kernel, strides, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + window - size)
            small, large = total // 2, total - total // 2
            begins.append(small if mode == "SAME_UPPER" else large)
            ends.append(large if mode == "SAME_UPPER" else small)
        return (begins[0], begins[1], ends[0], ends[1])
    top, left, bottom, right = attrs.get("pads", (0, 0, 0, 0)) if mode != "VALID" else (0, 0, 0, 0)
    if attrs.get("ceil_mode", 0):
        bottom += _round_up(in_size[0], kernel[0], strides[0], top, bottom)
        right += _round_up(in_size[1], kernel[1], strides[1], left, right)
    return (top, left, bottom, right)


def _round_up(size: int, kernel: int, stride: int, begin: int, end: int) -> int:
    """Extra padding that makes the last, partly filled window whole; none where it would lie in padding alone."""
    span = size + begin + end - kernel
    extra = -span % stride
    last_start = span + extra
    return extra if extra and last_start < size + begin else 0


def clip_bounds(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Lower and upper bound of a Clip, from attributes (opset < 11) or inputs."""
    attrs = attributes(node)
    bounds: list[np.ndarray | None] = []
    for position, key in ((1, "min"), (2, "max")):
        if key in attrs:
            bounds.append(np.array(attrs[key], np.float32))
        elif len(node.input) > position and node.input[position]:
            bounds.append(constants[node.input[position]].astype(np.float32).reshape(()))
        else:
            bounds.append(None)
    return bounds[0], bounds[1]


def pad_request(node: onnx.NodeProto, constants: dict[str, np.ndarray], rank: int) -> tuple[list[int], float, str]:
    """Pads (begins then ends, all axes), value and mode of a Pad node of any opset."""
    attrs = attributes(node)
    mode = attrs.get("mode", b"constant").decode()
    if "pads" in attrs:
        return list(attrs["pads"]), float(attrs.get("value", 0.0)), mode
    pads = [int(p) for p in constants[node.input[1]].reshape(-1)]
    if len(node.input) > 3 and node.input[3]:
        given, pads = pads, [0] * (2 * rank)
        axes = [int(axis) % rank for axis in constants[node.input[3]].reshape(-1)]
        for position, axis in enumerate(axes):
            pads[axis], pads[rank + axis] = given[position], given[len(axes) + position]
    has_value = len(node.input) > 2 and node.input[2]
    value = float(constants[node.input[2]].reshape(-1)[0]) if has_value else 0.0
    return pads, value, mode
