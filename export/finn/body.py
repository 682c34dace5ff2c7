"""A stretch of layers as FINN is to streamline it.

Convolutions are NCHW `Conv` nodes between Transposes. The body starts with a sign threshold where its input is bipolar,
because FINN converts to XNOR only behind one, and ends in a Flatten, because FINN cancels no Transposes at the very end.
Both stand in for the stages around, and are removed afterwards.
"""

from typing import Any

import numpy as np
from onnx import NodeProto

from flipflow.export.finn.builder import GraphBuilder, multi_threshold, pools_and_flatten
from flipflow.export.finn.network import Layer, Network, fail
from flipflow.export.finn.rewrite import IntegerNetwork, IntegerStage, to_nhwc

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


def build_body(integer: IntegerNetwork, stretch: tuple[IntegerStage, ...]) -> Any:
    """The layers as a qonnx model for FINN.

    Raises: FlipflowError E254 (an unsupported pool), E256 (the last layer leaves a map).
    """
    network = integer.network
    shape = to_nhwc(network.shape(stretch[0].stage.sources[0]))
    form = stretch[0].x
    assert form is not None
    builder = GraphBuilder("global_in", shape, "INT2" if form.bipolar else form.dtype)
    if form.bipolar:
        multi_threshold(builder, np.zeros((1, 1), np.int64), form, "NHWC" if len(shape) == 4 else "NC")
    for item in stretch:
        layer, end = item.layer, item.stage.end
        assert layer is not None
        _compute(builder, network, item, layer)
        if item.thresholds.level is not None:
            layout = "NCHW" if layer.is_conv else "NC"
            multi_threshold(builder, item.thresholds.level, item.thresholds.format, layout)
        if layer.is_conv:
            builder.transpose(TO_NHWC)
        if end == network.output and layer.is_conv:
            _flatten_logits(builder, network, layer)
        elif not item.stage.raw:
            pools_and_flatten(builder, network, item.thresholds, end)
    if len(builder.shape) == 4:
        builder.add("Flatten", [], [1, int(np.prod(builder.shape))], builder.dtype, axis=1)
    return builder.finish()


def own_nodes(nodes: list[NodeProto], network: Network, stretch: tuple[IntegerStage, ...]) -> list[NodeProto]:
    """The nodes of a body without those at its ends that only stood in for the stages around."""
    first, last = stretch[0], stretch[-1]
    begin = 1 if first.x is not None and first.x.bipolar else 0
    end = last.stage.end
    on_map = len(network.shape(end)) == 4 and end != network.output
    return nodes[begin : len(nodes) - 1 if on_map else len(nodes)]


def _flatten_logits(builder: GraphBuilder, network: Network, layer: Layer) -> None:
    if builder.shape[1:3] != [1, 1]:
        what = f"the last convolution leaves a map of {builder.shape[1]}x{builder.shape[2]} pixels."
        fix = "End the network with one value per class (a MatMul, or a Conv that leaves one pixel)."
        raise fail("E256", network.model.find_producer(layer.y), what, fix)
    builder.add("Flatten", [], [1, builder.shape[3]], "FLOAT32", axis=1)


def _compute(builder: GraphBuilder, network: Network, item: IntegerStage, layer: Layer) -> None:
    assert item.weights is not None
    outputs = item.weights.shape[1]
    if not layer.is_conv:
        builder.add("MatMul", [builder.constant(item.weights, item.weight_dtype)], [1, outputs], "INT32")
        return
    channels, height, width = layer.weights.shape[1:]
    filters = item.weights.T.reshape(outputs, height, width, channels).transpose(0, 3, 1, 2)
    weights = builder.constant(filters, item.weight_dtype)
    builder.transpose(TO_NCHW)
    builder.add(
        "Conv",
        [weights],
        network.shape(layer.y),
        "INT32",
        kernel_shape=[height, width],
        strides=list(layer.stride),
        pads=list(layer.pads),
        group=1,
        dilations=[1, 1],
    )
