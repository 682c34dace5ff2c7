"""Rebuilds a canonical QONNX chain in integers, in a form that FINN streamlines without a float left.

What FINN gets wrong or cannot do is done here: scales are divided out, elementwise chains become exact thresholds,
falling channels become negated weights, pools move behind their thresholds (and become minima where needed), the NCHW
order of a Flatten is folded into the next weights. Convolutions stay NCHW `Conv` nodes between Transposes: lowering
them is FINN's part.

The part before the first layer (the front) does not pass through FINN: it is emitted in NHWC as it stays. The body that
FINN sees starts with a sign threshold where its input is bipolar, because FINN converts to XNOR only behind one; it is
removed afterwards.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from flipflow.export.finn.chain import Chain, Layer, Segment, fail, implicit
from flipflow.export.finn.formats import Format, attributes
from flipflow.export.finn.thresholds import Pool, Reach, Thresholds, derive, input_reach, layer_reach

GENERAL = "qonnx.custom_op.general"
OWN = "flipflow.export.finn.ops"
TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]


@dataclass(frozen=True)
class IntegerLayer:
    """A layer in integers.

    weights: falling channels negated, rows in NHWC order; y: reachable sums; thresholds: None for the last layer.
    """

    layer: Layer
    weights: NDArray[np.int64]
    weight_dtype: str
    x: Format
    y: Reach
    thresholds: Thresholds | None


@dataclass(frozen=True)
class IntegerChain:
    """A network in integers. front: what stands between the graph's input and the first layer."""

    chain: Chain
    front: Thresholds
    layers: tuple[IntegerLayer, ...]

    @property
    def input_shape(self) -> list[int]:
        """[1,H,W,C] or [1,K]."""
        return to_nhwc(self.chain.shape(self.chain.source))


class GraphBuilder:
    """Collects the nodes of a chain; `name` and `shape` are those of its end so far."""

    def __init__(self, name: str, shape: list[int], dtype: str) -> None:
        """Starts at a graph input of the given shape and FINN datatype."""
        self.name, self.shape = name, shape
        self.source = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        self.nodes: list[NodeProto] = []
        self.infos: list[Any] = []
        self.constants: list[TensorProto] = []
        self.dtypes = {name: dtype}

    def constant(self, values: NDArray[Any], dtype: str) -> str:
        """Adds an initializer."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        self.dtypes[name] = dtype
        return name

    def add(self, op: str, constants: list[str], shape: list[int], dtype: str, domain: str = "", **values: Any) -> None:
        """Adds a node at the end of the chain."""
        output = f"chain_{len(self.nodes)}"
        node = helper.make_node(
            op, [self.name, *constants], [output], name=f"{op}_{len(self.nodes)}", domain=domain, **values
        )
        self.nodes.append(node)
        self.name, self.shape = output, shape
        self.infos.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
        self.dtypes[output] = dtype

    def transpose(self, perm: list[int]) -> None:
        """Adds a Transpose."""
        self.add("Transpose", [], [self.shape[i] for i in perm], self.dtypes[self.name], perm=perm)

    def finish(self) -> Any:
        """The chain as a qonnx ModelWrapper."""
        from qonnx.core.datatype import DataType  # noqa: PLC0415
        from qonnx.core.modelwrapper import ModelWrapper  # noqa: PLC0415

        end = self.infos[-1] if self.infos else self.source
        graph = helper.make_graph(
            self.nodes, "streamlined", [self.source], [end], self.constants, value_info=self.infos[:-1]
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 13), (GENERAL, 1), (OWN, 1))]
        proto: ModelProto = helper.make_model(graph, opset_imports=opsets, producer_name="flipflow")
        model = ModelWrapper(proto)
        for tensor, dtype in self.dtypes.items():
            model.set_tensor_datatype(tensor, DataType[dtype])
        return model


def to_nhwc(shape: list[int]) -> list[int]:
    """Shape NCHW -> NHWC; NC stays."""
    return [shape[0], *shape[2:], shape[1]] if len(shape) == 4 else shape


def signed_bits(low: int, high: int) -> int:
    """Bits of the smallest two's complement integer (2 at least) that holds low..high."""
    return max(2, high.bit_length() + 1 if high > 0 else 1, (-low - 1).bit_length() + 1 if low < 0 else 1)


