"""The folded kernel graph as a chain of steps on integer maps, without streams, FIFOs or bit encodings.

Everything is in signed numbers: bipolar maps hold -1 and +1, a product's thresholds are in the domain of its dot
products. What follows (`flipflow.hw.hls.signs`, `flipflow.hw.hls.convert`) rewrites and reads this chain.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flipflow.errors import FlipflowError
from flipflow.hw.graph import kernels_of, params_of

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp

Ints = NDArray[np.int64]
BIPOLAR = "BIPOLAR"
_STREAM_ONLY = ("Fifo", "WidthConverter", "Argmax")
_BRANCHING = ("Fork", "ResidualAdd")


@dataclass(frozen=True)
class Sliding:
    """Geometry of a sliding window, (height, width) each. fill: what padded taps hold (0: they add nothing)."""

    ifm: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    top_left: tuple[int, int]
    ofm: tuple[int, int]
    channels: int
    fill: int

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """Rows above, columns left, rows below, columns right that the windows reach beyond the map."""
        below, right = (
            max(0, (self.ofm[axis] - 1) * self.stride[axis] + self.kernel[axis] - self.top_left[axis] - self.ifm[axis])
            for axis in (0, 1)
        )
        return (*self.top_left, below, right)

    @property
    def padded(self) -> bool:
        """Whether any window reaches beyond the map."""
        return any(self.pads)


@dataclass(frozen=True)
class Levels:
    """Thresholds of a step. levels [C, N], rising; invert [C]: the channels that fall; bias: added to the count.

    dtype: of the result; BIPOLAR results (N = 1) are -1 and +1.
    """

    levels: Ints
    invert: NDArray[np.bool_]
    bias: int
    dtype: str

    @property
    def bipolar(self) -> bool:
        """Whether the result is a bit that means -1 or +1."""
        return self.dtype == BIPOLAR


@dataclass(frozen=True)
class Product:
    """Matrix product of windows or vectors with weights int64 [K, M], then thresholds; None: the sums are logits.

    act: datatype of the input's elements; leading: shape of the vectors of a frame, () for one.
    """

    name: str
    weights: Ints
    act: str
    levels: Levels | None
    leading: tuple[int, ...]
    sliding: Sliding | None
    pe: int
    simd: int


@dataclass(frozen=True)
class Pooling:
    """Maximum over the taps of a window, the minimum in channels where `minimum` [C] is true. act: elements' datatype."""

    name: str
    sliding: Sliding
    minimum: NDArray[np.bool_]
    act: str
    pe: int


@dataclass(frozen=True)
class Quantizer:
    """Thresholds on a map or vector of integers; leading as for a product."""

    name: str
    levels: Levels
    act: str
    leading: tuple[int, ...]
    pe: int


Step = Product | Pooling | Quantizer


@dataclass(frozen=True)
class Network:
    """The steps in stream order, and the input: shape [H, W, C] or [K] of a frame, datatype of an element."""

    shape: tuple[int, ...]
    dtype: str
    steps: tuple[Step, ...]


def read_steps(model: Any) -> Network:
    """Chain of a kernel graph (ModelWrapper, folded or not).

    Raises: FlipflowError E395 for a kernel that no step describes.
    """
    ops = [op for op in kernels_of(model) if op.onnx_node.op_type not in _STREAM_ONLY]
    first = ops[0].in_stream()
    steps: list[Step] = []
    window: KernelOp | None = None
    for op in ops:
        kind, params = op.onnx_node.op_type, params_of(model, op)
        sliding = _sliding(window) if window is not None else None
        if kind == "Window":
            window = op
            continue
        if kind in ("XnorMvtu", "MixedMvtu"):
            steps.append(_product(op, params, sliding))
        elif kind == "Pool" and sliding is not None:
            minimum = np.asarray(params["minimum"]) != 0
            steps.append(Pooling(op.name, sliding, minimum, op.in_stream().dtype, op.integer("SIMD")))
        elif kind == "Threshold":
            steps.append(_quantizer(op, params))
        elif kind == "Requantize":
            _add_line(steps, op, params)
        elif kind in _BRANCHING:
            raise refusal(op.name, "the network branches, and only plain chains become FINN's layers.")
        else:
            raise refusal(op.name, f"FINN has no layer for a {kind}.")
        window = None
    return Network(tuple(first.shape[1:]), first.dtype, tuple(steps))


