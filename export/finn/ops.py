"""The operators of `streamlined.onnx` that neither ONNX nor qonnx has: `Window`, `Threshold`, `MaxMinPool`, and for residual
networks `SaturatingAdd` and `SumPool`.

They are qonnx custom ops of domain `flipflow.export.finn.ops`, so qonnx and FINN find, execute and annotate them.
Shapes, attributes and meaning: see `flipflow.export.finn.streamline`. All execute on any batch size.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qonnx.core.datatype import DataType
from qonnx.custom_op.base import CustomOp

from flipflow.export.finn.formats import integer_dtype

DOMAIN = "flipflow.export.finn.ops"
PAD_KINDS = ("none", "zero", "minus_one", "plus_one")

Array = NDArray[Any]


def taps(x: Array, kernel: list[int], stride: list[int], out: list[int]) -> Array:
    """View of all windows of x [N,H,W,C]: [N,OH,OW,KH,KW,C]; x must already be padded far enough."""
    view = np.lib.stride_tricks.sliding_window_view(x, (kernel[0], kernel[1]), axis=(1, 2))
    view = view[:, :: stride[0], :: stride[1]][:, : out[0], : out[1]]
    return view.transpose(0, 1, 2, 4, 5, 3)


def window_out(shape: tuple[int, ...], kernel: list[int], stride: list[int], pads: list[int]) -> list[int]:
    """[OH,OW] of full windows over [N,H,W,C] with pads [top,left,bottom,right]."""
    return [(shape[1 + i] + pads[i] + pads[2 + i] - kernel[i]) // stride[i] + 1 for i in range(2)]


class Window(CustomOp):  # type: ignore[misc]
    """Sliding window (im2col), [N,H,W,C] -> [N,OH,OW,KH*KW*C], with a typed border."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes, as qonnx wants them."""
        return {
            "kernel": ("ints", True, []),
            "stride": ("ints", True, []),
            "pads": ("ints", True, []),
            "pad_kind": ("s", True, "none", set(PAD_KINDS)),
        }

    def make_shape_compatible_op(self, model: Any) -> Any:
        """A constant of the output's shape."""
        shape = model.get_tensor_shape(self.onnx_node.input[0])
        kernel = self.get_nodeattr("kernel")
        out = window_out(shape, kernel, self.get_nodeattr("stride"), self.get_nodeattr("pads"))
        return self.make_const_shape_op([shape[0], *out, kernel[0] * kernel[1] * shape[3]])

    def infer_node_datatype(self, model: Any) -> None:
        """The input's datatype, but TERNARY where a bipolar tensor gets a border of zeros."""
        dtype = model.get_tensor_datatype(self.onnx_node.input[0])
        if dtype == DataType["BIPOLAR"] and self.get_nodeattr("pad_kind") == "zero":
            dtype = DataType["TERNARY"]
        model.set_tensor_datatype(self.onnx_node.output[0], dtype)

    def pad_value(self, binary: bool) -> float:
        """The border's value; `binary`: the tensor holds bits for a bipolar value."""
        values = {"none": 0.0, "zero": 0.0, "minus_one": 0.0 if binary else -1.0, "plus_one": 1.0}
        return values[self.get_nodeattr("pad_kind")]

    def compute(self, x: Array, binary: bool) -> Array:
        """The windows of x [N,H,W,C]; `binary` as in `pad_value`."""
        top, left, bottom, right = pads = self.get_nodeattr("pads")
        kernel, stride = self.get_nodeattr("kernel"), self.get_nodeattr("stride")
        out = window_out(x.shape, kernel, stride, pads)
        if any(pads):
            border = ((0, 0), (top, bottom), (left, right), (0, 0))
            x = np.pad(x, border, constant_values=self.pad_value(binary))
        return np.ascontiguousarray(taps(x, kernel, stride, out)).reshape(len(x), *out, -1)

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Runs under qonnx' execute_onnx."""
        name = self.onnx_node.input[0]
        context[self.onnx_node.output[0]] = self.compute(context[name], annotation(graph, name) == "BINARY")

    def verify_node(self) -> list[str]:
        """Nothing to add to the checks of `get_nodeattr_types`."""
        return []


