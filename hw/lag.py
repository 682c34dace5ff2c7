"""How far the branches of a kernel graph lag behind its input, and so how much waits where they meet.

A window gives its first word when its first rows are in, a matrix unit its first results when a vector is done. Along a path
these waits add up, as shares of a frame; folding changes them little. Where two paths meet, the words of the shorter one wait for
those of the longer one: their FIFO holds the difference. `flipflow.hw.fifo_sizing` finds the exact depth with the cycle model.
"""

from math import prod
from typing import TYPE_CHECKING, Any

from flipflow.hw.graph import inputs_of, kernels_of

if TYPE_CHECKING:
    from flipflow.hw.kernels.base import KernelOp

_PRODUCTS = ("XnorMvtu", "MixedMvtu", "SumPool", "Pool")


def lag_of(op: "KernelOp") -> float:
    """Share of a frame between the first word that a kernel takes and the first that it gives."""
    kind = op.onnx_node.op_type
    if kind == "Window":
        (height, width), (kernel_h, kernel_w) = op.pair("IfmDim"), op.pair("Kernel")
        top, left = op.pair("PadTopLeft")
        return ((kernel_h - 1 - top) * width + kernel_w - left) / (height * width)
    if kind in _PRODUCTS:
        return 1 / prod(op.out_stream().shape[:-1])
    return 0.0


def waits_of(model: Any) -> dict[tuple[str, int], float]:
    """What waits before every kernel of several inputs: {(kernel, input): share of a frame}."""
    inputs = inputs_of(model)
    lags: dict[str, float] = {}  # of the words that leave a kernel; the graph's input has none
    waits: dict[tuple[str, int], float] = {}
    for op in kernels_of(model):
        arrive = [lags.get(source.partition(":")[0], 0.0) for source in inputs[op.name]]
        lags[op.name] = max(arrive) + lag_of(op)
        if len(arrive) > 1:
            waits |= {(op.name, port): max(arrive) - lag for port, lag in enumerate(arrive)}
    return waits
