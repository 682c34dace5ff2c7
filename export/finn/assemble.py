"""Puts the streamlined graph together: what FINN made of the stretches, and the stages between them, one after the other."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flipflow.export.finn.body import build_body
from flipflow.export.finn.builder import (
    OWN,
    GraphBuilder,
    multi_threshold,
    output_encoding,
    pools_and_flatten,
    threshold_dtype,
)
from flipflow.export.finn.encoding import as_bits
from flipflow.export.finn.formats import integer_dtype
from flipflow.export.finn.layers import LayerNodes, add_layer, layer_nodes
from flipflow.export.finn.network import Join, WindowSum
from flipflow.export.finn.notes import rewrites
from flipflow.export.finn.report import InputFormat, LayerReport, LoweringReport, OutputFormat
from flipflow.export.finn.rewrite import IntegerNetwork, IntegerStage, nhwc_order, stretches

Streamline = Callable[[Any, tuple[IntegerStage, ...]], Any]


@dataclass(frozen=True)
class Assembled:
    """The streamlined graph (ModelWrapper), what it is made of, and for every stage's end the node that makes it.

    nodes: by the end's name the index of a node; -1 for the graph's input.
    """

    model: Any
    report: LoweringReport
    nodes: dict[str, int]


def assemble(integer: IntegerNetwork, streamline: Streamline) -> Assembled:
    """The final model and its report; `streamline` is what FINN does to the body of a stretch (see `passes`).

    Raises: FlipflowError E261 where FINN left a node that the contract (see `flipflow.export.finn.streamline`) does not have.
    """
    network = integer.network
    bodies: dict[str, LayerNodes] = {}
    for stretch in stretches(integer):
        bodies |= layer_nodes(streamline(build_body(integer, stretch), stretch), stretch, network)
    bits = as_bits(integer)
    dtype = "BINARY" if network.source in bits else network.first.dtype
    builder = GraphBuilder("global_in", integer.input_shape, dtype)
    tensors, layers = {network.source: builder.name}, []
    for item in integer.stages:
        builder.go(tensors[item.stage.sources[0]])
        if item.layer is not None:
            _to_bits(builder, item)
            layers.append(add_layer(builder, bodies[item.stage.end], item, item.stage.end in bits))
        else:
            _add_stage(builder, integer, item, tensors, item.stage.end in bits)
        tensors[item.stage.end] = builder.name
    builder.go(tensors[network.output])
    places = {node.output[0]: index for index, node in enumerate(builder.nodes)}
    return _finish(builder, integer, layers, {end: places.get(name, -1) for end, name in tensors.items()})


def _to_bits(builder: GraphBuilder, item: IntegerStage) -> None:
    """Turns -1 and +1, which another reader wants so, into the bits of an XNOR layer."""
    if item.xnor and builder.dtype == "BIPOLAR":
        assert item.x is not None
        layout = "NHWC" if len(builder.shape) == 4 else "NC"
        multi_threshold(builder, np.ones((builder.shape[-1], 1), np.int64), item.x, layout, binary=True)


def _add_stage(
    builder: GraphBuilder, integer: IntegerNetwork, item: IntegerStage, tensors: dict[str, str], binary: bool
) -> None:
    """Adds a stage whose head is no layer, at its first operand."""
    head, network = item.stage.head, integer.network
    low, high = int(item.y.low.min()), int(item.y.high.max())
    if isinstance(head, Join):
        bounds = {} if item.clamp is None else {"minimum": item.clamp.low, "maximum": item.clamp.high}
        dtype = integer_dtype(low, high) if item.clamp is None else item.clamp.dtype
        builder.add("SaturatingAdd", [tensors[item.stage.sources[1]]], builder.shape, dtype, OWN, **bounds)
    elif isinstance(head, WindowSum):
        sides = [(builder.shape[1 + i] - head.kernel[i]) // head.stride[i] + 1 for i in range(2)]
        window = {"kernel": list(head.kernel), "stride": list(head.stride)}
        builder.add("SumPool", [], [1, *sides, builder.shape[3]], integer_dtype(low, high), OWN, **window)
    if item.thresholds.level is not None and item.clamp is None:
        _add_thresholds(builder, integer, item, binary)
    if not item.stage.raw:
        pools_and_flatten(builder, network, item.thresholds, item.stage.end)


def _add_thresholds(builder: GraphBuilder, integer: IntegerNetwork, item: IntegerStage, binary: bool) -> None:
    """Adds thresholds that no layer's weights can be negated for: rising ones, or with falling channels inverted."""
    level, falling, form = item.thresholds.level, item.thresholds.falling, item.thresholds.format
    assert level is not None
    flat = integer.network.flat.get(item.stage.segment.source)
    if flat is not None:
        level, falling = level[nhwc_order(flat)], falling[nhwc_order(flat)]
    # -x >= T  <=>  not x >= 1 - T: the thresholds of the rising function, counted from the other end
    rising = np.where(falling[:, None], 1 - level[:, ::-1], level)
    if item.popcount_of is not None:
        # s = 2p - K >= T  <=>  p >= (T + K) / 2, rounded up
        rising = -(-(rising + item.popcount_of) // 2)
    if not falling.any():
        multi_threshold(builder, rising, form, "NHWC" if len(builder.shape) == 4 else "NC", binary)
        return
    names = [builder.constant(rising, threshold_dtype(rising)), builder.constant(falling, "BINARY")]
    encoding = output_encoding(form, binary)
    builder.add("Threshold", names, builder.shape, encoding["out_dtype"], OWN, **encoding)


def _finish(
    builder: GraphBuilder, integer: IntegerNetwork, layers: list[LayerReport], nodes: dict[str, int]
) -> Assembled:
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames  # noqa: PLC0415
    from qonnx.transformation.infer_data_layouts import InferDataLayouts  # noqa: PLC0415

    first, shape = integer.network.first, tuple(integer.input_shape[1:])
    source = InputFormat(shape, first.bits, first.signed, first.bipolar)
    report = LoweringReport(source, _output(layers[-1]), tuple(layers), tuple(rewrites(integer)))
    model = builder.finish()
    model.set_metadata_prop("flipflow", json.dumps({"input": asdict(source), "output": asdict(report.output)}))
    model.set_tensor_layout(builder.source.name, ["N", "H", "W", "C"] if len(shape) == 3 else ["N", "C"])
    model = model.transform(GiveUniqueNodeNames(), cleanup=False)
    order = [node.name for node in model.graph.node]
    doubled = {node.name for node in model.graph.node if len(set(node.input)) < len(node.input)}
    model = model.transform(GiveReadableTensorNames()).transform(InferDataLayouts())
    # qonnx sorts where it tidies up; the file's order is that of the layers in the QONNX file
    nodes_by_name = {node.name: node for node in model.graph.node}
    ordered = [nodes_by_name[name] for name in order]
    for node in ordered:
        if node.name in doubled:  # x + x: qonnx renames a tensor only once in a node
            node.input[1] = node.input[0]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    return Assembled(model, report, nodes)


def _output(last: LayerReport) -> OutputFormat:
    if last.op == "XnorPopcountMatMul":
        return OutputFormat(last.outputs, "popcount", 2, -last.fan_in)
    return OutputFormat(last.outputs, "sum", 1, 0)
