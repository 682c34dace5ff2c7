"""From the streamlined graph to a chain of our kernels, each still with PE = SIMD = 1.

What may stand in the streamlined graph is listed in `flipflow.export.finn.streamline`. Here a window and the matrix
product after it become `Window` and an MVTU, a matrix product takes the thresholds after it, a pool becomes `Window`
and `Pool`, and an `Argmax` ends the chain.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.graph import Attributes, KernelNode, assemble, meta_of

MATMULS = ("MatMul", "XnorPopcountMatMul")
LEVELS = ("MultiThreshold", "Threshold")


@dataclass
class _Chain:
    """The kernels so far, and the stream that leaves the last of them."""

    model: Any
    shape: tuple[int, ...]
    dtype: str
    masked: bool = False
    kernels: list[KernelNode] = field(default_factory=list)

    def name(self, kind: str) -> str:
        """Next free name of a kind: conv0, conv1, fc0, ..."""
        return f"{kind}{sum(1 for item in self.kernels if item.name.rstrip('0123456789') == kind)}"


def convert(model: Any) -> Any:
    """Kernel graph (ModelWrapper) of a streamlined one (ModelWrapper), unfolded.

    Layers are named conv0, conv1, ..., fc0, ..., pool0, ..., threshold0 in stream order; the window of conv0 is
    conv0_window.
    Raises: FlipflowError E301 for a node that no kernel covers, E302 for one whose attributes or datatypes no kernel
    covers.
    """
    nodes = list(model.graph.node)
    source = model.graph.input[0].name
    chain = _Chain(model, tuple(model.get_tensor_shape(source)), _stream_dtype(model, nodes, 0, source))
    index = 0
    while index < len(nodes):
        index += _convert_node(chain, nodes, index)
    _finish(chain)
    return assemble(chain.kernels, meta_of(model))


def _convert_node(chain: _Chain, nodes: list[Any], index: int) -> int:
    """Append the kernels of nodes[index] and of what is fused into it; returns how many nodes that were."""
    node = nodes[index]
    following = nodes[index + 1] if index + 1 < len(nodes) else None
    if node.op_type in MATMULS:
        fused = following is not None and following.op_type in LEVELS
        dtype = _stream_dtype(chain.model, nodes, index + 2, following.output[0]) if fused and following else ""
        _add_mvtu(chain, node, following if fused else None, dtype)
        return 2 if fused else 1
    if node.op_type in LEVELS:
        _add_threshold(chain, node, _stream_dtype(chain.model, nodes, index + 1, node.output[0]))
    elif node.op_type == "Window":
        if following is None or following.op_type not in MATMULS:
            raise _unsupported(node, "a window that no matrix product follows")
        _add_window(chain, node, f"{chain.name('conv')}_window", _conv_border(chain, node))
    elif node.op_type == "MaxMinPool":
        _add_pool(chain, node)
    elif node.op_type == "Flatten":
        chain.shape = (1, int(np.prod(chain.shape)))
    else:
        raise _unsupported(node, f"an operator of type {node.op_type}")
    return 1


def _unsupported(node: Any, what: str) -> FlipflowError:
    fix = "Export the network again, or see the list of operators in docs."
    return FlipflowError("E301", f"no kernel does {what}.", f"node {node.name or node.output[0]}", fix)


def _refuse(node: Any, what: str, fix: str = "Export the network again.") -> FlipflowError:
    return FlipflowError("E302", what, f"node {node.name or node.output[0]}", fix)


def _stream_dtype(model: Any, nodes: list[Any], start: int, tensor: str) -> str:
    """Element datatype of a tensor: a BINARY one is bipolar bits where an XnorPopcountMatMul consumes it, plain 0/1
    otherwise.
    """
    dtype = str(model.get_tensor_datatype(tensor).name)
    consumer = next((node.op_type for node in nodes[start:] if node.op_type in (*MATMULS, *LEVELS)), "")
    return "BIPOLAR" if dtype == "BINARY" and consumer == "XnorPopcountMatMul" else dtype


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper  # noqa: PLC0415

    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def _conv_border(chain: _Chain, node: Any) -> tuple[int, bool]:
    """(pad value, masked) of a convolution's window."""
    attributes = _attributes(node)
    kind = attributes.get("pad_kind", b"none")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    padded = any(attributes.get("pads", [0, 0, 0, 0]))
    if kind == "zero" and padded:
        return 0, chain.dtype == "BIPOLAR"
    if kind in ("minus_one", "plus_one"):
        if chain.dtype != "BIPOLAR":
            raise _refuse(node, f"padding kind {kind} is for bipolar maps, this one is {chain.dtype}.")
        return (1 if kind == "plus_one" else -1), False
    if kind not in ("none", "zero") or padded:
        raise _refuse(node, f"padding kind {kind} with pads {list(attributes.get('pads', []))} is unknown.")
    return 0, False


