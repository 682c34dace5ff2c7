"""Puts FINN's result together: front + body, exact datatypes, the output's affine, the report."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from flipflow.errors import FlipflowError
from flipflow.export.finn.passes import path_of
from flipflow.export.finn.report import InputFormat, LayerReport, LoweringReport, OutputFormat
from flipflow.export.finn.rewrite import (
    GraphBuilder,
    IntegerChain,
    IntegerLayer,
    build_front,
    signed_bits,
    threshold_dtype,
)

COMPUTE_KINDS = ("XnorPopcountMatMul", "MatMul")
PASSIVE = ("MaxMinPool", "Flatten")


def assemble(body: Any, integer: IntegerChain) -> tuple[Any, LoweringReport]:
    """The final model and its report, from the body as FINN left it.

    Raises: FlipflowError E261 where FINN left a node that the contract (see `streamline`) does not have.
    """
    nodes = path_of(body)
    binary = False
    if integer.front.format.bipolar:  # the sign threshold that stood in for the host (see rewrite.build_body)
        binary = helper.get_node_attr_value(nodes[0], "out_dtype") == b"BINARY"
        nodes = nodes[1:]
    builder = build_front(integer, binary)
    layers: list[LayerReport] = []
    scale, offset = 1.0, 0.0
    for node in nodes:
        if node.op_type in COMPUTE_KINDS:
            layers.append(_compute(builder, body, node, integer.layers[len(layers)]))
        elif node.op_type == "MultiThreshold":
            layers[-1] = _threshold(builder, body, node, layers[-1])
        elif node.op_type in ("Mul", "Add") and len(layers) == len(integer.layers):
            constant = _scalar(body, node)
            scale, offset = (
                (scale * constant, offset * constant) if node.op_type == "Mul" else (scale, offset + constant)
            )
        else:
            _passive(builder, body, node)
    output = _output(layers, scale, offset, len(integer.layers))
    first = integer.chain.first
    source = InputFormat(tuple(integer.input_shape[1:]), first.bits, first.signed, first.bipolar)
    report = LoweringReport(source, output, tuple(layers), tuple(_rewrites(integer)))
    return _finish(builder, report), report


def _finish(builder: GraphBuilder, report: LoweringReport) -> Any:
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames  # noqa: PLC0415
    from qonnx.transformation.infer_data_layouts import InferDataLayouts  # noqa: PLC0415

    model = builder.finish()
    model.set_metadata_prop("flipflow", json.dumps({"input": asdict(report.input), "output": asdict(report.output)}))
    model.set_tensor_layout(builder.source.name, ["N", "H", "W", "C"] if len(report.input.shape) == 3 else ["N", "C"])
    for step in (GiveUniqueNodeNames(), GiveReadableTensorNames(), InferDataLayouts()):
        model = model.transform(step)
    return model


def _unexpected(node: NodeProto, what: str) -> FlipflowError:
    fix = "This is a fault of the lowering, not of the model: please report it with the QONNX file."
    return FlipflowError("E261", what, f"node {node.name!r} ({node.op_type}) after FINN's streamlining", fix)


def _values(body: Any, node: NodeProto) -> NDArray[np.float32]:
    values = np.asarray(body.get_initializer(node.input[1]))
    if not np.array_equal(values, np.rint(values)):
        raise _unexpected(node, "its parameters are not whole numbers.")
    return values


def _scalar(body: Any, node: NodeProto) -> float:
    values = np.unique(_values(body, node))
    if len(values) != 1:
        raise _unexpected(node, "it scales the logits by more than one factor.")
    return float(values[0])


def _compute(builder: GraphBuilder, body: Any, node: NodeProto, item: IntegerLayer) -> LayerReport:
    weights = _values(body, node)
    x = builder.dtypes[builder.name]
    fan_in, outputs = (int(size) for size in weights.shape)
    xnor = node.op_type == "XnorPopcountMatMul"
    if xnor:
        weight_dtype, accumulator = "BINARY", f"UINT{max(1, fan_in.bit_length())}"
    else:
        weight_dtype = item.weight_dtype
        accumulator = f"INT{signed_bits(int(item.y.low.min()), int(item.y.high.max()))}"
    if xnor != (x == "BINARY" and item.x.bipolar and item.weight_dtype == "BIPOLAR"):
        raise _unexpected(node, f"it multiplies {x} by {item.weight_dtype}.")
    name = builder.constant(weights, weight_dtype)
    builder.add(node.op_type, [name], [*builder.shape[:-1], outputs], accumulator, node.domain)
    falling = int(item.thresholds.falling.sum()) if item.thresholds is not None else 0
    return LayerReport(
        source=item.layer.name,
        node=f"{node.op_type}_{sum(n.op_type == node.op_type for n in builder.nodes) - 1}",
        op=node.op_type,
        fan_in=fan_in,
        outputs=outputs,
        input=x,
        weights=weight_dtype,
        accumulator=accumulator,
        output=accumulator,
        pad_kind=item.layer.pad_kind,
        falling=falling,
    )


def _threshold(builder: GraphBuilder, body: Any, node: NodeProto, layer: LayerReport) -> LayerReport:
    level = np.broadcast_to(_values(body, node), (layer.outputs, body.get_tensor_shape(node.input[1])[1]))
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    dtype = values["out_dtype"].decode()
    values["data_layout"] = "NHWC" if len(builder.shape) == 4 else "NC"
    name = builder.constant(level, threshold_dtype(level))
    builder.add(node.op_type, [name], builder.shape, dtype, node.domain, **values)
    return LayerReport(**(asdict(layer) | {"output": dtype}))


def _passive(builder: GraphBuilder, body: Any, node: NodeProto) -> None:
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    dtype = builder.dtypes[builder.name]
    if node.op_type == "Window":
        dtype = "TERNARY" if dtype == "BIPOLAR" and values["pad_kind"] == b"zero" else dtype
    elif node.op_type not in PASSIVE:
        raise _unexpected(node, "it is not a node of the streamlined graph.")
    shape = [int(size) for size in body.get_tensor_shape(node.output[0])]
    builder.add(node.op_type, [], shape, dtype, node.domain, **values)


def _output(layers: list[LayerReport], scale: float, offset: float, count: int) -> OutputFormat:
    last = layers[-1]
    xnor = last.op == "XnorPopcountMatMul"
    expected = (2.0, -float(last.fan_in)) if xnor else (1.0, 0.0)
    if (scale, offset) != expected or len(layers) != count:
        what = f"FINN left {len(layers)} layers and an output affine of {scale} and {offset}, not {expected}."
        fix = "This is a fault of the lowering, not of the model: please report it with the QONNX file."
        raise FlipflowError("E261", what, f"layer {last.source!r}", fix)
    return OutputFormat(last.outputs, "popcount" if xnor else "sum", int(scale), int(offset))


def _rewrites(integer: IntegerChain) -> list[str]:
    notes = []
    names = ["input", *(item.layer.name for item in integer.layers)]
    for name, thresholds in zip(names, [integer.front, *(item.thresholds for item in integer.layers)], strict=True):
        if thresholds is None:
            continue
        if thresholds.level is not None:
            channels, count = thresholds.level.shape
            notes.append(f"{name}: activation chain replaced by {channels} x {count} exact thresholds")
        if thresholds.falling.any():
            how = "inverted" if name == "input" else "mirrored by negated weights"
            notes.append(f"{name}: {int(thresholds.falling.sum())} falling channels {how}")
        for pool in thresholds.pools:
            low = int(pool.minimum.sum())
            notes.append(f"{name}: {pool.node.name or 'MaxPool'} after the thresholds, minimum in {low} channels")
    notes += [
        f"{item.layer.name}: border {item.layer.pad_kind}" for item in integer.layers if item.layer.pad_kind != "none"
    ]
    return notes
