"""Matrix products as matrix-vector-threshold units, and convolutions that only sum within each channel as sums."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.hw.conversion.levels import Levels, add_levels, add_requantize, find_line, read_levels
from flipflow.hw.conversion.net import LEVELS, MATMULS, Flow, Net, refuse
from flipflow.hw.conversion.windows import add_window, conv_border, sum_taps
from flipflow.hw.graph import Attributes

Ints = NDArray[np.int64]


def add_product(net: Net, flow: Flow, node: Any) -> tuple[str, Flow]:
    """Append the unit of a matrix product, with the thresholds that follow it: its own comparators, or where many levels lie on
    a line, a Requantize on its raw sums. Returns the tensor that leaves, and its stream.

    Raises: FlipflowError E302 for weights that no unit takes.
    """
    following = net.following(node)
    if following is None or following.op_type not in LEVELS:
        raw = _raw(net, flow, node)
        return node.output[0], raw
    read = read_levels(net, following, _weights(net, flow, node).shape[1])
    line, sums = _line(net, flow, node, read)
    if line is None:
        return following.output[0], _thresholded(net, flow, node, read)
    return following.output[0], add_requantize(net, _raw(net, flow, node), sums, line)


def _weights(net: Net, flow: Flow, node: Any) -> Ints:
    """Integer weights [K, M], bipolar ones as -1 and +1."""
    weights = net.model.get_initializer(node.input[1])
    if weights is None or weights.ndim != 2 or weights.shape[0] != flow.shape[-1]:
        raise refuse(node, f"its weights are no constant [{flow.shape[-1]}, M].")
    bits = node.op_type == "XnorPopcountMatMul"
    integers: Ints = np.rint(2 * weights - 1 if bits else weights).astype(np.int64)
    return integers


def _reach(weights: Ints, flow: Flow) -> tuple[Ints, Ints]:
    """Smallest and largest sum of each output; a border of zeros adds 0."""
    low = np.minimum(weights * flow.low, weights * flow.high)
    high = np.maximum(weights * flow.low, weights * flow.high)
    return np.minimum(low, 0).sum(axis=0), np.maximum(high, 0).sum(axis=0)


def _line(net: Net, flow: Flow, node: Any, read: Levels) -> tuple[Any, Levels]:
    """A line for thresholds on the raw sums s, if one is exact; and the thresholds in s."""
    weights, bits = _weights(net, flow, node), node.op_type == "XnorPopcountMatMul"
    sums = read.of_sums(len(weights)) if bits else read
    low, high = _reach(weights, flow)
    # sums of K signs have the parity of K
    return find_line(sums, low, high, 2 if bits else 1), sums


def _unit(net: Net, flow: Flow, node: Any) -> tuple[Any, Attributes, dict[str, NDArray[Any]]]:
    """Plan, attributes and constants of the unit, as one that gives raw sums."""
    from flipflow.hw.layers import plan_sums  # noqa: PLC0415

    weights = _weights(net, flow, node)
    plan = plan_sums(weights, str(net.model.get_tensor_datatype(node.input[1]).name), flow.dtype, flow.masked)
    if plan is None:
        raise refuse(node, "bipolar weights on this input are in a form that no unit takes.")
    fan_in, outputs = weights.shape
    values: Attributes = {"MW": fan_in, "MH": outputs, "Leading": list(flow.shape[:-1]), "HasMask": int(flow.masked)}
    values |= {"inputDataType": flow.dtype, "weightDataType": plan.weight_dtype, "outputDataType": plan.sum_dtype}
    values["AccWidth"] = plan.acc_width(None)
    return plan, values, {"weights": weights}


def _name(net: Net, flow: Flow) -> str:
    return net.name("conv" if len(flow.shape) == 4 else "fc")


def _raw(net: Net, flow: Flow, node: Any) -> Flow:
    plan, values, params = _unit(net, flow, node)
    name = _name(net, flow)
    net.add(plan.op_type, name, values, flow, params)
    low, high = _reach(params["weights"], flow)
    bits = node.op_type == "XnorPopcountMatMul"
    fan_in, outputs = params["weights"].shape
    shape = (*flow.shape[:-1], outputs)
    return Flow(name, shape, plan.sum_dtype, int(low.min()), int(high.max()), popcount_of=fan_in if bits else None)


def _thresholded(net: Net, flow: Flow, node: Any, read: Levels) -> Flow:
    plan, values, params = _unit(net, flow, node)
    # A masked XNOR layer's thresholds come in the domain of s, its unit compares acc2 = s + K.
    offset = len(params["weights"]) if plan.op_type == "XnorMvtu" and flow.masked else 0
    read = replace(read, levels=read.levels + offset).clipped(plan.low, plan.high)
    values |= {"Thresholds": read.levels.shape[1], "OutBias": read.bias, "outputDataType": read.dtype}
    values["AccWidth"] = plan.acc_width(read.levels)
    params |= {"thresholds": read.levels, "invert": read.invert}
    name = _name(net, flow)
    net.add(plan.op_type, name, values, flow, params)
    low, high = read.range
    return Flow(name, (*flow.shape[:-1], params["weights"].shape[1]), read.dtype, low, high)


@dataclass(frozen=True)
class _ChannelSum:
    """A convolution whose output before + c is `weight` times the sum of channel c over the window; the others are 0."""

    before: int
    weight: int


def _channel_sum(weights: Ints, channels: int) -> _ChannelSum | None:
    """weights: [taps * C, M], taps outermost."""
    taps = weights.reshape(-1, channels, weights.shape[1])
    used = np.flatnonzero(taps[0].any(axis=0))
    if (taps != taps[0]).any() or len(used) != channels:
        return None
    before, weight = int(used[0]), int(taps[0, 0, used[0]])
    same = np.array_equal(used, np.arange(before, before + channels))
    own = np.array_equal(taps[0][:, used], weight * np.eye(channels, dtype=np.int64))
    return _ChannelSum(before, weight) if same and own and weight > 0 else None


def add_channel_sum(net: Net, flow: Flow, node: Any) -> tuple[str, Flow] | None:
    """Append a convolution, from its Window node on, that sums within each channel and quantizes: window, sum, levels, channels
    of zeros around. Returns the tensor that leaves, and its stream; None where the convolution is of another kind.
    """
    product = net.following(node)
    following = net.following(product) if product is not None and product.op_type in MATMULS else None
    if following is None or following.op_type not in LEVELS or product.op_type != "MatMul" or flow.dtype == "BIPOLAR":
        return None
    channels = flow.shape[-1]
    weights = np.rint(net.model.get_initializer(product.input[1])).astype(np.int64)
    found = _channel_sum(weights, channels) if len(weights) % channels == 0 else None
    if found is None:
        return None
    read = read_levels(net, following, weights.shape[1])
    inner = slice(found.before, found.before + channels)
    outer = np.delete(np.arange(weights.shape[1]), inner)
    at_zero = read.bias + np.where(read.invert, (read.levels > 0).sum(axis=1), (read.levels <= 0).sum(axis=1))
    if read.dtype == "BIPOLAR" or at_zero[outer].any():
        return None
    name = net.name("sum")
    windows = add_window(net, flow, node, f"{name}_window", conv_border(flow, node))
    # weight * s >= T is s >= T / weight, rounded up
    levels = -(-read.levels[inner] // found.weight)
    summed = sum_taps(net, windows, name, channels)
    result = add_levels(net, summed, replace(read, levels=levels, invert=read.invert[inner]))
    return following.output[0], _padded(net, result, found.before, weights.shape[1] - found.before - channels)


def _padded(net: Net, flow: Flow, before: int, after: int) -> Flow:
    if not before and not after:
        return flow
    name = net.name("pad")
    values: Attributes = {"Channels": flow.shape[-1], "Before": before, "After": after, "Elems": 1}
    net.add("ChannelPad", name, values | {"Leading": list(flow.shape[:-1]), "dataType": flow.dtype}, flow)
    shape = (*flow.shape[:-1], before + flow.shape[-1] + after)
    return replace(flow, port=name, shape=shape, low=min(flow.low, 0), high=max(flow.high, 0))
