"""Floating-point networks to compare with: the standard ResNets, and twins of integer nets.

A float graph is a list of nodes in the order of execution, batch 1, NCHW. It says topology and weights once;
float_onnx.py and float_torch.py make of it what the peers run. Batch normalization is folded into the convolutions, as
every deployment does.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from flipflow.export.integer.net import NET_INPUT, Add, Conv, IntegerNet, Linear, MaxPool, SumPool, Threshold

NodeKind = Literal["conv", "relu", "max_pool", "add", "average_pool", "flatten", "gemm"]
Pads = tuple[int, int, int, int]
Pair = tuple[int, int]
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True, eq=False)
class FloatNode:
    """One operator. inputs: indices of earlier nodes, NET_INPUT for the image; shape: of its result without the batch.

    weight: float32 [M, C, KH, KW] of a conv, [M, K] of a gemm; bias: float32 [M]; kernel, stride, pads (top, left, bottom,
    right): of convs and pools.
    """

    kind: NodeKind
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A float network, equal only to itself. input_shape: [C, H, W] or [K], without the batch. The last node gives the logits."""

    name: str
    input_shape: tuple[int, ...]
    nodes: tuple[FloatNode, ...]

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(a.size for node in self.nodes for a in (node.weight, node.bias) if a is not None)


class GraphBuilder:
    """Appends nodes and keeps track of shapes. Every method returns the index of the node it made."""

    def __init__(self, name: str, input_shape: tuple[int, ...], seed: int = 0) -> None:
        self._name = name
        self._input_shape = input_shape
        self._nodes: list[FloatNode] = []
        self._random = np.random.default_rng(seed)

    def finish(self) -> FloatGraph:
        """The graph made so far."""
        return FloatGraph(self._name, self._input_shape, tuple(self._nodes))

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of a node's result, or of the image for NET_INPUT."""
        return self._input_shape if index == NET_INPUT else self._nodes[index].shape

    def random_conv(self, source: int, channels: int, kernel: int, stride: int, pad: int) -> int:
        """Convolution with He-initialized weights and a small bias, as batch normalization leaves one when folded."""
        fan_in = self.shape(source)[0] * kernel * kernel
        weight = self._random.standard_normal((channels, self.shape(source)[0], kernel, kernel), np.float32)
        return self.conv(source, weight * np.float32((2.0 / fan_in) ** 0.5), (stride, stride), (pad,) * 4)

    def conv(self, source: int, weight: np.ndarray, stride: Pair, pads: Pads) -> int:
        """Convolution of weight [M, C, KH, KW] with a small random bias."""
        kernel = (weight.shape[2], weight.shape[3])
        size = _window_size(self.shape(source), kernel, stride, pads)
        weight = np.ascontiguousarray(weight, np.float32)
        node = FloatNode("conv", (source,), (len(weight), *size), weight, self._bias(weight), kernel, stride, pads)
        return self._append(node)

    def pool(self, kind: NodeKind, source: int, kernel: Pair, stride: Pair, pads: Pads) -> int:
        """max_pool or average_pool."""
        size = _window_size(self.shape(source), kernel, stride, pads)
        shape = (self.shape(source)[0], *size)
        return self._append(FloatNode(kind, (source,), shape, kernel=kernel, stride=stride, pads=pads))

    def relu(self, source: int) -> int:
        """Rectifier."""
        return self._append(FloatNode("relu", (source,), self.shape(source)))

    def add(self, left: int, right: int) -> int:
        """Residual addition."""
        return self._append(FloatNode("add", (left, right), self.shape(left)))

    def flatten(self, source: int) -> int:
        """Map to vector; nothing where it is one already."""
        shape = self.shape(source)
        return source if len(shape) == 1 else self._append(FloatNode("flatten", (source,), (int(np.prod(shape)),)))

    def is_rectified(self, index: int) -> bool:
        """Whether a result is that of a ReLU, or of pools behind one."""
        while index != NET_INPUT and self._nodes[index].kind in ("max_pool", "average_pool"):
            index = self._nodes[index].inputs[0]
        return index != NET_INPUT and self._nodes[index].kind == "relu"

    def random_gemm(self, source: int, outputs: int) -> int:
        """Fully connected layer with random weights."""
        inputs = self.shape(source)[0]
        weight = self._random.standard_normal((outputs, inputs), np.float32) * np.float32(inputs**-0.5)
        return self.gemm(source, weight)

    def gemm(self, source: int, weight: np.ndarray) -> int:
        """Fully connected layer of weight [M, K]."""
        weight = np.ascontiguousarray(weight, np.float32)
        return self._append(FloatNode("gemm", (source,), (len(weight),), weight, self._bias(weight)))

    def _bias(self, weight: np.ndarray) -> np.ndarray:
        return (self._random.standard_normal(len(weight)) * 0.1).astype(np.float32)

    def _append(self, node: FloatNode) -> int:
        self._nodes.append(node)
        return len(self._nodes) - 1


