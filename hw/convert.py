"""From the streamlined graph to kernels, each still with PE = SIMD = 1.

What may stand in the streamlined graph is listed in `flipflow.export.finn.streamline`. Here a window and the matrix product
after it become `Window` and an MVTU, a matrix product takes the thresholds after it, a pool becomes `Window` and `Pool`, and
an `Argmax` ends the graph. In residual networks a tensor with several readers gets a `Fork`, an addition becomes a
`ResidualAdd`, and thresholds for many levels a `Requantize` where a line equals them. A convolution that sums within each
channel, as an average between residual stages is one, becomes `SumPool` and `ChannelPad`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from flipflow.errors import FlipflowError
from flipflow.hw.conversion.levels import add_levels, as_integers, read_levels
from flipflow.hw.conversion.net import LEVELS, MATMULS, Flow, Net, attributes_of, refuse, start, unsupported
from flipflow.hw.conversion.products import add_channel_sum, add_product
from flipflow.hw.conversion.windows import add_pool, add_sum_pool, add_window, conv_border
from flipflow.hw.graph import Attributes, assemble, meta_of


def convert(model: Any) -> Any:
    """Kernel graph (ModelWrapper) of a streamlined one (ModelWrapper), unfolded.

    Layers are named conv0, conv1, ..., fc0, ..., pool0, ..., sum0, ..., threshold0, ..., requant0, ..., add0, ..., pad0, ...,
    fork0, ... in the graph's order; the window of conv0 is conv0_window.
    Raises: FlipflowError E301 for a node that no kernel covers, E302 for one whose attributes or datatypes no kernel
    covers.
    """
    net = start(model)
    for node in model.graph.node:
        if node.output[0] not in net.flows:  # else the kernels of a node before have done it
            tensor, flow = _convert_node(net, node)
            net.give(tensor, flow)
    _finish(net, net.flows[model.graph.output[0].name])
    return assemble(net.kernels, meta_of(model))


def _convert_node(net: Net, node: Any) -> tuple[str, Flow]:
    """Append the kernels of a node and of what is fused into it; the last tensor that they make, and its stream."""
    if node.op_type in MATMULS:
        return add_product(net, net.take(node.input[0]), node)
    if node.op_type == "Window":
        return _window(net, node)
    kinds = {"MaxMinPool": add_pool, "SumPool": add_sum_pool, "SaturatingAdd": _add, "Flatten": _flatten}
    kinds |= dict.fromkeys(LEVELS, _levels)
    if node.op_type not in kinds:
        raise unsupported(node, f"an operator of type {node.op_type}")
    return node.output[0], kinds[node.op_type](net, net.take(node.input[0]), node)


def _window(net: Net, node: Any) -> tuple[str, Flow]:
    following = net.following(node)
    if following is None or following.op_type not in MATMULS:
        raise unsupported(node, "a window that no matrix product follows")
    flow = net.take(node.input[0])
    found = add_channel_sum(net, flow, node)
    if found is not None:
        net.give(following.output[0], found[1])
        return found
    return node.output[0], add_window(net, flow, node, f"{net.name('conv')}_window", conv_border(flow, node))


def _flatten(net: Net, flow: Flow, node: Any) -> Flow:
    return replace(flow, shape=(1, int(np.prod(flow.shape))))


def _levels(net: Net, flow: Flow, node: Any) -> Flow:
    """Thresholds that no unit before them takes in. On a bipolar stream they may only say its encoding, which is one here."""
    read = read_levels(net, node, flow.shape[-1])
    if flow.popcount_of is not None:
        read = read.of_sums(flow.popcount_of)
    same = flow.dtype == read.dtype == "BIPOLAR" and bool((read.levels > -1).all() and (read.levels <= 1).all())
    return flow if same and not read.invert.any() else add_levels(net, flow, read)


def _add(net: Net, flow: Flow, node: Any) -> Flow:
    """Append a ResidualAdd; without bounds of its own it saturates where no sum gets."""
    one, other = as_integers(net, flow), as_integers(net, net.take(node.input[1]))
    if one.shape != other.shape:
        raise refuse(node, f"its inputs have the shapes {list(one.shape)} and {list(other.shape)}.")
    attributes = attributes_of(node)
    low = int(attributes.get("minimum", one.low + other.low))
    high = int(attributes.get("maximum", one.high + other.high))
    dtype, name = net.dtype(node.output[0]), net.name("add")
    values: Attributes = {"Channels": one.shape[-1], "Leading": list(one.shape[:-1]), "Minimum": low, "Maximum": high}
    values |= {"inputDataType": one.dtype, "inputDataType1": other.dtype, "outputDataType": dtype}
    net.add("ResidualAdd", name, values, one, {}, other)
    return replace(one, port=name, dtype=dtype, low=low, high=high)


def _finish(net: Net, logits: Flow) -> None:
    """End the graph with an Argmax on raw sums."""
    last = net.kernels[-1] if net.kernels else None
    if last is None or last.op_type not in ("XnorMvtu", "MixedMvtu") or "Thresholds" in last.attributes:
        where = last.name if last else "graph"
        raise FlipflowError("E301", "the network does not end in a matrix product.", where, "Export the network again.")
    values: Attributes = {"Classes": int(np.prod(logits.shape)), "dataType": logits.dtype}
    net.add("Argmax", "argmax", values, logits)