def _add_window(chain: _Chain, node: Any, name: str, border: tuple[int, bool], ofm: list[int] | None = None) -> None:
    """Append a Window; ofm: its output size where it is not what full windows give."""
    from flipflow.hw.kernels.window import ring_rows  # noqa: PLC0415

    if len(chain.shape) != 4:
        raise _refuse(node, f"a window needs a map [1, H, W, C], not {list(chain.shape)}.")
    attributes = _attributes(node)
    kernel, stride = [int(v) for v in attributes["kernel"]], [int(v) for v in attributes["stride"]]
    top, left, bottom, right = (int(v) for v in attributes.get("pads", [0, 0, 0, 0]))
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        what = f"pads {[top, left, bottom, right]} make windows of kernel {kernel} that lie wholly outside the map."
        raise _refuse(node, what, "Pad by less than the kernel's size.")
    _, height, width, channels = chain.shape
    if ofm is None:
        ofm = [
            (height + top + bottom - kernel[0]) // stride[0] + 1,
            (width + left + right - kernel[1]) // stride[1] + 1,
        ]
    values: Attributes = {
        "Channels": channels,
        "IfmDim": [height, width],
        "Kernel": kernel,
        "Stride": stride,
        "PadTopLeft": [top, left],
        "OfmDim": ofm,
        "dataType": chain.dtype,
        "HasMask": int(border[1]),
        "PadValue": border[0],
        "Rows": ring_rows(kernel[0], stride[0]),
    }
    chain.kernels.append(KernelNode("Window", name, values))
    chain.shape = (1, *ofm, kernel[0] * kernel[1] * channels)
    chain.masked = border[1]


def _add_pool(chain: _Chain, node: Any) -> None:
    """Append Window and Pool. Only where some channels take the minimum must padded taps be told from data by a
    mask.
    """
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    attributes = _attributes(node)
    if len(chain.shape) != 4:
        raise _refuse(node, f"a pool needs a map [1, H, W, C], not {list(chain.shape)}.")
    _, height, width, channels = chain.shape
    (kernel_h, kernel_w), (stride_h, stride_w) = attributes["kernel"], attributes["stride"]
    top, left, *_ = attributes.get("pads", [0, 0, 0, 0])
    ofm = [int(v) for v in attributes["ofm_dim"]]
    below = (ofm[0] - 1) * stride_h - top + kernel_h > height
    beyond = (ofm[1] - 1) * stride_w - left + kernel_w > width
    minimum = np.zeros(channels)
    minimum[[int(c) for c in attributes.get("min_channels", [])]] = 1
    border = (int(DataType[chain.dtype].min()), bool((top or left or below or beyond) and minimum.any()))
    name = chain.name("pool")
    _add_window(chain, node, f"{name}_window", border, ofm)
    values: Attributes = {"Channels": channels, "Taps": int(kernel_h * kernel_w), "OfmDim": ofm}
    values |= {"dataType": chain.dtype, "HasMask": int(border[1])}
    chain.kernels.append(KernelNode("Pool", name, values, {"minimum": minimum}))
    chain.shape = (1, *ofm, channels)
    chain.masked = False