def refusal(name: str, what: str) -> FlipflowError:
    """E395 of a layer."""
    fix = "The level hls and FINN's builder do not cover this network; the other levels do."
    return FlipflowError("E395", what, f"layer {name}", fix)


def _sliding(op: "KernelOp") -> Sliding:
    masked = bool(op.integer("HasMask"))
    return Sliding(
        op.pair("IfmDim"),
        op.pair("Kernel"),
        op.pair("Stride"),
        op.pair("PadTopLeft"),
        op.pair("OfmDim"),
        op.integer("Channels"),
        0 if masked else op.integer("PadValue"),
    )


def _whole(values: Any) -> Ints:
    whole: Ints = np.rint(np.asarray(values)).astype(np.int64)
    return whole


def _leading(op: "KernelOp") -> tuple[int, ...]:
    return tuple(int(size) for size in op.get_nodeattr("Leading"))[1:]


def _product(op: "KernelOp", params: dict[str, Any], sliding: Sliding | None) -> Product:
    weights = _whole(params["weights"])
    levels = None
    if op.integer("Thresholds"):
        sums = _whole(params["thresholds"])
        if op.onnx_node.op_type == "XnorMvtu":
            # The unit counts popcounts p = (s + K) / 2, or s + K where taps are masked.
            sums = sums - len(weights) if op.integer("HasMask") else 2 * sums - len(weights)
        levels = _levels(op, params, sums)
    stream = op.in_stream().dtype
    return Product(op.name, weights, stream, levels, _leading(op), sliding, op.out_stream().elems, op.in_stream().elems)


def _quantizer(op: "KernelOp", params: dict[str, Any]) -> Quantizer:
    levels = _levels(op, params, _whole(params["thresholds"]))
    return Quantizer(op.name, levels, op.in_stream().dtype, _leading(op), op.integer("PE"))


def _add_line(steps: list[Step], op: "KernelOp", params: dict[str, Any]) -> None:
    """A Requantize is many thresholds to FINN: those of the product whose sums it reads, or a quantizer of its own."""
    levels, last = _levels_of_line(op, params), steps[-1] if steps else None
    if isinstance(last, Product) and last.levels is None:
        steps[-1] = replace(last, levels=levels)
    else:
        steps.append(Quantizer(op.name, levels, op.in_stream().dtype, _leading(op), op.integer("PE")))


def _levels_of_line(op: "KernelOp", params: dict[str, Any]) -> Levels:
    """Where a line changes over all inputs of its datatype, found by bisection."""
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    kind, channels = DataType[op.in_stream().dtype], op.integer("Channels")
    low, high = int(kind.min()), int(kind.max())
    minimum, maximum = op.integer("Minimum"), op.integer("Maximum")
    ends = op.run(np.array([[low] * channels, [high] * channels], np.int64), params)
    falls = ends[1] < ends[0]
    counts = np.arange(1, maximum - minimum + 1)[:, None]
    below, above = np.full((len(counts), channels), low - 1), np.full((len(counts), channels), high + 1)
    while (above - below > 1).any():
        middle = np.clip((below + above) // 2, low, high)
        results = op.run(middle, params)
        passed = np.where(falls, maximum - results, results - minimum) >= counts
        unsure = above - below > 1
        above = np.where(unsure & passed, middle, above)
        below = np.where(unsure & ~passed, middle, below)
    return Levels(np.ascontiguousarray(above.T), falls, minimum, op.out_stream().dtype)


def _levels(op: "KernelOp", params: dict[str, Any], levels: Ints) -> Levels:
    dtype = op.out_stream().dtype
    bias = 0 if dtype == BIPOLAR else op.integer("OutBias")
    return Levels(levels, np.asarray(params["invert"]) != 0, bias, dtype)
