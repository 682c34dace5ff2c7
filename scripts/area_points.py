"""The folds that scripts/area_sweep.py synthesises, as FINN ops with random parameters."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper
from qonnx.custom_op.registry import getCustomOp

from flipflow.hw.kernels import DOMAIN
from flipflow.hw.kernels.base import KernelOp
from flipflow.hw.kernels.mvtu import sum_dtype, sum_range
from flipflow.hw.kernels.rom import signed_width, unsigned_width
from flipflow.hw.kernels.sum_pool import sum_dtype_of
from flipflow.hw.kernels.window import ring_rows
from flipflow.hw.requantize import Line

Params = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Point:
    """A kernel at a fold. subset: "fit" or "check"."""

    kind: str
    fold: Mapping[str, Any]
    subset: str

    @property
    def name(self) -> str:
        """For memory files and messages."""
        return "_".join([self.kind, *(f"{key}{value}" for key, value in self.fold.items())])


def build(point: Point) -> tuple[KernelOp, Params]:
    """Op and constant inputs of a point."""
    rng = np.random.default_rng(list(point.name.encode()))
    op_type, inputs, attributes, params = _BUILDERS[point.kind](rng, **point.fold)
    names = ["x", *(f"p{index}" for index in range(inputs))]
    attributes["backend"] = "fpgadataflow"
    return getCustomOp(helper.make_node(op_type, names, ["y"], point.name, domain=DOMAIN, **attributes)), params


_Built = tuple[str, int, dict[str, Any], Params]


def _fifo(_: np.random.Generator, width: int, depth: int) -> _Built:
    return "Fifo", 0, {"Shape": [1, width], "Elems": width, "Depth": depth, "dataType": "BIPOLAR"}, {}


def _converter(_: np.random.Generator, bits: int, into: int, out: int) -> _Built:
    dtype = "BIPOLAR" if bits == 1 else f"INT{bits}"
    return "WidthConverter", 0, {"Shape": [1, into * out], "InElems": into, "OutElems": out, "dataType": dtype}, {}


def _window(
    _: np.random.Generator,
    channels: int,
    simd: int,
    size: int,
    kernel: int,
    stride: int = 1,
    pad: int = 0,
    bits: int = 1,
) -> _Built:
    out = (size + 2 * pad - kernel) // stride + 1
    bipolar = bits == 1
    return "Window", 0, {
        "Channels": channels, "SIMD": simd, "IfmDim": [size, size], "Kernel": [kernel, kernel],
        "Stride": [stride, stride], "PadTopLeft": [pad, pad], "OfmDim": [out, out],
        "dataType": "BIPOLAR" if bipolar else f"UINT{bits}", "HasMask": int(bipolar and pad > 0),
        "PadValue": 0, "Rows": ring_rows(kernel, stride),
    }, {}  # fmt: skip


def _pool(
    rng: np.random.Generator, channels: int, simd: int, taps: int, dtype: str = "BIPOLAR", mask: int = 0
) -> _Built:
    attributes = {
        "Channels": channels,
        "SIMD": simd,
        "Taps": taps,
        "OfmDim": [1, 1],
        "dataType": dtype,
        "HasMask": mask,
    }
    return "Pool", 1, attributes, {"minimum": np.zeros(channels)}


def _argmax(_: np.random.Generator, classes: int, pe: int, bits: int) -> _Built:
    return "Argmax", 0, {"Classes": classes, "PE": pe, "dataType": f"INT{bits}"}, {}


def _threshold(rng: np.random.Generator, channels: int, pe: int, bits: int, levels: int) -> _Built:
    out = "BIPOLAR" if levels == 1 else f"UINT{unsigned_width(levels)}"
    bound = 1 << bits - 1
    thresholds = np.sort(rng.integers(-bound, bound + 1, (channels, levels)), axis=1)
    return "Threshold", 2, {
        "Channels": channels, "PE": pe, "Leading": [1], "inputDataType": f"INT{bits}", "outputDataType": out,
        "AccWidth": bits + 1, "Thresholds": levels,
    }, {"thresholds": thresholds, "invert": rng.integers(0, 2, channels)}  # fmt: skip


def _mvtu(
    rng: np.random.Generator,
    op_type: str,
    size: tuple[int, int, int, int],
    levels: int,
    mask: int,
    act: str,
    weight: int,
) -> _Built:
    mw, mh, simd, pe = size
    values = (
        rng.integers(0, 2, (mw, mh)) * 2 - 1
        if weight == 1
        else rng.integers(-(1 << weight - 1), 1 << weight - 1, (mw, mh))
    )
    low, high = (int(limit) for limit in (sum_range(values, act)[0].min(), sum_range(values, act)[1].max()))
    if op_type == "XnorMvtu":  # the popcount, or twice it with a mask
        width, top = unsigned_width(2 * mw if mask else mw), 2 * mw if mask else mw
        draws = np.clip(rng.normal(top / 2, top / 12 + 1, (mh, max(1, levels))), 1, top).astype(np.int64)
    else:
        width = signed_width(low, high + 1)
        draws = (
            rng.normal((low + high) / 2, (high - low) / 12 + 1, (mh, max(1, levels))).clip(low, high).astype(np.int64)
        )
    out = sum_dtype(low, high) if not levels else "BIPOLAR" if levels == 1 else f"UINT{unsigned_width(levels)}"
    attributes = {
        "MW": mw, "MH": mh, "SIMD": simd, "PE": pe, "Leading": [1], "inputDataType": act,
        "weightDataType": "BIPOLAR" if weight == 1 else f"INT{weight}", "outputDataType": out, "AccWidth": width,
        "HasMask": mask, "Thresholds": levels,
    }  # fmt: skip
    params = {"weights": values, "thresholds": np.sort(draws, axis=1), "invert": rng.integers(0, 2, mh)}
    return op_type, 3 if levels else 1, attributes, params


def _xnor(rng: np.random.Generator, mw: int, mh: int, simd: int, pe: int, levels: int = 1, mask: int = 0) -> _Built:
    return _mvtu(rng, "XnorMvtu", (mw, mh, simd, pe), levels, mask, "BIPOLAR", 1)


def _mixed(
    rng: np.random.Generator, mw: int, mh: int, simd: int, pe: int, act: str, weight: int, levels: int = 1
) -> _Built:
    return _mvtu(rng, "MixedMvtu", (mw, mh, simd, pe), levels, 0, act, weight)


def _requantize(
    rng: np.random.Generator, channels: int, pe: int, bits: int, factor: int, offset: int, shift: int, even: int = 0
) -> _Built:
    out = 8 if even else 9  # even: the mean of 2 x 2, which is a line without a factor
    line = Line(
        np.ones(channels, int) if even else rng.integers(-(1 << factor - 1), 1 << factor - 1, channels),
        np.full(channels, 2) if even else rng.integers(-(1 << offset - 1), 1 << offset - 1, channels),
        shift,
        bool(even),
    )
    bound = 1 << out - 1
    return "Requantize", 2, {
        "Channels": channels, "PE": pe, "Leading": [1], "inputDataType": f"INT{bits}", "outputDataType": f"INT{out}",
        "Minimum": -bound, "Maximum": bound - 1, **line.attributes(f"INT{bits}"),
    }, {"factor": line.factor, "offset": line.offset}  # fmt: skip


def _add(_: np.random.Generator, pe: int, first: int, second: int, out: int) -> _Built:
    bound = 1 << out - 1
    return "ResidualAdd", 1, {
        "Channels": 8 * pe, "PE": pe, "Leading": [1], "inputDataType": f"INT{first}", "inputDataType1": f"INT{second}",
        "outputDataType": f"INT{out}", "Minimum": -bound, "Maximum": bound - 1,
    }, {}  # fmt: skip


def _fork(_: np.random.Generator, width: int, outputs: int) -> _Built:
    return "Fork", 0, {"Shape": [1, width], "Elems": width, "Outputs": outputs, "dataType": "BIPOLAR"}, {}


def _sum_pool(_: np.random.Generator, channels: int, simd: int, taps: int, bits: int) -> _Built:
    dtype = f"INT{bits}"
    return "SumPool", 0, {
        "Channels": channels, "SIMD": simd, "Taps": taps, "OfmDim": [1, 1], "dataType": dtype,
        "outputDataType": sum_dtype_of(dtype, taps),
    }, {}  # fmt: skip


def _channel_pad(_: np.random.Generator, channels: int, around: int, elems: int, bits: int) -> _Built:
    attributes = {"Channels": channels, "Before": around, "After": around, "Elems": elems, "Leading": [1]}
    return "ChannelPad", 0, {**attributes, "dataType": f"INT{bits}"}, {}


_BUILDERS: Mapping[str, Callable[..., _Built]] = {
    "fifo": _fifo, "converter": _converter, "window": _window, "pool": _pool, "argmax": _argmax, "threshold": _threshold,
    "xnor": _xnor, "mixed": _mixed, "requantize": _requantize, "add": _add, "fork": _fork, "sum": _sum_pool,
    "zeros": _channel_pad,
}  # fmt: skip


def _points(kind: str, names: str, fit: list[tuple[Any, ...]], check: list[tuple[Any, ...]]) -> Iterator[Point]:
    for subset, rows in (("fit", fit), ("check", check)):
        for row in rows:
            yield Point(kind, dict(zip(names.split(), row, strict=False)), subset)


POINTS = [
    *_points(
        "fifo", "width depth",
        [(8, 4), (33, 11), (160, 4), (8, 18), (33, 30), (8, 34), (33, 66), (33, 130), (8, 578), (33, 1100), (8, 3000),
         (4, 8), (16, 512), (8, 2), (64, 2)],
        [(1, 4), (24, 4), (65, 11), (2, 578), (49, 18), (165, 4), (16, 10), (64, 32), (12, 50), (40, 200), (8, 1024),
         (20, 1500), (24, 256), (1, 2), (24, 2)],
    ),
    *_points(
        "converter", "bits into out",
        [(1, 8, 32), (1, 32, 8), (8, 1, 3), (1, 64, 1), (1, 1, 64), (4, 16, 4), (1, 12, 8), (4, 9, 6), (1, 3, 5)],
        [(1, 4, 64), (1, 16, 8), (1, 4, 1), (2, 8, 64), (1, 2, 4), (1, 128, 8), (8, 6, 2), (1, 16, 64), (1, 24, 16), (2, 6, 9)],
    ),
    *_points(
        "window", "channels simd size kernel stride pad bits",
        [(1, 1, 8, 3, 1, 1, 8), (32, 32, 8, 3, 1, 1), (32, 8, 8, 3), (32, 32, 8, 2, 2), (64, 8, 32, 3, 1, 1), (64, 16, 28, 3),
         (128, 64, 14, 3, 2, 1), (64, 8, 14, 2, 2), (1, 1, 28, 3, 2, 1, 8), (64, 64, 14, 3, 1, 1), (3, 3, 32, 3, 1, 0, 8),
         (64, 1, 30, 3), (1, 1, 28, 5), (128, 128, 7, 3, 1, 1), (256, 16, 16, 3)],
        [(16, 16, 28, 3, 1, 1), (3, 1, 224, 7, 2, 3, 8), (128, 32, 10, 3), (64, 4, 7, 3, 1, 1), (128, 8, 7, 2, 2),
         (64, 64, 28, 2, 2), (256, 32, 5, 3), (32, 4, 14, 3, 1, 1), (128, 16, 12, 3), (3, 3, 32, 3, 1, 1, 8), (64, 32, 16, 2, 2),
         (16, 1, 28, 3, 2, 1), (32, 16, 12, 3, 1, 1), (3, 3, 64, 3, 1, 1, 8)],
    ),
    *_points(
        "pool", "channels simd taps dtype mask",
        [(32, 32, 4), (64, 8, 4), (256, 16, 9, "BIPOLAR", 1), (32, 4, 4, "UINT8"), (16, 16, 4, "INT4"), (16, 8, 9, "INT6", 1),
         (32, 2, 9, "UINT8", 1), (256, 4, 4)],
        [(128, 64, 4), (128, 128, 4), (64, 16, 4), (128, 8, 4), (32, 8, 4, "UINT8"), (8, 8, 4, "UINT4"), (64, 4, 9, "INT8", 1),
         (64, 32, 9, "BIPOLAR", 1), (16, 4, 4, "INT12")],
    ),
    *_points(
        "argmax", "classes pe bits",
        [(10, 10, 16), (10, 1, 15), (10, 2, 8), (10, 5, 12), (100, 5, 10), (100, 20, 12)],
        [(10, 10, 12), (10, 10, 10), (10, 2, 16), (100, 4, 14), (100, 1, 12), (100, 10, 11), (1000, 8, 16), (10, 5, 8)],
    ),
    *_points(
        "threshold", "channels pe bits levels",
        [(64, 4, 8, 1), (32, 4, 10, 15), (8, 8, 8, 3), (64, 1, 12, 1)],
        [(64, 8, 12, 1), (128, 2, 8, 3), (16, 16, 10, 1), (32, 2, 16, 7), (256, 16, 8, 1), (64, 2, 10, 3), (96, 1, 8, 2)],
    ),
    *_points(
        "xnor", "mw mh simd pe levels mask",
        [(512, 512, 64, 16), (288, 32, 32, 8, 1, 1), (784, 64, 49, 2), (64, 64, 4, 2), (256, 256, 32, 4), (64, 10, 8, 2, 0),
         (64, 16, 64, 16)],
        [(512, 512, 32, 32), (576, 64, 64, 4, 1, 1), (784, 256, 16, 16), (256, 256, 16, 16), (256, 10, 16, 2, 0),
         (128, 64, 64, 8, 3), (1152, 128, 36, 8), (256, 64, 128, 4), (96, 48, 12, 6), (384, 96, 24, 4), (640, 40, 20, 5, 1, 1),
         (512, 72, 8, 1)],
    ),
    *_points(
        "mixed", "mw mh simd pe act weight levels",
        [(9, 32, 1, 8, "UINT8", 8), (1024, 10, 1, 10, "BIPOLAR", 8, 0), (27, 64, 3, 16, "UINT8", 1), (64, 32, 4, 4, "INT4", 1)],
        [(27, 32, 3, 4, "UINT8", 4), (1152, 10, 2, 1, "BIPOLAR", 8, 0), (784, 64, 8, 4, "UINT8", 1),
         (128, 32, 8, 4, "UINT2", 2, 3), (27, 64, 9, 8, "UINT8", 1), (256, 10, 4, 2, "BIPOLAR", 8, 0),
         (64, 10, 4, 1, "INT8", 8, 0), (64, 32, 2, 4, "INT8", 8, 0), (27, 16, 3, 1, "UINT8", 8, 0),
         (48, 24, 6, 4, "INT8", 1)],
    ),
    *_points(
        "requantize", "channels pe bits factor offset shift even",
        [(16, 1, 9, 16, 20, 11), (64, 4, 11, 17, 23, 13), (32, 1, 10, 2, 3, 2, 1), (16, 1, 19, 23, 38, 28),
         (128, 8, 12, 15, 21, 12), (64, 1, 11, 17, 22, 13), (32, 8, 10, 17, 21, 12), (64, 4, 14, 16, 28, 16),
         (16, 2, 19, 22, 36, 27), (64, 8, 10, 2, 3, 2, 1), (512, 4, 13, 18, 25, 15)],
        [(32, 2, 10, 16, 21, 12), (64, 8, 14, 15, 27, 15), (256, 2, 12, 17, 24, 14), (32, 1, 18, 20, 35, 25),
         (128, 4, 10, 2, 3, 2, 1)],
    ),
    *_points(
        "add", "pe first second out",
        [(1, 8, 8, 8), (4, 8, 9, 8), (8, 9, 8, 10), (16, 8, 9, 8), (2, 8, 9, 8), (8, 8, 8, 8), (4, 12, 12, 12), (16, 4, 4, 4)],
        [(1, 8, 9, 8), (6, 6, 8, 8), (32, 8, 9, 8), (8, 10, 10, 12)],
    ),
    *_points(
        "fork", "width outputs",
        [(8, 2), (64, 3), (16, 4), (1, 2), (32, 2), (128, 2)],
        [(24, 2), (8, 3), (40, 5)],
    ),
    *_points(
        "sum", "channels simd taps bits",
        [(64, 1, 64, 8), (16, 4, 4, 8), (64, 64, 64, 8), (512, 1, 16, 8), (32, 2, 49, 4), (64, 4, 64, 8), (32, 8, 4, 8),
         (512, 4, 49, 8), (16, 16, 4, 8), (256, 8, 16, 9)],
        [(128, 4, 16, 8), (512, 8, 49, 8), (32, 1, 4, 8), (12, 6, 9, 5)],
    ),
    *_points(
        "zeros", "channels around elems bits",
        [(16, 8, 1, 8), (16, 8, 8, 8), (64, 32, 4, 4), (32, 16, 1, 8), (32, 16, 16, 8), (16, 8, 4, 8)],
        [(16, 8, 2, 8), (64, 32, 1, 8), (24, 12, 4, 6)],
    ),
]  # fmt: skip
