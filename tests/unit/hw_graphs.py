"""Streamlined graphs made by hand for the hardware tests, each with a reference of its own: torch's float64
convolutions and pools.

A `Net` grows layer by layer; `model()` is the streamlined graph as flipflow.export.finn.streamline documents it,
`reference(images)` the logits, computed without any of the code under test.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from torch.nn import functional

GENERAL = "qonnx.custom_op.general"
OWN = "flipflow.export.finn.ops"
Array = NDArray[Any]


@dataclass
class Net:
    """shape: of the input, [H, W, C] or [K]. dtype: of the current tensor as the graph annotates it. values are what
    torch computes on.
    """

    shape: list[int]
    dtype: str
    seed: int = 0
    nodes: list[Any] = field(default_factory=list)
    tensors: dict[str, tuple[list[int], str]] = field(default_factory=dict)
    initializers: dict[str, tuple[Array, str]] = field(default_factory=dict)
    steps: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.input_shape = list(self.shape)
        self.last = "x"
        self.tensors["x"] = ([1, *self.shape], self.dtype)
        self.xnor = False

    def _add(
        self, op: str, domain: str, shape: list[int], dtype: str, extra: dict[str, tuple[Array, str]], **attributes: Any
    ) -> None:
        index = len(self.nodes)
        output = f"out{index}"
        names = [f"{key}{index}" for key in extra]
        self.initializers |= dict(zip(names, extra.values(), strict=True))
        self.nodes.append(
            helper.make_node(op, [self.last, *names], [output], f"{op}_{index}", domain=domain, **attributes)
        )
        self.tensors[output] = ([1, *shape], dtype)
        self.last, self.shape, self.dtype = output, list(shape), dtype

    def images(self, count: int) -> Array:
        """Random integer images, bipolar ones as -1 and +1."""
        kind = self.tensors["x"][1]
        size = (count, *self.input_shape)
        if kind in ("BINARY", "BIPOLAR"):
            return self.rng.choice([-1, 1], size)
        return self.rng.integers(int(DataType[kind].min()), int(DataType[kind].max()) + 1, size)

    def weights(self, fan_in: int, outputs: int, kind: str) -> Array:
        if kind == "BIPOLAR":
            return self.rng.choice([-1, 1], (fan_in, outputs))
        return self.rng.integers(int(DataType[kind].min()), int(DataType[kind].max()) + 1, (fan_in, outputs))

    def conv(
        self, outputs: int, kernel: tuple[int, int], kind: str = "BIPOLAR", *, stride: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0), border: str = "none",
    ) -> "Net":  # fmt: skip
        """Window and matrix product; the current tensor is BINARY for an XNOR layer without zero padding."""
        height, width, channels = self.shape
        weights = self.weights(kernel[0] * kernel[1] * channels, outputs, kind)
        if kernel != (1, 1) or stride != (1, 1) or any(pads):
            ofm = [
                (height + pads[0] + pads[2] - kernel[0]) // stride[0] + 1,
                (width + pads[1] + pads[3] - kernel[1]) // stride[1] + 1,
            ]
            masked = border == "zero" and self.dtype == "BIPOLAR"
            dtype = "TERNARY" if masked else self.dtype
            self._add(
                "Window", OWN, [*ofm, weights.shape[0]], dtype, {},
                kernel=list(kernel), stride=list(stride), pads=list(pads), pad_kind=border,
            )  # fmt: skip
        fill = {"minus_one": -1.0, "plus_one": 1.0}.get(border, 0.0)
        filters = torch.tensor(weights.reshape(*kernel, channels, outputs).transpose(3, 2, 0, 1), dtype=torch.float64)

        def step(x: torch.Tensor) -> torch.Tensor:
            padded = functional.pad(x, (pads[1], pads[3], pads[0], pads[2]), value=fill)
            return functional.conv2d(padded, filters, stride=stride)

        self.steps.append(step)
        return self._product(weights, kind, outputs)

    def linear(self, outputs: int, kind: str = "BIPOLAR") -> "Net":
        """Matrix product on the flattened tensor."""
        if len(self.shape) == 3:
            self._add("Flatten", "", [int(np.prod(self.shape))], self.dtype, {}, axis=1)
            self.steps.append(lambda x: x.permute(0, 2, 3, 1).flatten(1))
        weights = self.weights(self.shape[0], outputs, kind)
        matrix = torch.tensor(weights, dtype=torch.float64)
        self.steps.append(lambda x: x @ matrix)
        return self._product(weights, kind, outputs)

    def _product(self, weights: Array, kind: str, outputs: int) -> "Net":
        shape = [*self.shape[:-1], outputs]
        self.fan_in = weights.shape[0]
        self.spread = float(
            np.sqrt(self.fan_in) * np.abs(weights).mean() * max(1, abs(float(DataType[self.dtype].max())) / 2)
        )
        self.center = (
            0.0
            if self.dtype in ("BINARY", "BIPOLAR", "TERNARY")
            else float(weights.sum(0).mean()) * float(DataType[self.dtype].max()) / 2
        )
        self.xnor = self.dtype == "BINARY"
        if self.xnor:
            bits = ((weights + 1) // 2).astype(np.float32), "BINARY"
            self._add("XnorPopcountMatMul", GENERAL, shape, f"UINT{self.fan_in.bit_length()}", {"w": bits})
        else:
            self._add("MatMul", "", shape, "INT24", {"w": (weights.astype(np.float32), kind)})
        return self

    def levels(self, dtype: str, *, narrow: bool = False, bits: bool = False, falls: bool = False) -> "Net":
        """Random thresholds; dtype BIPOLAR with bits=True writes BINARY. falls: standalone Threshold with falling
        channels.
        """
        bits, dtype = bits or dtype == "BINARY", "BIPOLAR" if dtype == "BINARY" else dtype
        channels = self.shape[-1]
        count = 1 if dtype == "BIPOLAR" else int(DataType[dtype].max() - DataType[dtype].min()) - int(narrow)
        least = 0 if dtype == "BIPOLAR" else int(DataType[dtype].min()) + int(narrow)
        if self.nodes:
            sums = np.sort(np.rint(self.rng.normal(self.center, self.spread, (channels, count))), axis=1)
        else:
            kind = DataType[self.dtype]
            sums = np.sort(self.rng.integers(int(kind.min()), int(kind.max()) + 2, (channels, count)), axis=1)
        stored = np.clip(np.ceil((sums + self.fan_in) / 2), 0, self.fan_in + 1) if self.xnor else sums
        if channels > 2 and count == 1:
            stored[0], stored[1] = (0, self.fan_in + 1) if self.xnor else (-(2**22), 2**22)
        limits = torch.tensor(2 * stored - self.fan_in if self.xnor else stored, dtype=torch.float64)
        invert = self.rng.integers(0, 2, channels) if falls else np.zeros(channels, int)
        flip = torch.tensor(invert, dtype=torch.bool)
        scale, bias = (2, -1) if dtype == "BIPOLAR" else (1, least)

        def step(x: torch.Tensor) -> torch.Tensor:
            last = x.movedim(1, -1) if x.ndim == 4 else x
            passed = (last[..., None] >= limits).sum(-1)
            passed = torch.where(flip, count - passed, passed)
            out = (scale * passed + bias).to(torch.float64)
            return out.movedim(-1, 1) if x.ndim == 4 else out

        self.steps.append(step)
        extra = {"t": (stored.astype(np.float32), "INT24")}
        written = ("BINARY", 1.0, 0.0) if dtype == "BIPOLAR" and bits else (dtype, float(scale), float(bias))
        attributes = {"out_dtype": written[0], "out_scale": written[1], "out_bias": written[2]}
        if falls:
            extra["i"] = (invert.astype(np.float32), "BINARY")
        layout = "NHWC" if len(self.shape) == 3 else "NC"
        self._add(
            "Threshold" if falls else "MultiThreshold",
            OWN if falls else GENERAL,
            self.shape,
            written[0],
            extra,
            **attributes,
            data_layout=layout,
        )
        self.xnor = False
        return self

    def pool(
        self, kernel: int, stride: int, *, pad: int = 0, ceil: bool = False, minimum: tuple[int, ...] = ()
    ) -> "Net":
        """Max-pool, min-pool in some channels."""
        channels = self.shape[2]
        sign = torch.ones(channels, dtype=torch.float64)
        sign[list(minimum)] = -1

        def step(x: torch.Tensor) -> torch.Tensor:
            signed = x * sign[:, None, None]
            return functional.max_pool2d(signed, kernel, stride, pad, ceil_mode=ceil) * sign[:, None, None]

        ofm = list(step(torch.zeros(1, channels, *self.shape[:2], dtype=torch.float64)).shape[2:])
        self.steps.append(step)
        attributes: dict[str, Any] = {"kernel": [kernel] * 2, "stride": [stride] * 2, "pads": [pad] * 4, "ofm_dim": ofm}
        if minimum:
            attributes["min_channels"] = list(minimum)
        self._add("MaxMinPool", OWN, [*ofm, channels], self.dtype, {}, **attributes)
        return self

    def model(self) -> Any:
        """The streamlined graph."""
        info = {
            name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, (shape, _) in self.tensors.items()
        }
        middle = [item for name, item in info.items() if name not in ("x", self.last)]
        constants = [
            numpy_helper.from_array(np.ascontiguousarray(value), name) for name, (value, _) in self.initializers.items()
        ]
        graph = helper.make_graph(self.nodes, "net", [info["x"]], [info[self.last]], constants, value_info=middle)
        opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 13), (GENERAL, 1), (OWN, 1))]
        model = ModelWrapper(helper.make_model(graph, opset_imports=opsets, ir_version=9))
        for name, (_, dtype) in {**self.tensors, **self.initializers}.items():
            model.set_tensor_datatype(name, DataType[dtype])
        kind = self.tensors["x"][1]
        source = {"shape": self.input_shape, "bits": DataType[kind].bitwidth(), "signed": DataType[kind].min() < 0}
        model.set_metadata_prop(
            "flipflow", json.dumps({"input": {**source, "bipolar": kind in ("BINARY", "BIPOLAR")}}, default=bool)
        )
        return model

    def reference(self, images: Array) -> Array:
        """Logits int64 [N, classes] by torch."""
        x = torch.tensor(images, dtype=torch.float64)
        x = x.permute(0, 3, 1, 2) if x.ndim == 4 else x
        for step in self.steps:
            x = step(x)
        return np.rint(x.flatten(1).numpy()).astype(np.int64)


def random_net(seed: int) -> Net:
    """A small network of random topology: convolutions and pools, then matrix products; all datatypes, borders and
    orders.
    """
    rng = np.random.default_rng(seed)
    first = str(rng.choice(["UINT8", "INT4", "BINARY", "BIPOLAR"]))
    net = Net([int(rng.integers(4, 10)), int(rng.integers(4, 10)), int(rng.integers(1, 5))], first, seed)
    if first in ("UINT8", "INT4") and rng.random() < 0.3:
        net.levels(*_format(rng), falls=bool(rng.integers(0, 2)))
    for _ in range(rng.integers(0, 4)):
        _random_conv(net, rng)
        if min(net.shape[:2]) >= 3 and rng.random() < 0.5:
            size, low = int(rng.integers(2, 4)), tuple(int(c) for c in np.flatnonzero(rng.random(net.shape[2]) < 0.3))
            net.pool(
                size, int(rng.integers(1, 4)), pad=int(rng.integers(0, 2)), ceil=bool(rng.integers(0, 2)), minimum=low
            )
    for _ in range(rng.integers(0, 2)):
        net.linear(int(rng.integers(2, 17)), _weights(net, rng)).levels(*_format(rng))
    return net.linear(int(rng.integers(2, 11)), _weights(net, rng))


def _format(rng: np.random.Generator) -> tuple[str]:
    return (str(rng.choice(["BINARY", "BIPOLAR", "UINT2", "INT3", "UINT4"])),)


def _weights(net: Net, rng: np.random.Generator) -> str:
    if net.dtype == "BINARY":
        return "BIPOLAR"
    return str(rng.choice(["INT3", "TERNARY"] if net.dtype == "BIPOLAR" else ["BIPOLAR", "INT3"]))


def _random_conv(net: Net, rng: np.random.Generator) -> None:
    kernel = int(rng.integers(1, min(3, *net.shape[:2]) + 1)), int(rng.integers(1, min(3, *net.shape[:2]) + 1))
    stride = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    borders = {"BINARY": ["none", "minus_one", "plus_one"], "BIPOLAR": ["none", "zero", "plus_one", "minus_one"]}
    border = str(rng.choice(borders.get(net.dtype, ["none", "zero"])))
    pads = [int(rng.integers(0, size)) if border != "none" else 0 for size in (*kernel, *kernel)]
    weights = _weights(net, rng)
    if border == "zero" and net.dtype == "BIPOLAR" and any(pads) and rng.random() < 0.7:
        weights = "BIPOLAR"
    outputs = int(rng.integers(1, 9))
    net.conv(
        outputs,
        kernel,
        weights,
        stride=stride,
        pads=(pads[0], pads[1], pads[2], pads[3]),
        border=border if any(pads) else "none",
    )
    net.levels(*_format(rng), narrow=False)
