"""Small canonical QONNX networks for the tests of the FINN lowering, built with onnx.helper alone."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

QONNX = "qonnx.custom_op.general"


@dataclass
class Net:
    """Builds a chain; `shape` is that of its end so far, NCHW or NC."""

    shape: list[int]
    seed: int = 0
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    infos: list[Any] = field(default_factory=list)
    end: str = "image"

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.source = helper.make_tensor_value_info("image", TensorProto.FLOAT, self.shape)

    def const(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"const{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, op: str, *constants: str, shape: list[int] | None = None, **values: Any) -> "Net":
        output = f"t{len(self.nodes)}_{op}"
        domain = QONNX if op in ("Quant", "BipolarQuant") else ""
        inputs = [self.end, *constants]
        self.nodes.append(
            helper.make_node(op, inputs, [output], name=f"{op}_{len(self.nodes)}", domain=domain, **values)
        )
        self.shape = list(shape or self.shape)
        self.infos.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, self.shape))
        self.end = output
        return self

    def sign(self, scale: float = 1.0) -> "Net":
        return self.node("BipolarQuant", self.const(scale))

    def quant(self, bits: int, scale: float = 1.0, signed: int = 0, narrow: int = 0, mode: str = "ROUND") -> "Net":
        constants = [self.const(value) for value in (scale, 0.0, float(bits))]
        return self.node("Quant", *constants, signed=signed, narrow=narrow, rounding_mode=mode)

    def _weights(self, shape: list[int], bits: int, scale: float) -> str:
        """A weight quantizer node on random weights; bits 1: bipolar."""
        end, old = self.end, self.shape
        self.end = self.const(self.rng.normal(0, 0.7 * 2 ** (bits - 1) * scale, shape))
        if bits == 1:
            self.sign(scale)
        else:
            self.node(
                "Quant", *[self.const(v) for v in (scale, 0.0, float(bits))], signed=1, narrow=0, rounding_mode="ROUND"
            )
        self.infos[-1] = helper.make_tensor_value_info(self.end, TensorProto.FLOAT, shape)
        name, self.end, self.shape = self.end, end, old
        return name

    def conv(
        self,
        out: int,
        kernel: Any = 3,
        stride: Any = 1,
        pad: Any = 0,
        kind: str = "zero",
        bits: int = 1,
        scale: float = 1.0,
    ) -> "Net":
        """kind: zero | minus_one | plus_one; pad: number or (top, left, bottom, right)."""
        kernel = [kernel] * 2 if isinstance(kernel, int) else list(kernel)
        stride = [stride] * 2 if isinstance(stride, int) else list(stride)
        pads = [pad] * 4 if isinstance(pad, int) else list(pad)
        _, channels, height, width = self.shape
        size = [height + pads[0] + pads[2], width + pads[1] + pads[3]]
        if kind != "zero":
            sizes = self.const([0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]], np.int64)
            value = self.const(-1.0 if kind == "minus_one" else 1.0)
            self.node("Pad", sizes, value, shape=[1, channels, *size], mode="constant")
            pads = [0] * 4
        weights = self._weights([out, channels, *kernel], bits, scale)
        shape = [1, out, *[(size[i] - kernel[i]) // stride[i] + 1 for i in range(2)]]
        return self.node(
            "Conv", weights, shape=shape, kernel_shape=kernel, strides=stride, pads=pads, group=1, dilations=[1, 1]
        )

    def linear(self, out: int, bits: int = 1, scale: float = 1.0) -> "Net":
        return self.node("MatMul", self._weights([self.shape[1], out], bits, scale), shape=[1, out])

    def bn(self, spread: float = 3.0, gamma: Any = None, beta: Any = None, mean: Any = None, var: Any = None) -> "Net":
        """Random batch norm with gamma of both signs and, in channel 0, zero; arguments override."""
        channels = self.shape[1]
        random_gamma = self.rng.normal(0, 1, channels)
        random_gamma[0] = 0.0
        values = (
            random_gamma if gamma is None else np.broadcast_to(gamma, channels),
            self.rng.normal(0, 1, channels) if beta is None else np.broadcast_to(beta, channels),
            self.rng.normal(0, spread, channels) if mean is None else np.broadcast_to(mean, channels),
            self.rng.uniform(0.5, 2 * spread**2, channels) if var is None else np.broadcast_to(var, channels),
        )
        return self.node("BatchNormalization", *[self.const(v) for v in values], epsilon=1e-5)

    def pool(self, kernel: int = 2, stride: int | None = None, pad: int = 0) -> "Net":
        stride = stride or kernel
        size = [(n + 2 * pad - kernel) // stride + 1 for n in self.shape[2:]]
        shape = [*self.shape[:2], *size]
        return self.node("MaxPool", shape=shape, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def flatten(self) -> "Net":
        return self.node("Flatten", shape=[1, int(np.prod(self.shape[1:]))], axis=1)

    def save(self, path: Path) -> Path:
        output = next(info for info in self.infos if info.name == self.end)
        graph = helper.make_graph(
            self.nodes,
            "net",
            [self.source],
            [output],
            self.constants,
            value_info=[i for i in self.infos if i is not output],
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX, 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path


def canonical_tensors(path: Path, images: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """All tensors of the canonical file by qonnx' own execution, images [N,...]: only the static batch is widened."""
    proto = onnx.load(path)
    infos = {info.name: info for info in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info)}
    name: str | None = proto.graph.input[0].name
    while name is not None:
        infos[name].type.tensor_type.shape.dim[0].dim_value = len(images)
        name = next((node.output[0] for node in proto.graph.node if name in node.input), None)
    model = ModelWrapper(proto)
    tensors: dict[str, np.ndarray[Any, Any]] = execute_onnx(
        model, {proto.graph.input[0].name: images.astype(np.float32)}, True
    )
    return tensors