class Threshold(CustomOp):  # type: ignore[misc]
    """MultiThreshold with falling channels: y = out_scale * (invert ? N - count : count) + out_bias, NHWC or NC."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes, as qonnx wants them."""
        return {"out_dtype": ("s", True, ""), "out_scale": ("f", False, 1.0), "out_bias": ("f", False, 0.0)}

    def make_shape_compatible_op(self, model: Any) -> Any:
        """A constant of the input's shape."""
        return self.make_const_shape_op(model.get_tensor_shape(self.onnx_node.input[0]))

    def infer_node_datatype(self, model: Any) -> None:
        """The datatype of attribute out_dtype."""
        model.set_tensor_datatype(self.onnx_node.output[0], DataType[self.get_nodeattr("out_dtype")])

    def compute(self, x: Array, thresholds: Array, invert: Array) -> Array:
        """x [...,C], thresholds [C,N], invert [C] -> [...,C] float32."""
        count = count_passed(x, thresholds)
        count = np.where(invert > 0, thresholds.shape[1] - count, count)
        return scaled(count, self.get_nodeattr("out_scale"), self.get_nodeattr("out_bias"))

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Runs under qonnx' execute_onnx."""
        x, thresholds, invert = (context[name] for name in self.onnx_node.input)
        context[self.onnx_node.output[0]] = self.compute(x, thresholds, invert)

    def verify_node(self) -> list[str]:
        """Nothing to add to the checks of `get_nodeattr_types`."""
        return []


class MaxMinPool(CustomOp):  # type: ignore[misc]
    """Maximum over windows, [N,H,W,C] -> [N,OH,OW,C]; minimum in `min_channels`; taps outside the map are ignored."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes, as qonnx wants them."""
        return {
            "kernel": ("ints", True, []),
            "stride": ("ints", True, []),
            "pads": ("ints", True, []),
            "ofm_dim": ("ints", True, []),
            "min_channels": ("ints", False, []),
        }

    def make_shape_compatible_op(self, model: Any) -> Any:
        """A constant of the output's shape."""
        shape = model.get_tensor_shape(self.onnx_node.input[0])
        return self.make_const_shape_op([shape[0], *self.get_nodeattr("ofm_dim"), shape[3]])

    def infer_node_datatype(self, model: Any) -> None:
        """The input's datatype."""
        model.set_tensor_datatype(self.onnx_node.output[0], model.get_tensor_datatype(self.onnx_node.input[0]))

    def compute(self, x: Array) -> Array:
        """Pools x [N,H,W,C]."""
        kernel, stride, out = (self.get_nodeattr(name) for name in ("kernel", "stride", "ofm_dim"))
        low = self.get_nodeattr("min_channels")
        sign = np.ones(x.shape[3], np.float32)
        sign[low] = -1.0
        # the minimum is the negated maximum of the negated channel, so an ignored tap is -inf for both
        x = self._padded(x * sign if low else x, kernel, stride, out)
        view = taps(x, kernel, stride, out)
        best = view[:, :, :, 0, 0]
        for ky in range(kernel[0]):
            for kx in range(kernel[1]):
                best = np.maximum(best, view[:, :, :, ky, kx])
        return np.ascontiguousarray(best * sign if low else best, dtype=np.float32)

    def _padded(self, x: Array, kernel: list[int], stride: list[int], out: list[int]) -> Array:
        top, left = self.get_nodeattr("pads")[:2]
        needed = [(out[i] - 1) * stride[i] + kernel[i] for i in range(2)]
        after = [max(0, needed[0] - top - x.shape[1]), max(0, needed[1] - left - x.shape[2])]
        if not (top or left or any(after)):
            return x
        return np.pad(x, ((0, 0), (top, after[0]), (left, after[1]), (0, 0)), constant_values=-np.inf)

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Runs under qonnx' execute_onnx."""
        context[self.onnx_node.output[0]] = self.compute(context[self.onnx_node.input[0]])

    def verify_node(self) -> list[str]:
        """Nothing to add to the checks of `get_nodeattr_types`."""
        return []


