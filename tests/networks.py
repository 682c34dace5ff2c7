"""Random networks as QONNX files, written node by node with onnx.helper: what an exporter from elsewhere might give.

Nothing of flipflow is used here, so that a test's expectation, QONNX's own execution of the file, is independent of it.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

QONNX_DOMAIN = "qonnx.custom_op.general"


@dataclass(frozen=True)
class LayerPlan:
    """One layer and what follows it. kernel 0: fully connected. order: where pool, bn and the quantizer stand."""

    outputs: int
    kernel: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    pad: int = 0
    pad_kind: str = "zero"
    order: str = "bn-quant-pool"
    pool: tuple[int, int] | None = None
    pool_pad: int = 0
    weight_bits: int = 1
    activation_bits: int = 1
    extra: str = "none"


@dataclass(frozen=True)
class NetPlan:
    """A whole network; seed draws weights and batch norms."""

    input_shape: tuple[int, int, int]
    input_bits: int
    input_signed: bool
    layers: tuple[LayerPlan, ...]
    classes: int
    last_bits: int
    epilogue: bool
    seed: int


@st.composite
def layer_plans(draw: st.DrawFn, size: tuple[int, int]) -> tuple[LayerPlan, tuple[int, int]]:
    """A convolution that fits a map of `size`, and the size behind it."""
    kernel = (draw(st.integers(1, min(3, size[0]))), draw(st.integers(1, min(3, size[1]))))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    pad = draw(st.integers(0, 1)) if min(kernel) > 1 else 0
    out = tuple((s + 2 * pad - k) // t + 1 for s, k, t in zip(size, kernel, stride, strict=True))
    pool = None
    pool_pad = 0
    if min(out) >= 2 and draw(st.booleans()):
        pool = draw(st.sampled_from([(2, 2), (2, 1), (3, 2)] if min(out) >= 3 else [(2, 2), (2, 1)]))
        pool_pad = draw(st.integers(0, 1))
        out = tuple((s + 2 * pool_pad - pool[0]) // pool[1] + 1 for s in out)
    plan = LayerPlan(
        outputs=draw(st.integers(1, 9)),
        kernel=kernel,
        stride=stride,
        pad=pad,
        pad_kind=draw(st.sampled_from(["zero", "minus_one", "plus_one"])),
        order=draw(st.sampled_from(["bn-quant-pool", "bn-pool-quant", "pool-bn-quant"])),
        pool=pool,
        pool_pad=pool_pad,
        weight_bits=draw(st.sampled_from([1, 1, 1, 2, 4])),
        activation_bits=draw(st.sampled_from([1, 1, 1, 2, 3])),
        extra=draw(st.sampled_from(["none", "none", "prelu", "clip", "scale"])),
    )
    return plan, (int(out[0]), int(out[1]))


@st.composite
def net_plans(draw: st.DrawFn, max_convolutions: int = 3, max_hidden: int = 2) -> NetPlan:
    """Networks of a few convolutions and hidden fully connected layers."""
    size = (draw(st.integers(3, 8)), draw(st.integers(3, 8)))
    shape = (draw(st.integers(1, 3)), *size)
    layers: list[LayerPlan] = []
    for _ in range(draw(st.integers(0, max_convolutions))):
        plan, size = draw(layer_plans(size))
        layers.append(plan)
        if min(size) < 2:
            break
    for _ in range(draw(st.integers(0, max_hidden))):
        bits, extra = draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from(["none", "prelu", "clip"]))
        layers.append(LayerPlan(draw(st.integers(1, 12)), activation_bits=bits, extra=extra))
    return NetPlan(
        input_shape=shape,
        input_bits=draw(st.sampled_from([1, 2, 8])),
        input_signed=draw(st.booleans()),
        layers=tuple(layers),
        classes=draw(st.integers(2, 7)),
        last_bits=draw(st.sampled_from([1, 1, 4, 8])),
        epilogue=draw(st.booleans()),
        seed=draw(st.integers(0, 2**31 - 1)),
    )


@dataclass
class _Writer:
    generator: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    tensor: str = "image"
    bipolar: bool = False

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def node(self, op: str, *operands: str, domain: str = "", **attributes: object) -> None:
        output = f"t{len(self.nodes)}"
        inputs = [self.tensor, *operands]
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{op}_{output}", domain=domain, **attributes))
        self.tensor = output

    def quantize(self, bits: int, signed: bool, scale: float) -> None:
        if bits == 1:
            self.node("BipolarQuant", self.constant(np.array(scale)), domain=QONNX_DOMAIN)
        else:
            operands = [self.constant(np.array(value)) for value in (scale, 0.0, float(bits))]
            self.node("Quant", *operands, domain=QONNX_DOMAIN, signed=int(signed), narrow=0, rounding_mode="ROUND")
        self.bipolar = bits == 1

    def weights(self, shape: tuple[int, ...], bits: int) -> str:
        """Name of a quantized weight tensor."""
        scale = 2.0 ** -self.generator.integers(0, 3)
        limit = max(1, 2 ** (bits - 1) - 1)
        raw = self.generator.uniform(-limit, limit, shape) * scale
        name = self.constant(raw)
        output = f"w{len(self.nodes)}"
        operands = [name, self.constant(np.array(scale))]
        if bits == 1:
            self.nodes.append(helper.make_node("BipolarQuant", operands, [output], domain=QONNX_DOMAIN))
        else:
            operands += [self.constant(np.array(0.0)), self.constant(np.array(float(bits)))]
            attributes = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
            self.nodes.append(helper.make_node("Quant", operands, [output], domain=QONNX_DOMAIN, **attributes))
        return output


def write_network(plan: NetPlan) -> onnx.ModelProto:
    """The QONNX model of a plan, as opset 13 without annotated intermediate shapes."""
    writer = _Writer(np.random.default_rng(plan.seed))
    writer.quantize(plan.input_bits, plan.input_signed, 1.0 if plan.input_bits == 8 else 0.25)
    shape = plan.input_shape
    flat = False
    for layer in plan.layers:
        if layer.kernel[0] == 0:
            if not flat:
                writer.node("Flatten", axis=1)
                shape, flat = (int(np.prod(shape)),), True
            shape = _dense(writer, shape[0], layer)
        else:
            shape = _conv(writer, shape, layer)
    if not flat:
        writer.node("Flatten", axis=1)
    writer.node("MatMul", writer.weights((int(np.prod(shape)), plan.classes), plan.last_bits))
    if plan.epilogue:
        writer.node("Mul", writer.constant(np.array(0.37)))
        writer.node("Add", writer.constant(np.array(-1.5)))
    graph = helper.make_graph(
        writer.nodes,
        "random",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, *plan.input_shape])],
        [helper.make_tensor_value_info(writer.tensor, TensorProto.FLOAT, [1, plan.classes])],
        writer.constants,
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX_DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    return model


def images_for(plan: NetPlan, count: int) -> np.ndarray:
    """float32 images that visit the whole range of the input quantizer, and zero."""
    generator = np.random.default_rng(plan.seed + 1)
    images = generator.normal(0.0, 1.0, (count, *plan.input_shape)).astype(np.float32)
    if plan.input_bits == 8:
        images = np.rint(images * 100)
    images[0] = 0.0
    return images


def _dense(writer: _Writer, inputs: int, layer: LayerPlan) -> tuple[int]:
    writer.node("MatMul", writer.weights((inputs, layer.outputs), layer.weight_bits))
    _activation(writer, layer, inputs, 2)
    return (layer.outputs,)


def _conv(writer: _Writer, shape: tuple[int, ...], layer: LayerPlan) -> tuple[int, ...]:
    channels, height, width = shape
    pads = [layer.pad] * 4
    if layer.pad and layer.pad_kind != "zero" and writer.bipolar:
        scale = _last_scale(writer)
        amounts = numpy_helper.from_array(
            np.array([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64), f"p{len(writer.nodes)}"
        )
        writer.constants.append(amounts)
        value = writer.constant(np.array(scale if layer.pad_kind == "plus_one" else -scale))
        writer.node("Pad", amounts.name, value, mode="constant")
        conv_pads = [0] * 4
    else:
        conv_pads = pads
    weights = writer.weights((layer.outputs, channels, *layer.kernel), layer.weight_bits)
    writer.node("Conv", weights, kernel_shape=layer.kernel, strides=layer.stride, pads=conv_pads)
    height = (height + 2 * layer.pad - layer.kernel[0]) // layer.stride[0] + 1
    width = (width + 2 * layer.pad - layer.kernel[1]) // layer.stride[1] + 1
    _activation(writer, layer, channels * layer.kernel[0] * layer.kernel[1], 4)
    if layer.pool is not None:
        height, width = ((s + 2 * layer.pool_pad - layer.pool[0]) // layer.pool[1] + 1 for s in (height, width))
    return (layer.outputs, height, width)


def _activation(writer: _Writer, layer: LayerPlan, fan_in: int, rank: int) -> None:
    for step in layer.order.split("-"):
        if step == "bn":
            _batch_norm(writer, layer.outputs, fan_in)
            _extra(writer, layer, rank)
        elif step == "quant":
            writer.quantize(layer.activation_bits, bool(layer.outputs % 2), 0.5 if layer.activation_bits > 1 else 1.0)
        elif layer.pool is not None:
            size, stride = layer.pool
            pads = [layer.pool_pad] * 4
            writer.node("MaxPool", kernel_shape=[size] * 2, strides=[stride] * 2, pads=pads)


def _batch_norm(writer: _Writer, channels: int, fan_in: int) -> None:
    """Gammas of both signs and zero; small whole means and round factors, so that sums fall on thresholds exactly."""
    draw = writer.generator
    gamma = draw.choice([-2.0, -1.0, -0.7, 0.0, 0.3, 0.5, 1.0, 1.7], channels)
    beta = draw.choice([0.0, 0.0, -1.0, 0.25, 0.6], channels)
    mean = draw.integers(-3, 4, channels) * draw.choice([1.0, 0.5, float(np.sqrt(fan_in))])
    variance = draw.choice([1.0, 0.25, 3.7], channels) * fan_in
    writer.node(
        "BatchNormalization", *(writer.constant(value) for value in (gamma, beta, mean, variance)), epsilon=1e-5
    )


def _extra(writer: _Writer, layer: LayerPlan, rank: int) -> None:
    tail = (1,) * (rank - 2)
    if layer.extra == "prelu":
        slopes = writer.generator.uniform(0.0, 0.9, (layer.outputs, *tail))
        writer.node("PRelu", writer.constant(slopes))
    elif layer.extra == "clip":
        writer.node("Clip", writer.constant(np.array(-1.0)), writer.constant(np.array(1.0)))
    elif layer.extra == "scale":
        writer.node("Mul", writer.constant(writer.generator.choice([-0.5, 1.5, 3.0], (1, layer.outputs, *tail))))


def _last_scale(writer: _Writer) -> float:
    """Scale of the bipolar quantizer that made the current tensor."""
    values = {constant.name: numpy_helper.to_array(constant) for constant in writer.constants}
    quantizers = [node for node in writer.nodes if node.op_type == "BipolarQuant" and node.input[0] not in values]
    return float(values[quantizers[-1].input[1]])