def flattened(chain: Chain, segment: Segment) -> list[int] | None:
    """[C,H,W] of the map that a segment flattens, if it does."""
    for node in segment.nodes:
        if node.op_type == "Flatten" and len(shape := chain.shape(node.input[0])) == 4:
            return shape[1:]
    return None


def _integer_layer(chain: Chain, index: int, x: Format, thresholds: Thresholds | None, y: Reach) -> IntegerLayer:
    layer = chain.layers[index]
    weights = layer.weights
    shape = chain.shape(layer.x)
    if thresholds is not None:
        sign = np.where(thresholds.falling, -1, 1)
        weights = weights * (sign[:, None, None, None] if layer.is_conv else sign)
        y = Reach(np.where(thresholds.falling, -y.high, y.low), np.where(thresholds.falling, -y.low, y.high), y.step)
    if not layer.is_conv:
        if len(shape) != 2:
            raise fail("E254", _node(chain, layer), f"its input has shape {shape}.", "Flatten it first.")
        if before := flattened(chain, chain.segments[index]):
            weights = weights.reshape(*before, -1).transpose(1, 2, 0, 3).reshape(weights.shape)
    dtype = "BIPOLAR"
    if not layer.format.bipolar:
        # negating the lowest value of a two's complement format needs one bit more
        dtype = f"INT{max(layer.format.bits, signed_bits(int(weights.min()), int(weights.max())))}"
    return IntegerLayer(layer, weights, dtype, x, y, thresholds)


def _node(chain: Chain, layer: Layer) -> NodeProto:
    node: NodeProto = chain.model.find_producer(layer.y)
    return node


def to_integers(chain: Chain) -> IntegerChain:
    """Derives integer weights and thresholds of every layer.

    Raises: FlipflowError as `chain`, `evaluate` and `thresholds` do.
    """
    first = chain.first
    front = derive(chain, chain.segments[0], first, first.scale, input_reach(first, chain.shape(chain.source)[1]))
    layers = []
    x = front.format
    for index, layer in enumerate(chain.layers):
        y = layer_reach(layer, x)
        thresholds = None
        if index + 1 < len(chain.layers):
            thresholds = derive(chain, chain.segments[index + 1], x, x.scale * layer.format.scale, y)
        layers.append(_integer_layer(chain, index, x, thresholds, y))
        x = thresholds.format if thresholds is not None else x
    return IntegerChain(chain, front, tuple(layers))


def output_encoding(form: Format, binary: bool = False) -> dict[str, Any]:
    """out_dtype, out_scale, out_bias of a threshold node that makes a format; binary: bits for an XNOR layer."""
    if form.bipolar and binary:
        return {"out_dtype": "BINARY", "out_scale": 1.0, "out_bias": 0.0}
    if form.bipolar:
        return {"out_dtype": "BIPOLAR", "out_scale": 2.0, "out_bias": -1.0}
    return {"out_dtype": form.dtype, "out_scale": 1.0, "out_bias": float(form.low)}


def threshold_dtype(level: NDArray[Any]) -> str:
    """Smallest integer datatype that holds all thresholds."""
    low, high = int(level.min()), int(level.max())
    return f"INT{signed_bits(low, high)}" if low < 0 else f"UINT{max(2, high.bit_length())}"


def _multi_threshold(
    builder: GraphBuilder, level: NDArray[np.int64], form: Format, layout: str, binary: bool = False
) -> None:
    name = builder.constant(level, threshold_dtype(level))
    encoding = output_encoding(form, binary)
    builder.add("MultiThreshold", [name], builder.shape, encoding["out_dtype"], GENERAL, data_layout=layout, **encoding)


def _pool(builder: GraphBuilder, chain: Chain, pool: Pool) -> None:
    values = attributes(pool.node)
    out = to_nhwc(chain.shape(pool.node.output[0]))
    kernel = [int(v) for v in values["kernel_shape"]]  # type: ignore[attr-defined]
    dilated = any(v != 1 for v in values.get("dilations", [1]))  # type: ignore[attr-defined]
    if len(kernel) != 2 or dilated or implicit(pool.node):
        what = "only 2-D pools with explicit pads and without dilation are supported."
        raise fail("E254", pool.node, what, "Use MaxPool2d, and give its padding as numbers.")
    low = [int(c) for c in np.flatnonzero(pool.minimum)]
    builder.add(
        "MaxMinPool",
        [],
        out,
        builder.dtypes[builder.name],
        OWN,
        kernel=kernel,
        stride=list(values.get("strides", [1, 1])),  # type: ignore[call-overload]
        pads=list(values.get("pads", [0, 0, 0, 0])),  # type: ignore[call-overload]
        ofm_dim=out[1:3],
        **({"min_channels": low} if low else {}),
    )