def _window_size(shape: tuple[int, ...], kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    height = (shape[1] + pads[0] + pads[2] - kernel[0]) // stride[0] + 1
    return height, (shape[2] + pads[1] + pads[3] - kernel[1]) // stride[1] + 1


@lru_cache(maxsize=4)
def standard_resnet(name: str, seed: int = 0) -> FloatGraph:
    """resnet18 or resnet34 as published (He et al. 2015, table 1): 224x224x3 in, 1000 classes out, random weights."""
    builder = GraphBuilder(name, (3, 224, 224), seed)
    x = builder.relu(builder.random_conv(NET_INPUT, 64, 7, 2, 3))
    x = builder.pool("max_pool", x, (3, 3), (2, 2), (1, 1, 1, 1))
    for stage, (blocks, width) in enumerate(zip(BLOCKS[name], _WIDTHS, strict=True)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            y = builder.relu(builder.random_conv(x, width, 3, stride, 1))
            y = builder.random_conv(y, width, 3, 1, 1)
            skip = builder.random_conv(x, width, 1, 2, 0) if stride == 2 else x
            x = builder.relu(builder.add(y, skip))
    size = builder.shape(x)[1]
    x = builder.pool("average_pool", x, (size, size), (1, 1), (0, 0, 0, 0))
    builder.random_gemm(builder.flatten(x), 1000)
    return builder.finish()


@lru_cache(maxsize=16)
def conv_layer(shape: tuple[int, int, int], seed: int = 0) -> FloatGraph:
    """One 3x3 convolution with a ReLU that keeps a map of shape [C, H, W] as it is."""
    builder = GraphBuilder("conv", shape, seed)
    builder.relu(builder.random_conv(NET_INPUT, shape[0], 3, 1, 1))
    return builder.finish()


def float_twin(net: IntegerNet, seed: int = 0) -> FloatGraph:
    """A float network of the same topology: what a user would deploy in place of `net`.

    Convolutions and fully connected layers get a bias. Thresholds behind them become ReLUs, but for those that only requantize
    (behind a global sum, or before an addition: batch normalization, folded into the bias). Additions have a ReLU behind
    them, as in the published ResNets, and thresholds of what is rectified already become nothing.
    """
    shape = (net.input_shape[2], *net.input_shape[:2]) if len(net.input_shape) == 3 else net.input_shape
    builder = GraphBuilder("twin", shape, seed)
    made = {NET_INPUT: NET_INPUT}
    for index, sources in enumerate(net.wires):
        made[index] = _twin_node(net, index, builder, [made[source] for source in sources])
    return builder.finish()


def _twin_node(net: IntegerNet, index: int, builder: GraphBuilder, sources: list[int]) -> int:
    operator, source = net.operators[index], sources[0]
    if isinstance(operator, Conv):
        weight = operator.weights.transpose(0, 3, 1, 2) * np.float32(_scale(operator))
        return builder.conv(source, weight, operator.stride, operator.pads)
    if isinstance(operator, Linear):
        weight = _columns_chw(operator.weights, builder.shape(source)) * np.float32(_scale(operator))
        return builder.gemm(builder.flatten(source), weight)
    if isinstance(operator, Threshold):
        return source if builder.is_rectified(source) or _only_requantizes(net, index) else builder.relu(source)
    if isinstance(operator, MaxPool):
        return builder.pool("max_pool", source, operator.kernel, operator.stride, operator.pads)
    if isinstance(operator, SumPool):
        return builder.pool("average_pool", source, operator.kernel, operator.stride, (0, 0, 0, 0))
    return builder.relu(builder.add(source, sources[1]))


def _scale(operator: Conv | Linear) -> float:
    """Brings the outputs of integer weights to about 1, so that calibration sees ordinary numbers."""
    rows = operator.weights.reshape(len(operator.weights), -1).astype(np.float64)
    return 1.0 / max(1.0, float(np.linalg.norm(rows, axis=1).mean()))


def _columns_chw(weights: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Weights [M, K] with K in the order of a flattened NHWC map, reordered for an NCHW one of `shape`."""
    if len(shape) == 1:
        return weights
    channels, height, width = shape
    return weights.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(len(weights), -1)


def _only_requantizes(net: IntegerNet, index: int) -> bool:
    behind = net.wires[index][0]
    if behind != NET_INPUT and isinstance(net.operators[behind], SumPool):
        return True
    users = [net.operators[user] for user, sources in enumerate(net.wires) if index in sources]
    return bool(users) and all(isinstance(user, Add) for user in users)
