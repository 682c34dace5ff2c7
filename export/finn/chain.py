"""Reads a canonical QONNX file as an alternation of segments and compute layers.

    preamble | first quantizer | segment 0, layer 0, segment 1, layer 1, ..., layer n-1 | epilogue

The preamble and the epilogue run on the host. A layer is a Conv or MatMul with integer weights. A segment is what
stands between two layers: elementwise nodes, quantizers, max-pools, a Flatten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.errors import FlipflowError
from flipflow.export.finn.formats import QUANTIZERS, Format, attributes, quantizer_format

COMPUTE = ("Conv", "MatMul")
SHAPING = ("MaxPool", "Flatten")


@dataclass(frozen=True)
class Layer:
    """A Conv or MatMul.

    weights: int64, Conv [M,C,KH,KW], MatMul [K,M]. x, y: its input (before an explicit Pad) and output in the QONNX
    file. pads: [top,left,bottom,right]. scale: of the weights, real = integer * scale.
    """

    name: str
    weights: NDArray[np.int64]
    format: Format
    x: str
    y: str
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    pad_kind: str

    @property
    def is_conv(self) -> bool:
        """Whether it is a convolution."""
        return self.weights.ndim == 4

    @property
    def columns(self) -> NDArray[np.int64]:
        """Weights as [K,M], conv rows in (c, ky, kx) order."""
        if self.is_conv:
            return self.weights.reshape(self.weights.shape[0], -1).T
        return self.weights


@dataclass(frozen=True)
class Segment:
    """Nodes between two layers; `thresholds` of them lead to the last quantizer, the rest only pool and flatten."""

    nodes: tuple[NodeProto, ...]
    thresholds: int
    format: Format | None  # of the last quantizer; None where there is none
    source: str  # tensor it starts from


@dataclass(frozen=True)
class Chain:
    """A canonical network. source: the first quantizer's output, shape NCHW or NC; first: its format."""

    model: Any
    source: str
    first: Format
    segments: tuple[Segment, ...]
    layers: tuple[Layer, ...]

    def shape(self, tensor: str) -> list[int]:
        """Shape of a tensor in the QONNX file."""
        return [int(size) for size in self.model.get_tensor_shape(tensor)]


def fail(code: str, node: NodeProto, what: str, fix: str) -> FlipflowError:
    """A coded error at a node."""
    return FlipflowError(code, what, f"node {node.name or node.output[0]!r} ({node.op_type})", fix)


def dynamic_input(model: Any, node: NodeProto) -> str:
    """The one input that is not constant."""
    names = [name for name in node.input if name and not _constant(model, name)]
    if len(names) != 1:
        raise fail(
            "E252", node, f"it has {len(names)} inputs that depend on the image.", "Only plain chains can be lowered."
        )
    return str(names[0])


def _constant(model: Any, name: str) -> bool:
    if model.get_initializer(name) is not None:
        return True
    producer = model.find_producer(name)
    return producer is not None and all(_constant(model, source) for source in producer.input if source)


def _main_path(model: Any) -> list[NodeProto]:
    path: list[NodeProto] = []
    tensor, last = model.graph.input[0].name, model.graph.output[0].name
    while tensor != last:
        consumers = model.find_consumers(tensor) or []
        if len(consumers) != 1:
            where = f"tensor {tensor!r}"
            fix = "Only plain chains without branches can be lowered."
            raise FlipflowError("E252", f"it has {len(consumers)} consumers.", where, fix)
        dynamic_input(model, consumers[0])
        path.append(consumers[0])
        tensor = consumers[0].output[0]
    return path


def _scalar(model: Any, node: NodeProto, index: int, default: float) -> float:
    if len(node.input) <= index:
        return default
    values = np.unique(model.get_initializer(node.input[index]))
    if len(values) != 1:
        raise fail("E251", node, "it has a scale or width per channel.", "Use one per tensor.")
    return float(values[0])


def node_format(model: Any, node: NodeProto) -> Format:
    """Format that a quantizer node of the QONNX file produces."""
    scale = _scalar(model, node, 1, 1.0)
    return quantizer_format(node, scale, _scalar(model, node, 2, 0.0), _scalar(model, node, 3, 1.0))


def _weights(model: Any, node: NodeProto) -> tuple[NDArray[np.int64], Format]:
    from qonnx.custom_op.registry import getCustomOp  # noqa: PLC0415

    quantizer = model.find_producer(node.input[1])
    if quantizer is None or quantizer.op_type not in QUANTIZERS:
        raise fail("E253", node, "its weights are not quantized.", "Feed them through a BipolarQuant or Quant node.")
    form = node_format(model, quantizer)
    context = {name: model.get_initializer(name) for name in quantizer.input if name}
    if any(value is None for value in context.values()):
        raise fail("E253", node, "its weights are not constant.", "Store weights and scales as initializers.")
    getCustomOp(quantizer).execute_node(context, model.graph)
    integers = np.asarray(context[quantizer.output[0]], np.float64) / form.scale
    return np.rint(integers).astype(np.int64), form


def _pair(values: object, default: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(v) for v in values) if isinstance(values, (list, tuple)) and values else tuple(default)