@dataclass(frozen=True)
class _Levels:
    """Thresholds of a node: levels int64 [C, N], rising; invert [C]; the output's datatype and bias."""

    levels: NDArray[np.int64]
    invert: NDArray[np.int64]
    dtype: str
    bias: int

    def clipped(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> "_Levels":
        """With levels cut to low..high + 1 ("never"), [C] each; a lone "never" becomes "always" of the other sense.

        So that a constant channel needs no accumulator bit beyond those that the sums need.
        """
        levels = np.clip(self.levels, low[:, None], high[:, None] + 1)
        invert = self.invert.copy()
        if levels.shape[1] == 1:
            never = levels[:, 0] > high
            levels[never, 0] = low[never]
            invert[never] ^= 1
        return replace(self, levels=levels, invert=invert)


def _read_levels(chain: _Chain, node: Any, channels: int, dtype: str) -> _Levels:
    """Thresholds of a MultiThreshold or Threshold node. dtype: of its output stream."""
    attributes = _attributes(node)
    levels = np.asarray(chain.model.get_initializer(node.input[1]), dtype=np.float64)
    if not np.array_equal(levels, np.rint(levels)) or (np.diff(levels, axis=1) < 0).any():
        raise _refuse(node, "its thresholds are not integers in rising order.")
    falling = chain.model.get_initializer(node.input[2]) if node.op_type == "Threshold" else np.zeros(channels)
    scale, bias = float(attributes.get("out_scale", 1.0)), float(attributes.get("out_bias", 0.0))
    declared = attributes["out_dtype"].decode()
    if (scale, bias) != (2.0, -1.0) if declared == "BIPOLAR" else scale != 1.0 or bias != round(bias):
        raise _refuse(node, f"output scale {scale} and bias {bias} do not belong to {declared}.")
    wide = np.broadcast_to(levels.astype(np.int64), (channels, levels.shape[1])).copy()
    invert = np.broadcast_to(np.asarray(falling) != 0, (channels,)).astype(np.int64)
    return _Levels(wide, invert, dtype, 0 if dtype == "BIPOLAR" else int(bias))


def _add_threshold(chain: _Chain, node: Any, dtype: str) -> None:
    """Append a standalone Threshold."""
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    from flipflow.hw.kernels.base import is_signed  # noqa: PLC0415
    from flipflow.hw.kernels.rom import signed_width, unsigned_width  # noqa: PLC0415

    channels = chain.shape[-1]
    low, high = int(DataType[chain.dtype].min()), int(DataType[chain.dtype].max())
    read = _read_levels(chain, node, channels, dtype).clipped(np.full(channels, low), np.full(channels, high))
    top = max(high, int(read.levels.max()))
    values: Attributes = {
        "Channels": channels,
        "Leading": list(chain.shape[:-1]),
        "inputDataType": chain.dtype,
        "outputDataType": dtype,
        "AccWidth": signed_width(low, top) if is_signed(chain.dtype) else unsigned_width(top),
        "Thresholds": read.levels.shape[1],
        "OutBias": read.bias,
    }
    params = {"thresholds": read.levels, "invert": read.invert}
    chain.kernels.append(KernelNode("Threshold", chain.name("threshold"), values, params))
    chain.dtype = dtype


def _add_mvtu(chain: _Chain, node: Any, levels: Any, dtype: str) -> None:
    """Append an MVTU with the thresholds of node `levels` (None: raw sums), whose output stream is of `dtype`."""
    from flipflow.hw.layers import plan_sums  # noqa: PLC0415

    weights = chain.model.get_initializer(node.input[1])
    if weights is None or weights.ndim != 2 or weights.shape[0] != chain.shape[-1]:
        raise _refuse(node, f"its weights are no constant [{chain.shape[-1]}, M].")
    if node.op_type == "XnorPopcountMatMul":
        weights = 2 * weights - 1
    plan = plan_sums(weights, str(chain.model.get_tensor_datatype(node.input[1]).name), chain.dtype, chain.masked)
    if plan is None:
        raise _refuse(node, "bipolar weights on this input are in a form that no unit takes.")
    fan_in, outputs = weights.shape
    values: Attributes = {"MW": fan_in, "MH": outputs, "Leading": list(chain.shape[:-1]), "HasMask": int(chain.masked)}
    values |= {"inputDataType": chain.dtype, "weightDataType": plan.weight_dtype, "outputDataType": plan.sum_dtype}
    values["AccWidth"] = plan.acc_width(None)
    params: dict[str, NDArray[Any]] = {"weights": weights}
    if levels is not None:
        read = _read_levels(chain, levels, outputs, dtype)
        # A masked XNOR layer's thresholds come in the domain of s, its unit compares acc2 = s + K.
        offset = fan_in if plan.op_type == "XnorMvtu" and chain.masked else 0
        read = replace(read, levels=read.levels + offset).clipped(plan.low, plan.high)
        values |= {"Thresholds": read.levels.shape[1], "OutBias": read.bias, "outputDataType": dtype}
        values["AccWidth"] = plan.acc_width(read.levels)
        params |= {"thresholds": read.levels, "invert": read.invert}
    name = chain.name("conv" if len(chain.shape) == 4 else "fc")
    chain.kernels.append(KernelNode(plan.op_type, name, values, params))
    chain.shape = (*chain.shape[:-1], outputs)
    chain.dtype = dtype if levels is not None else plan.sum_dtype
    chain.masked = False


def _finish(chain: _Chain) -> None:
    """End the chain with an Argmax on raw sums."""
    last = chain.kernels[-1] if chain.kernels else None
    if last is None or last.op_type not in ("XnorMvtu", "MixedMvtu") or "Thresholds" in last.attributes:
        where = last.name if last else "graph"
        raise FlipflowError("E301", "the network does not end in a matrix product.", where, "Export the network again.")
    values: Attributes = {"Classes": int(np.prod(chain.shape)), "dataType": chain.dtype}
    chain.kernels.append(KernelNode("Argmax", "argmax", values))