def _pools_and_flatten(builder: GraphBuilder, integer: IntegerChain, thresholds: Thresholds, layer: Layer) -> None:
    """Adds a segment's pools, and its Flatten where the next layer is a MatMul on a map. In and out: NHWC or NC."""
    for pool in thresholds.pools:
        _pool(builder, integer.chain, pool)
    if len(builder.shape) == 4 and not layer.is_conv:
        flat = [1, int(np.prod(builder.shape))]
        builder.add("Flatten", [], flat, builder.dtypes[builder.name], axis=1)


def build_front(integer: IntegerChain, binary: bool) -> GraphBuilder:
    """The nodes before the first layer, NHWC, as they stand in `streamlined.onnx`; `binary`: bipolar output as bits."""
    chain, front = integer.chain, integer.front
    bits = binary and front.level is None and chain.first.bipolar
    builder = GraphBuilder("global_in", integer.input_shape, "BINARY" if bits else chain.first.dtype)
    if front.level is not None:
        layout = "NHWC" if len(builder.shape) == 4 else "NC"
        if front.falling.any():
            # -x >= T  <=>  not x >= 1 - T: the thresholds of the rising function, counted from the other end
            mirrored = np.where(front.falling[:, None], 1 - front.level[:, ::-1], front.level)
            names = [builder.constant(mirrored, threshold_dtype(mirrored)), builder.constant(front.falling, "BINARY")]
            encoding = output_encoding(front.format, binary)
            builder.add("Threshold", names, builder.shape, encoding["out_dtype"], OWN, **encoding)
        else:
            _multi_threshold(builder, front.level, front.format, layout, binary)
    _pools_and_flatten(builder, integer, front, integer.layers[0].layer)
    return builder


def build_body(integer: IntegerChain, shape: list[int]) -> Any:
    """The layers as a qonnx model for FINN; `shape` is that of the front's output, NHWC or NC."""
    form = integer.front.format
    builder = GraphBuilder("global_in", shape, "INT2" if form.bipolar else form.dtype)
    if form.bipolar:
        _multi_threshold(builder, np.zeros((1, 1), np.int64), form, "NHWC" if len(shape) == 4 else "NC")
    for index, item in enumerate(integer.layers):
        _compute(builder, integer.chain, item)
        if item.thresholds is None:
            break
        if item.thresholds.level is not None:
            layout = "NCHW" if item.layer.is_conv else "NC"
            _multi_threshold(builder, item.thresholds.level, item.thresholds.format, layout)
        if item.layer.is_conv:
            builder.transpose(TO_NHWC)
        _pools_and_flatten(builder, integer, item.thresholds, integer.layers[index + 1].layer)
    if integer.layers[-1].layer.is_conv:
        builder.transpose(TO_NHWC)
        if builder.shape[1:3] != [1, 1]:
            what = f"the last convolution leaves a map of {builder.shape[1]}x{builder.shape[2]} pixels."
            fix = "End the network with one value per class (a MatMul, or a Conv that leaves one pixel)."
            raise fail("E256", _node(integer.chain, integer.layers[-1].layer), what, fix)
        builder.add("Flatten", [], [1, builder.shape[3]], "FLOAT32", axis=1)
    return builder.finish()


def _compute(builder: GraphBuilder, chain: Chain, item: IntegerLayer) -> None:
    weights = builder.constant(item.weights, item.weight_dtype)
    if not item.layer.is_conv:
        builder.add("MatMul", [weights], [1, item.weights.shape[1]], "INT32")
        return
    builder.transpose(TO_NCHW)
    builder.add(
        "Conv",
        [weights],
        chain.shape(item.layer.y),
        "INT32",
        kernel_shape=list(item.weights.shape[2:]),
        strides=list(item.layer.stride),
        pads=list(item.layer.pads),
        group=1,
        dilations=[1, 1],
    )