def canonical_logits(path: Path, images: np.ndarray[Any, Any], scale: float = 1.0) -> np.ndarray[Any, Any]:
    """Output of the canonical file divided by `scale`, [N,classes]; images [N,...], NCHW."""
    name = onnx.load(path).graph.output[0].name
    return canonical_tensors(path, images)[name].reshape(len(images), -1) / scale


def nhwc(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """[N,C,H,W] -> [N,H,W,C]; [N,K] stays."""
    return images.transpose(0, 2, 3, 1) if images.ndim == 4 else images


def random_images(net: Net, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Integers 0..255 in the shape of the net's input."""
    shape = [dim.dim_value for dim in net.source.type.tensor_type.shape.dim][1:]
    return np.random.default_rng(seed).integers(0, 256, [count, *shape])


def first_quantized(path: Path, images: np.ndarray[Any, Any], name: str, scale: float) -> np.ndarray[Any, Any]:
    """Integers that the canonical file's tensor `name` (the first quantizer's output) holds, NHWC or NK."""
    return nhwc(canonical_tensors(path, images)[name] / scale).astype(np.int64)


def _activation(net: Net, rng: np.random.Generator, spread: float, spatial: bool) -> None:
    """A chain that ends in a quantizer, with a pool anywhere in it or nowhere."""
    place = rng.choice(["none", "first", "middle", "last"]) if spatial and min(net.shape[2:]) >= 2 else "none"
    kernel, stride = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    pad = int(rng.integers(0, 2)) if kernel == 2 else 0
    if place == "first":
        net.pool(kernel, stride, pad)
    kind = rng.choice(["bn", "prelu", "clip", "affine"])
    if kind == "affine":
        net.node("Mul", net.const(float(rng.choice([-1, 1]) * 0.37)))
        shape = [1, net.shape[1], 1, 1] if spatial else [1, net.shape[1]]
        net.node("Add", net.const(rng.normal(0, spread / 3, shape)))
    else:
        net.bn(spread)
    if place == "middle":
        net.pool(kernel, stride, pad)
    if kind == "prelu":
        net.node("PRelu", net.const(np.full([net.shape[1], 1, 1] if spatial else [net.shape[1]], 0.25)))
    if kind == "clip":
        net.node("Clip", net.const(-1.0), net.const(1.0))
    if rng.random() < 0.6:
        net.sign(float(rng.choice([1.0, 0.5])))
    else:
        bits, signed = int(rng.integers(1, 5)), int(rng.integers(0, 2))
        mode = str(rng.choice(["ROUND", "FLOOR", "CEIL", "HALF_UP"]))
        net.quant(bits, 2.0 ** -int(rng.integers(0, 3)), signed, int(rng.integers(0, 2)) if bits > 1 else 0, mode)
    if place == "last":
        net.pool(kernel, stride, pad)


def random_net(seed: int) -> tuple[Net, str, float, float]:
    """A random network. Returns it, the first quantizer's output and scale, and the scale of the logits."""
    rng = np.random.default_rng(seed)
    spatial = bool(rng.random() < 0.75)
    net = Net([1, int(rng.integers(1, 5)), *(int(n) for n in rng.integers(4, 9, 2))] if spatial else [1, 17], seed)
    scale = 1.0
    kind = rng.choice(["uint8", "sign", "fixed"])
    if kind == "uint8":
        net.quant(8)
    else:
        net.node("Mul", net.const(1 / 127.5)).node("Sub", net.const(1.0))
        scale = 0.25 if kind == "fixed" else 1.0
        _ = net.quant(4, scale, 1) if kind == "fixed" else net.sign()
    first, scales = net.end, scale
    if rng.random() < 0.3:
        _activation(net, rng, 100.0 if kind == "uint8" else 1.0, spatial)
    depth = int(rng.integers(1, 4))
    for layer in range(depth):
        weight_scale = 2.0 ** -int(rng.integers(0, 2))
        bits = int(rng.choice([1, 1, 2, 4]))
        if spatial and rng.random() < 0.8 and min(net.shape[2:]) >= 2:
            _random_conv(net, rng, bits, weight_scale)
        else:
            if len(net.shape) == 4:
                net.flatten()
                spatial = False
            net.linear(int(rng.integers(2, 9)), bits, weight_scale)
        _activation(net, rng, 400.0 if layer == 0 and kind == "uint8" else 5.0, spatial)
    if spatial:
        net.flatten()
    scales = quantizer_scale(net)
    net.linear(int(rng.integers(2, 11)), int(rng.choice([1, 3])))
    return net, first, scale, scales


def quantizer_scale(net: Net) -> float:
    """Scale of the last quantizer on the path."""
    node = [
        node
        for node in net.nodes
        if node.op_type in ("Quant", "BipolarQuant") and node.input[0].startswith(("t", "image"))
    ][-1]
    return float(numpy_helper.to_array(next(c for c in net.constants if c.name == node.input[1])))


def _random_conv(net: Net, rng: np.random.Generator, bits: int, scale: float) -> None:
    kernel = [int(rng.integers(1, min(4, size + 1))) for size in net.shape[2:]]
    pad = [int(rng.integers(0, 2)) if kernel[i % 2] > 1 else 0 for i in range(4)]
    last = net.nodes[-1]
    bipolar = last.op_type == "BipolarQuant" and quantizer_scale(net) == 1.0
    kind = str(rng.choice(["zero", "minus_one", "plus_one"])) if bipolar else "zero"
    net.conv(int(rng.integers(1, 8)), kernel, [int(s) for s in rng.integers(1, 3, 2)], pad, kind, bits, scale)
