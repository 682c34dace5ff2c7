"""What FINN made of layers: its nodes read off, checked, and put into the streamlined graph with exact datatypes."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from flipflow.errors import FlipflowError
from flipflow.export.finn.body import own_nodes
from flipflow.export.finn.builder import GraphBuilder, output_encoding, threshold_dtype
from flipflow.export.finn.formats import signed_bits
from flipflow.export.finn.network import Network
from flipflow.export.finn.passes import path_of
from flipflow.export.finn.report import LayerReport
from flipflow.export.finn.rewrite import IntegerStage

COMPUTE_KINDS = ("XnorPopcountMatMul", "MatMul")
PASSIVE = ("MaxMinPool", "Flatten")
_FAULT = "This is a fault of the lowering, not of the model: please report it with the QONNX file."


@dataclass(frozen=True)
class LayerNodes:
    """A layer's nodes in FINN's result `body`, in order."""

    body: Any
    nodes: tuple[NodeProto, ...]


def layer_nodes(body: Any, stretch: tuple[IntegerStage, ...], network: Network) -> dict[str, LayerNodes]:
    """By stage end, the nodes of each layer of a stretch.

    Raises: FlipflowError E261 where FINN's result does not have these layers, or scales sums otherwise than by 2p - K.
    """
    nodes = own_nodes(path_of(body), network, stretch)
    groups: list[list[NodeProto]] = []
    affine = [node for node in nodes if node.op_type in ("Mul", "Add")]
    for node in (node for node in nodes if node not in affine):
        if node.op_type == "Window" or (node.op_type in COMPUTE_KINDS and not _opened(groups)):
            groups.append([])
        if not groups:
            raise _unexpected(node, "it stands before the first layer.")
        groups[-1].append(node)
    names = [str(item.layer.name) for item in stretch if item.layer is not None]
    last = stretch[-1]
    expected = (
        (2.0, -float(len(last.weights))) if last.xnor and last.stage.raw and last.weights is not None else (1.0, 0.0)
    )
    found = _affine(body, affine)
    if len(groups) != len(stretch) or found != expected:
        what = f"FINN left {len(groups)} layers of {len(stretch)} and an output affine of {found}, not {expected}."
        raise FlipflowError("E261", what, f"layers {', '.join(names)}", _FAULT)
    return {item.stage.end: LayerNodes(body, tuple(group)) for item, group in zip(stretch, groups, strict=True)}


def _opened(groups: list[list[NodeProto]]) -> bool:
    """Whether the last group is a window that waits for its product."""
    return bool(groups) and groups[-1][-1].op_type == "Window"


def _affine(body: Any, nodes: list[NodeProto]) -> tuple[float, float]:
    scale, offset = 1.0, 0.0
    for node in nodes:
        values = np.unique(_values(body, node))
        if len(values) != 1:
            raise _unexpected(node, "it scales the sums by more than one factor.")
        constant = float(values[0])
        scale, offset = (scale * constant, offset * constant) if node.op_type == "Mul" else (scale, offset + constant)
    return scale, offset


def add_layer(builder: GraphBuilder, found: LayerNodes, item: IntegerStage, binary: bool) -> LayerReport:
    """Puts a layer's nodes at the builder's tip; binary: its bipolar result as bits."""
    report: LayerReport | None = None
    for node in found.nodes:
        if node.op_type in COMPUTE_KINDS:
            report = _compute(builder, found.body, node, item)
        elif node.op_type == "MultiThreshold" and report is not None:
            report = _threshold(builder, found.body, node, item, report, binary)
        else:
            _passive(builder, found.body, node)
    assert report is not None, "layer_nodes makes a group for each product"
    return report


def _unexpected(node: NodeProto, what: str) -> FlipflowError:
    return FlipflowError("E261", what, f"node {node.name!r} ({node.op_type}) after FINN's streamlining", _FAULT)


def _values(body: Any, node: NodeProto) -> NDArray[np.float32]:
    values = np.asarray(body.get_initializer(node.input[1]))
    if not np.array_equal(values, np.rint(values)):
        raise _unexpected(node, "its parameters are not whole numbers.")
    return values


def _compute(builder: GraphBuilder, body: Any, node: NodeProto, item: IntegerStage) -> LayerReport:
    weights, layer = _values(body, node), item.layer
    assert layer is not None
    fan_in, outputs = (int(size) for size in weights.shape)
    x, xnor = builder.dtype, node.op_type == "XnorPopcountMatMul"
    if xnor:
        weight_dtype, accumulator = "BINARY", f"UINT{max(1, fan_in.bit_length())}"
    else:
        weight_dtype = item.weight_dtype
        accumulator = f"INT{signed_bits(int(item.y.low.min()), int(item.y.high.max()))}"
    if xnor != item.xnor or xnor != (x == "BINARY" and item.x is not None and item.x.bipolar):
        raise _unexpected(node, f"it multiplies {x} by {item.weight_dtype}.")
    name = builder.constant(weights, weight_dtype)
    builder.add(node.op_type, [name], [*builder.shape[:-1], outputs], accumulator, node.domain)
    return LayerReport(
        source=layer.name,
        node=f"{node.op_type}_{sum(n.op_type == node.op_type for n in builder.nodes) - 1}",
        op=node.op_type,
        fan_in=fan_in,
        outputs=outputs,
        input=x,
        weights=weight_dtype,
        accumulator=accumulator,
        output=accumulator,
        pad_kind=layer.pad_kind,
        falling=int(item.thresholds.falling.sum()),
    )


def _threshold(
    builder: GraphBuilder, body: Any, node: NodeProto, item: IntegerStage, layer: LayerReport, binary: bool
) -> LayerReport:
    """FINN's thresholds; where the stretch ends in bits, FINN does not know who reads them, so the encoding is ours."""
    level = np.broadcast_to(_values(body, node), (layer.outputs, body.get_tensor_shape(node.input[1])[1]))
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute} | output_encoding(
        item.thresholds.format, binary
    )
    values["data_layout"] = "NHWC" if len(builder.shape) == 4 else "NC"
    dtype = values["out_dtype"]
    builder.add(
        node.op_type, [builder.constant(level, threshold_dtype(level))], builder.shape, dtype, node.domain, **values
    )
    return LayerReport(**(asdict(layer) | {"output": dtype}))


def _passive(builder: GraphBuilder, body: Any, node: NodeProto) -> None:
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    dtype = builder.dtype
    if node.op_type == "Window":
        dtype = "TERNARY" if dtype == "BIPOLAR" and values["pad_kind"] == b"zero" else dtype
    elif node.op_type not in PASSIVE:
        raise _unexpected(node, "it is not a node of the streamlined graph.")
    shape = [int(size) for size in body.get_tensor_shape(node.output[0])]
    builder.add(node.op_type, [], shape, dtype, node.domain, **values)
