"""Random residual networks as QONNX files, written node by node with onnx.helper: forks, additions, shortcuts, global sums.

Nothing of flipflow is used here, so that a test's expectation, QONNX's own execution of the file, is independent of it.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.onnx_files import GraphWriter

HEADS = ("ReduceSum", "ReduceMean", "GlobalAveragePool", "AveragePool", "Flatten")


@dataclass(frozen=True)
class BlockPlan:
    """One addition.

    outputs, stride: of the binary convolution; where they change the map, the shortcut is a fixed-point 1x1 convolution.
    activation: what the convolution sees of the stream. saturation: what stands between the Add and what reads it. swap: the
    shortcut is the Add's first operand.
    """

    outputs: int
    stride: int
    activation: str
    saturation: str
    swap: bool


@dataclass(frozen=True)
class ResidualPlan:
    """A whole network; seed draws weights and batch norms. bits, fraction: the stream's fixed-point format."""

    input_shape: tuple[int, int, int]
    bits: int
    fraction: int
    signed: bool
    stem_pool: bool
    blocks: tuple[BlockPlan, ...]
    head: str
    classes: int
    seed: int


@st.composite
def residual_plans(draw: st.DrawFn) -> ResidualPlan:
    """Networks of one to four additions on small maps."""
    blocks = tuple(
        BlockPlan(
            outputs=draw(st.sampled_from([0, 0, 3, 5])),
            stride=draw(st.sampled_from([1, 1, 2])),
            activation=draw(st.sampled_from(["sign", "sign", "shifted", "two bits"])),
            saturation=draw(st.sampled_from(["quant", "quant", "clip", "twice", "other step", "narrow", "pool"])),
            swap=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(1, 4)))
    )
    return ResidualPlan(
        input_shape=(draw(st.integers(1, 3)), draw(st.integers(4, 9)), draw(st.integers(4, 9))),
        bits=draw(st.integers(2, 8)),
        fraction=draw(st.integers(-2, 5)),
        signed=draw(st.sampled_from([True, True, False])),
        stem_pool=draw(st.booleans()),
        blocks=blocks,
        head=draw(st.sampled_from(HEADS)),
        classes=draw(st.integers(2, 7)),
        seed=draw(st.integers(0, 2**31 - 1)),
    )


class _Writer(GraphWriter):
    """The stream under construction: `tip` in steps of `step`, of shape `shape` (C, H, W)."""

    def __init__(self, plan: ResidualPlan) -> None:
        super().__init__(1, *plan.input_shape)
        self.plan = plan
        self.draw = np.random.default_rng(plan.seed)
        self.shape = plan.input_shape
        self.step = 2.0**-plan.fraction

    def weights(self, shape: tuple[int, ...], bits: int) -> str:
        values = self.constant(self.draw.normal(size=shape) * (0.4 if bits > 1 else 1.0))
        return self.sign(values) if bits == 1 else self.quant(bits, 2.0 ** (1 - bits), tensor=values, narrow=1)

    def conv(self, source: str, outputs: int, kernel: int, stride: int, bits: int, spread: float) -> str:
        """Convolution and batch norm of `source`; norms of both signs, some with whole means, so that ties occur."""
        inputs = self.shape[0]
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        sums = self.side("Conv", source, self.weights((outputs, inputs, kernel, kernel), bits), **attributes)
        deviation = spread * np.sqrt(inputs * kernel * kernel)
        gamma = self.draw.choice([-2.0, -1.0, 0.0, 0.5, 1.0, 1.7], outputs) * 3 * self.step
        beta = self.draw.choice([0.0, 0.5, 0.3], outputs) * self.step
        mean = np.rint(self.draw.normal(size=outputs) * deviation)
        variance = self.draw.choice([1.0, 0.25, 3.7], outputs) * deviation**2
        return self.side(
            "BatchNormalization", sums, *(self.constant(v) for v in (gamma, beta, mean, variance)), epsilon=1e-5
        )

    def fixed(self, tensor: str, bits: int | None = None, narrow: int = 0) -> str:
        """Quantize to the stream's format."""
        return self.quant(bits or self.plan.bits, self.step, tensor=tensor, signed=int(self.plan.signed), narrow=narrow)

    def pool(self, op: str, tensor: str, kernel: int, stride: int, pad: int) -> str:
        return self.side(op, tensor, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)