class SaturatingAdd(CustomOp):  # type: ignore[misc]
    """Sum of two integer tensors of one shape, clipped to minimum..maximum where the attributes are there."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes, as qonnx wants them; without bounds the sum keeps all bits."""
        return {"minimum": ("i", False, 0), "maximum": ("i", False, 0)}

    def _bounds(self) -> tuple[int, int] | None:
        given = {attribute.name: int(attribute.i) for attribute in self.onnx_node.attribute}
        return (given["minimum"], given["maximum"]) if {"minimum", "maximum"} <= given.keys() else None

    def make_shape_compatible_op(self, model: Any) -> Any:
        """A constant of the inputs' shape."""
        return self.make_const_shape_op(model.get_tensor_shape(self.onnx_node.input[0]))

    def infer_node_datatype(self, model: Any) -> None:
        """The smallest integers that hold every sum within the bounds."""
        operands = [model.get_tensor_datatype(name) for name in self.onnx_node.input]
        low, high = self._bounds() or (sum(x.min() for x in operands), sum(x.max() for x in operands))
        model.set_tensor_datatype(self.onnx_node.output[0], DataType[integer_dtype(int(low), int(high))])

    def compute(self, x: Array, y: Array) -> Array:
        """The sum, float32."""
        bounds, total = self._bounds(), x + y
        return np.asarray(total if bounds is None else np.clip(total, *bounds), np.float32)

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Runs under qonnx' execute_onnx."""
        context[self.onnx_node.output[0]] = self.compute(*(context[name] for name in self.onnx_node.input))

    def verify_node(self) -> list[str]:
        """Nothing to add to the checks of `get_nodeattr_types`."""
        return []


class SumPool(CustomOp):  # type: ignore[misc]
    """Sum over full windows, [N,H,W,C] -> [N,OH,OW,C]; the kernel of a global sum is the whole map."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        """Attributes, as qonnx wants them."""
        return {"kernel": ("ints", True, []), "stride": ("ints", True, [])}

    def make_shape_compatible_op(self, model: Any) -> Any:
        """A constant of the output's shape."""
        shape = model.get_tensor_shape(self.onnx_node.input[0])
        out = window_out(shape, self.get_nodeattr("kernel"), self.get_nodeattr("stride"), [0] * 4)
        return self.make_const_shape_op([shape[0], *out, shape[3]])

    def infer_node_datatype(self, model: Any) -> None:
        """The smallest integers that hold every sum."""
        x, count = model.get_tensor_datatype(self.onnx_node.input[0]), int(np.prod(self.get_nodeattr("kernel")))
        dtype = integer_dtype(count * int(x.min()), count * int(x.max()))
        model.set_tensor_datatype(self.onnx_node.output[0], DataType[dtype])

    def compute(self, x: Array) -> Array:
        """Sums of x [N,H,W,C], float32: exact, for all are integers below 2^24."""
        kernel, stride = self.get_nodeattr("kernel"), self.get_nodeattr("stride")
        view = taps(x, kernel, stride, window_out(x.shape, kernel, stride, [0] * 4))
        return np.ascontiguousarray(view.sum(axis=(3, 4)), dtype=np.float32)

    def execute_node(self, context: dict[str, Array], graph: Any) -> None:
        """Runs under qonnx' execute_onnx."""
        context[self.onnx_node.output[0]] = self.compute(context[self.onnx_node.input[0]])

    def verify_node(self) -> list[str]:
        """Nothing to add to the checks of `get_nodeattr_types`."""
        return []


def annotation(graph: Any, name: str) -> str:
    """Datatype annotation of a tensor in a GraphProto; "FLOAT32" where there is none."""
    for entry in graph.quantization_annotation:
        if entry.tensor_name == name:
            for pair in entry.quant_parameter_tensor_names:
                if pair.key == "finn_datatype":
                    return str(pair.value)
    return "FLOAT32"


def count_passed(x: Array, thresholds: Array) -> Array:
    """#{i: x >= T_i} for x [...,C] and ascending thresholds [C,N] (or [1,N]); float32."""
    channels, levels = thresholds.shape
    if levels <= 4 or channels == 1:
        count = np.zeros(x.shape, np.float32)
        for level in range(levels):
            count += x >= thresholds[:, level]
        return count
    flat = x.reshape(-1, channels)
    passed = [np.searchsorted(thresholds[c], flat[:, c], side="right") for c in range(channels)]
    return np.stack(passed, axis=1).reshape(x.shape).astype(np.float32)


def scaled(count: Array, scale: float, bias: float) -> Array:
    """scale * count + bias in float32."""
    if scale == 1.0 and bias == 0.0:
        return np.asarray(count, np.float32)
    return np.asarray(np.float32(scale) * count + np.float32(bias), np.float32)