def _padding(model: Any, node: NodeProto, pad: NodeProto | None, x: Format) -> tuple[tuple[int, ...], str]:
    own = _pair(attributes(node).get("pads"), (0, 0, 0, 0))
    if pad is None:
        return own, "zero" if any(own) else "none"
    sizes = [int(size) for size in np.ravel(model.get_initializer(pad.input[1]))]
    value = float(np.ravel(model.get_initializer(pad.input[2]))[0]) if len(pad.input) > 2 and pad.input[2] else 0.0
    kinds = {0.0: "zero"}
    if x.bipolar:
        kinds |= {-x.scale: "minus_one", x.scale: "plus_one"}
    mode = attributes(pad).get("mode", b"constant")
    if value not in kinds or mode != b"constant" or any(own) or len(sizes) != 8 or any(sizes[i] for i in (0, 1, 4, 5)):
        fix = "Pad height and width with 0 or, where the tensor is bipolar, with -1 or +1 times its scale."
        raise fail("E254", pad, f"padding with {value:g} in mode {mode!r} is not supported here.", fix)
    pads = (sizes[2], sizes[3], sizes[6], sizes[7])
    if min(pads) < 0:
        raise fail("E254", pad, "it crops.", "Only padding that grows the map can be lowered.")
    return pads, kinds[value] if any(pads) else "none"


def implicit(node: NodeProto) -> bool:
    """Whether a Conv or MaxPool leaves its padding to the runtime."""
    return attributes(node).get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")


def _layer(model: Any, node: NodeProto, pad: NodeProto | None, x: Format) -> Layer:
    weights, form = _weights(model, node)
    values = attributes(node)
    stride = _pair(values.get("strides"), (1, 1))
    pads, kind = _padding(model, node, pad, x) if node.op_type == "Conv" else ((0, 0, 0, 0), "none")
    dilations = _pair(values.get("dilations"), (1, 1))
    plain = values.get("group", 1) == 1 and set(dilations) == {1} and len(node.input) == 2 and len(stride) == 2
    if not plain or implicit(node):
        fix = "Use 2-D convolutions of group 1, dilation 1, explicit pads, without bias (a bias is an Add node)."
        raise fail("E254", node, "groups, dilations, auto_pad or a bias are not supported.", fix)
    start = pad.input[0] if pad is not None else node.input[0]
    name = node.name or node.output[0]
    return Layer(
        name, weights, form, start, node.output[0], (stride[0], stride[1]), (pads[0], pads[1], pads[2], pads[3]), kind
    )


def _segment(model: Any, nodes: list[NodeProto], source: str) -> Segment:
    quantizers = [index for index, node in enumerate(nodes) if node.op_type in QUANTIZERS]
    count = quantizers[-1] + 1 if quantizers else 0
    for node in nodes[count:]:
        if node.op_type not in SHAPING:
            fix = "Put a quantizer (BipolarQuant or Quant) between it and the next Conv or MatMul."
            raise fail("E255", node, "its output reaches the next layer unquantized.", fix)
    form = node_format(model, nodes[count - 1]) if quantizers else None
    return Segment(tuple(nodes), count, form, source)


def _check_start(model: Any, path: list[NodeProto]) -> int:
    for index, node in enumerate(path):
        if node.op_type in COMPUTE:
            fix = "Quantize the input first, for instance with an 8-bit unsigned Quant node."
            raise fail("E253", node, "it comes before the first activation quantizer.", fix)
        if node.op_type in QUANTIZERS:
            return index
    where = f"graph {model.graph.name!r}"
    raise FlipflowError("E253", "it has no activation quantizer.", where, "Quantize the input and the activations.")


def read_chain(model: Any) -> Chain:
    """Splits a canonical QONNX model.

    Raises: FlipflowError E251 (quantizer), E252 (not a chain), E253 (weights or input not quantized), E254 (convolution
    or padding out of the supported set), E255 (a layer's input not quantized), E256 (epilogue).
    """
    path = _main_path(model)
    start = _check_start(model, path)
    first = node_format(model, path[start])
    source = path[start].output[0]
    x, begin = first, source
    segments: list[Segment] = []
    layers: list[Layer] = []
    pending: list[NodeProto] = []
    for node in path[start + 1 :]:
        if node.op_type not in COMPUTE:
            pending.append(node)
            continue
        pad = pending.pop() if pending and pending[-1].op_type == "Pad" else None
        segment = _segment(model, pending, begin)
        if layers and segment.format is None:
            fix = "Put a quantizer (BipolarQuant or Quant) between the two layers."
            raise fail("E255", node, f"no quantizer stands between it and layer {layers[-1].name!r}.", fix)
        x = segment.format or x
        layers.append(_layer(model, node, pad, x))
        segments.append(segment)
        begin, pending = node.output[0], []
    if not layers:
        raise FlipflowError("E253", "it has no Conv or MatMul.", f"graph {model.graph.name!r}", "Nothing to lower.")
    _check_epilogue(model, pending)
    return Chain(model, source, first, tuple(segments), tuple(layers))


def _check_epilogue(model: Any, nodes: list[NodeProto]) -> None:
    """After the last layer only a Flatten and positive scalar affines may stand; they keep the order of the logits."""
    for node in nodes:
        if node.op_type == "Flatten":
            continue
        constants = [model.get_initializer(name) for name in node.input if name]
        scalar = all(value is None or len(np.unique(value)) == 1 for value in constants)
        if (
            not scalar
            or node.op_type not in ("Mul", "Div", "Add", "Sub", "BatchNormalization")
            or not _rising(node, constants)
        ):
            fix = "After the last layer use at most one positive scale and one bias, the same for all classes."
            raise fail("E256", node, "it is not a positive scalar affine after the last layer.", fix)


def _rising(node: NodeProto, constants: list[NDArray[np.float32] | None]) -> bool:
    if node.op_type == "BatchNormalization":
        return constants[1] is not None and bool(np.all(constants[1] > 0))
    constant = next((value for value in constants if value is not None), None)
    if constant is None or node.op_type == "Add":
        return constant is not None
    if node.op_type == "Sub":
        return constants[0] is None
    return bool(np.all(constant > 0)) and (node.op_type == "Mul" or constants[0] is None)