def write_residual_network(plan: ResidualPlan) -> onnx.ModelProto:
    """The QONNX model of a plan, as opset 13 without annotated intermediate shapes."""
    writer = _Writer(plan)
    image = writer.quant(8, signed=0)
    outputs = int(writer.draw.integers(2, 6))
    writer.tip = writer.fixed(writer.conv(image, outputs, 3, 1, 4, 60.0))
    writer.shape = (outputs, *writer.shape[1:])
    if plan.stem_pool:
        writer.tip = writer.pool("MaxPool", writer.tip, 3, 2, 1)
        writer.shape = (outputs, *((side + 1) // 2 for side in writer.shape[1:]))
    for block in plan.blocks:
        _block(writer, block)
    _head(writer)
    return writer.model()


def _block(writer: _Writer, block: BlockPlan) -> None:
    stream = writer.tip
    channels, *size = writer.shape
    outputs = block.outputs or channels
    stride = block.stride if min(size) > 2 else 1
    seen = stream
    if block.activation == "shifted":
        # Not a sign at 0: the stream is signed or not.
        seen = writer.side("Sub", stream, writer.constant(1.5 * writer.step))
    seen = writer.quant(2, writer.step, tensor=seen) if block.activation == "two bits" else writer.sign(seen)
    branch = writer.fixed(writer.conv(seen, outputs, 3, stride, 1, 1.0))
    shortcut = stream
    if outputs != channels or stride != 1:
        shortcut = writer.fixed(writer.conv(stream, outputs, 1, stride, 5, 4 * writer.step))
    total = writer.side("Add", *((shortcut, branch) if block.swap else (branch, shortcut)))
    writer.shape = (outputs, *((side - 1) // stride + 1 for side in size))
    _saturate(writer, block, total)


def _saturate(writer: _Writer, block: BlockPlan, total: str) -> None:
    if block.saturation == "clip":
        # A clamp on the grid inside the quantizer's range, and one that the quantizer makes narrower still.
        low, high = -1.0 * writer.step, (2 ** (writer.plan.bits - 1)) * writer.step
        total = writer.side("Clip", total, writer.constant(low), writer.constant(high))
    elif block.saturation == "other step":
        # No clamp: half the sum, so thresholds stand behind the addition.
        total = writer.side("Mul", total, writer.constant(0.5))
    elif block.saturation == "pool" and min(writer.shape[1:]) > 1:
        total = writer.pool("MaxPool", total, 2, 1, 0)
        writer.shape = (writer.shape[0], *(side - 1 for side in writer.shape[1:]))
    writer.tip = writer.fixed(total, narrow=int(block.saturation == "narrow"))
    if block.saturation == "twice":
        # The sum itself has two readers: it must stay whole for the second.
        other = writer.quant(writer.plan.bits + 1, writer.step, tensor=total)
        writer.tip = writer.fixed(writer.side("Add", writer.tip, other))


def _head(writer: _Writer) -> None:
    channels, height, width = writer.shape
    head, pixels = writer.plan.head, height * width
    if head == "Flatten":
        features = channels * pixels
    else:
        features = channels
        step = writer.step * (1.0 if "Sum" not in head else 2.0 ** int(np.ceil(np.log2(pixels))))
        if head == "ReduceSum":
            writer.node("ReduceSum", writer.constant([2, 3], np.int64), keepdims=0)
        elif head == "ReduceMean":
            writer.node("ReduceMean", axes=[2, 3], keepdims=1)
        elif head == "GlobalAveragePool":
            writer.node("GlobalAveragePool")
        elif min(height, width) > 1:
            writer.node("AveragePool", kernel_shape=[2, 2], strides=[2, 1])
            features = channels * (height // 2) * (width - 1)
        else:  # too low or narrow a map for the pool
            features = channels * pixels
        writer.quant(6, step)
    writer.node("Flatten", axis=1)
    writer.node("MatMul", writer.weights((features, writer.plan.classes), 8))


def pixels_for(plan: ResidualPlan, count: int) -> np.ndarray:
    """float32 images of whole numbers 0..255, one of them black, one white."""
    images = np.random.default_rng(plan.seed + 1).integers(0, 256, (count, *plan.input_shape)).astype(np.float32)
    images[0], images[1] = 0.0, 255.0
    return images
