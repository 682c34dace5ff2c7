"""Kernel graphs of residual networks made by hand, unfolded, with a reference of their own: torch's float64 convolutions.

The stream between units is `BITS` bits wide and signed. A unit adds to it what a binary convolution makes of its signs; a unit
of stride 2 has a 2x2 sum beside it, or a 1x1 convolution of stride 2.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from flipflow.hw.graph import Attributes, KernelNode, assemble
from flipflow.hw.kernels.mvtu import sum_dtype
from flipflow.hw.kernels.window import ring_rows

Array = NDArray[Any]
BITS = 4
LOW, HIGH = -(1 << (BITS - 1)), (1 << (BITS - 1)) - 1
DTYPE = f"INT{BITS}"


@dataclass(frozen=True)
class Map:
    """A tensor: the kernel output that gives it, its size, and its values for the reference's images [N, C, H, W]."""

    name: str
    height: int
    width: int
    channels: int
    values: torch.Tensor


@dataclass
class Residual:
    """A network under construction, on random images of 2-bit pixels. small: thresholds come from the sums of the images."""

    images: Array  # [N, H, W, C]
    seed: int = 0
    nodes: list[KernelNode] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.counts: dict[str, int] = {}

    def name(self, kind: str) -> str:
        count = self.counts[kind] = self.counts.get(kind, -1) + 1
        return f"{kind}{count}"

    def add(
        self, op: str, name: str, inputs: tuple[str, ...], values: Attributes, params: dict[str, Array] | None = None
    ) -> str:
        self.nodes.append(KernelNode(op, name, values, params or {}, inputs))
        return name

    def start(self) -> Map:
        _, height, width, channels = self.images.shape
        values = torch.from_numpy(self.images.transpose(0, 3, 1, 2).astype(np.float64))
        return Map("images", height, width, channels, values)

    def window(self, x: Map, name: str, kernel: int, stride: int, pad: int, dtype: str) -> tuple[str, int, int]:
        ofm = [(size + 2 * pad - kernel) // stride + 1 for size in (x.height, x.width)]
        mask = int(dtype == "BIPOLAR" and pad > 0)
        values: Attributes = {"Channels": x.channels, "IfmDim": [x.height, x.width], "Kernel": [kernel, kernel]}
        values |= {"Stride": [stride, stride], "PadTopLeft": [pad, pad], "OfmDim": ofm, "dataType": dtype}
        values |= {"HasMask": mask, "Rows": ring_rows(kernel, stride)}
        return self.add("Window", f"{name}_window", (x.name,), values), ofm[0], ofm[1]

    def levels(self, sums: torch.Tensor, count: int) -> Array:
        """`count` rising thresholds for each channel of sums [N, C, ...], about where its values lie."""
        flat = sums.transpose(0, 1).reshape(sums.shape[1], -1).numpy()
        cuts = np.quantile(flat, np.linspace(0.05, 0.95, count), axis=1).T
        return np.sort(np.rint(cuts).astype(np.int64), axis=1)

    def conv(self, x: Map, outputs: int, kernel: int, stride: int, binary: bool) -> Map:
        """A convolution with zero padding and binary weights, to values of the stream; binary: of bits."""
        name, pad = self.name("conv"), kernel // 2
        dtype = "BIPOLAR" if binary else ("UINT2" if x.name == "images" else DTYPE)
        windows, height, width = self.window(x, name, kernel, stride, pad, dtype)
        fan_in = kernel * kernel * x.channels
        weights = self.rng.choice([-1, 1], (fan_in, outputs))
        shaped = torch.from_numpy(
            weights.reshape(kernel, kernel, x.channels, outputs).transpose(3, 2, 0, 1).astype(np.float64)
        )
        sums = functional.conv2d(x.values, shaped, stride=stride, padding=pad)
        levels = self.levels(sums, (1 << BITS) - 1)
        most = fan_in if binary else fan_in * (3 if x.name == "images" else -LOW)
        offset = fan_in if binary and pad else 0  # the unit counts matches, twice where there is a mask
        held = (levels + fan_in + 1) // 2 if binary and not pad else levels + offset
        top = max(2 * fan_in if binary and pad else fan_in if binary else most, int(held.max()))
        values: Attributes = {
            "MW": fan_in,
            "MH": outputs,
            "Leading": [1, height, width],
            "HasMask": int(binary and pad > 0),
        }
        values |= {"inputDataType": dtype, "weightDataType": "BIPOLAR", "outputDataType": DTYPE, "OutBias": LOW}
        values |= {"AccWidth": int(top).bit_length() + int(not binary), "Thresholds": levels.shape[1]}
        params = {"weights": weights, "thresholds": held, "invert": np.zeros(outputs)}
        self.add("XnorMvtu" if binary else "MixedMvtu", name, (windows,), values, params)
        return Map(name, height, width, outputs, self.passed(sums, levels) + LOW)

    def passed(self, sums: torch.Tensor, levels: Array) -> torch.Tensor:
        """Thresholds [C, N] that sums [N, C, H, W] pass."""
        return (sums[..., None] >= torch.from_numpy(levels)[None, :, None, None, :]).sum(-1).to(torch.float64)

    def threshold(self, x: Map, dtype: str, target: str, levels: Array) -> Map:
        """Thresholds alone, to bits or to values of the stream."""
        bits = target == "BIPOLAR"
        values: Attributes = {"Channels": x.channels, "Leading": [1, x.height, x.width], "inputDataType": dtype}
        values |= {"outputDataType": target, "AccWidth": int(dtype[3:]) + 1, "Thresholds": levels.shape[1]}
        values["OutBias"] = 0 if bits else LOW
        name = self.add(
            "Threshold",
            self.name("threshold"),
            (x.name,),
            values,
            {"thresholds": levels, "invert": np.zeros(x.channels)},
        )
        passed = self.passed(x.values, levels)
        return Map(name, x.height, x.width, x.channels, 2 * passed - 1 if bits else passed + LOW)

    def fork(self, x: Map) -> tuple[Map, Map]:
        shape = [1, x.height, x.width, x.channels]
        values: Attributes = {"Shape": shape, "Elems": 1, "Outputs": 2, "dataType": DTYPE}
        name = self.add("Fork", self.name("fork"), (x.name,), values)
        return tuple(Map(end, x.height, x.width, x.channels, x.values) for end in (name, f"{name}:1"))  # type: ignore[return-value]

    def pooled(self, x: Map) -> Map:
        """Sums of 2x2 values, to values of the stream by thresholds."""
        name = self.name("pool")
        windows, height, width = self.window(x, name, 2, 2, 0, DTYPE)
        dtype = f"INT{BITS + 2}"
        values: Attributes = {"Channels": x.channels, "Taps": 4, "OfmDim": [height, width], "dataType": DTYPE}
        self.add("SumPool", name, (windows,), values | {"outputDataType": dtype})
        sums = 4 * functional.avg_pool2d(x.values, 2)
        summed = Map(name, height, width, x.channels, sums)
        return self.threshold(summed, dtype, DTYPE, self.levels(sums, (1 << BITS) - 1))

    def padded(self, x: Map, channels: int) -> Map:
        """Channels of zeros before and after."""
        before = (channels - x.channels) // 2
        after = channels - x.channels - before
        values: Attributes = {"Shape": [1, x.height, x.width, x.channels], "Channels": x.channels, "Before": before}
        values |= {"After": after, "Elems": 1, "Leading": [1, x.height, x.width], "dataType": DTYPE}
        values.pop("Shape")
        name = self.add("ChannelPad", self.name("pad"), (x.name,), values)
        return Map(name, x.height, x.width, channels, functional.pad(x.values, (0, 0, 0, 0, before, after)))

    def unit(self, x: Map, outputs: int, stride: int, convolved: bool = False) -> Map:
        """A residual unit; convolved: with a 1x1 convolution beside it where the size changes."""
        main, side = self.fork(x)
        bits = self.threshold(main, DTYPE, "BIPOLAR", np.zeros((x.channels, 1), np.int64))
        made = self.conv(bits, outputs, 3, stride, binary=True)
        if stride > 1 and convolved:
            side = self.conv(side, outputs, 1, stride, binary=False)
        elif stride > 1:
            side = self.padded(self.pooled(side), outputs)
        values: Attributes = {"Channels": outputs, "Leading": [1, made.height, made.width], "outputDataType": DTYPE}
        values |= {"inputDataType": DTYPE, "inputDataType1": DTYPE, "Minimum": LOW, "Maximum": HIGH}
        name = self.add("ResidualAdd", self.name("add"), (made.name, side.name), values)
        total = torch.clamp(made.values + side.values, LOW, HIGH)
        return Map(name, made.height, made.width, outputs, total)

    def finish(self, x: Map, classes: int) -> tuple[Any, Array]:
        """Global sum, a fully connected layer of 3-bit weights, arg-max: the model and the logits int64 [N, classes]."""
        area = x.height * x.width
        bits = BITS + (area - 1).bit_length()
        values: Attributes = {"Channels": x.channels, "Taps": area, "OfmDim": [1, 1], "dataType": DTYPE}
        self.add("SumPool", "pool_all", (x.name,), values | {"outputDataType": f"INT{bits}"})
        weights = self.rng.integers(-4, 4, (x.channels, classes))
        most = int(np.abs(weights).sum(0).max()) << (bits - 1)
        dtype = sum_dtype(-most, most)
        values = {
            "MW": x.channels,
            "MH": classes,
            "Leading": [1],
            "inputDataType": f"INT{bits}",
            "weightDataType": "INT3",
        }
        values |= {"outputDataType": dtype, "AccWidth": int(dtype[3:])}
        self.add("MixedMvtu", "fc0", ("pool_all",), values, {"weights": weights})
        self.add("Argmax", "argmax", ("fc0",), {"Classes": classes, "dataType": dtype})
        logits = x.values.sum((2, 3)).numpy() @ weights
        meta = {"input": {"shape": list(self.images.shape[1:])}}
        return assemble(self.nodes, meta), logits.astype(np.int64)


def residual_graph(
    seed: int, size: int, widths: tuple[int, ...], units: int, count: int = 4, convolved: bool = False
) -> tuple[Any, Array, Array]:
    """Stages of `units` units, widths[i] channels in the i-th: kernel graph, images int64 [count, size, size, 3], logits."""
    images = np.random.default_rng(seed).integers(0, 4, (count, size, size, 3))
    net = Residual(images, seed)
    x = net.conv(net.start(), widths[0], 3, 1, binary=False)
    for stage, width in enumerate(widths):
        for index in range(units):
            x = net.unit(x, width, 2 if stage > 0 and index == 0 else 1, convolved)
    model, logits = net.finish(x, 10)
    return model, images, logits
