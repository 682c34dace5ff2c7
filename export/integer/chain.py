"""Float chains behind a sum: what can reach them, and their values, node by node in float32 as the file states them.

A chain is a run of elementwise operators and pools that ends in a quantizer; it is a function of one integer for each channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx

from flipflow.errors import FlipflowError
from flipflow.export.evaluate import evaluate
from flipflow.export.integer.graph import SUM_POOLS, attributes

_OPSET = 13


@dataclass(frozen=True)
class Reach:
    """Sums that can reach a chain: start, start + step, ... stop (inclusive), and each channel's own part of it.

    low, high: int64 [C]. unit: real value of one unit of the sum. rank: 2 for [N, C] tensors, 4 for [N, C, H, W].
    window: rows and columns that the chain's first node sums over where that is a sum pool.
    """

    start: int
    stop: int
    step: int
    low: np.ndarray
    high: np.ndarray
    unit: float
    rank: int
    window: tuple[int, int] = (1, 1)


def real_values(sums: np.ndarray, reach: Reach) -> np.ndarray:
    """float32 [V, C] that the chain sees for int64 sums [V] or [V, C]; unreachable ones are drawn to the nearest reachable."""
    clamped = np.clip(sums[:, None] if sums.ndim == 1 else sums, reach.low, reach.high)
    values: np.ndarray = (clamped.astype(np.float64) * reach.unit).astype(np.float32)
    return values


def chain_values(
    nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray], values: np.ndarray, reach: Reach
) -> tuple[np.ndarray, list[np.ndarray]]:
    """float32 [V, C] that the chain makes of real sums [V, C], and the values [V, C] that each of its pools sees."""
    shape = values.shape
    value = _as_map(values) if reach.rank == 4 else values
    at_pools = []
    for node in nodes:
        if node.op_type == "MaxPool":
            at_pools.append(_as_rows(value))
        elif node.op_type == "Flatten":
            value = _as_rows(value)
        elif node.op_type in SUM_POOLS:
            value = _pooled(node, constants, _as_rows(value), reach)
        else:
            # Min and Max may name their constant first.
            data = next(name for name in node.input if name not in constants)
            value = evaluate(node, {**constants, data: value}, _OPSET)[0]
    return _as_rows(value).reshape(shape), at_pools


def chain_outputs(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    sums: np.ndarray,
    reach: Reach,
    output_scale: float,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Integer outputs int64 [V, C] of the chain for sums [V] or [V, C], and what its pools see as in `chain_values`.

    Raises: FlipflowError E217 where an output is not a number.
    """
    value, at_pools = chain_values(nodes, constants, real_values(sums, reach), reach)
    if np.isnan(value).any():
        raise FlipflowError(
            "E217",
            f"in channel {int(np.argwhere(np.isnan(value))[0, 1])} it is not a number for some sums.",
            chain_end(nodes),
            "Keep divisors, variances and arguments of roots and logarithms positive.",
        )
    integers = np.rint(value.astype(np.float64) / output_scale).astype(np.int64)
    return integers, at_pools


def chain_end(nodes: Sequence[onnx.NodeProto]) -> str:
    """The last node's name for messages."""
    return f"{nodes[-1].op_type} node {nodes[-1].doc_string or nodes[-1].name!r}"


def _as_map(values: np.ndarray) -> np.ndarray:
    """[V, C] as a feature map [1, C, V, 1]: side by side within a channel, as values lie when a network runs."""
    return np.ascontiguousarray(values.T)[None, :, :, None]


def _as_rows(value: np.ndarray) -> np.ndarray:
    """The inverse of `_as_map`; rows stay rows."""
    return value[0, :, :, 0].T if value.ndim == 4 else value


def _pooled(node: onnx.NodeProto, constants: dict[str, np.ndarray], values: np.ndarray, reach: Reach) -> np.ndarray:
    """A sum or average over a window that adds up to `values` [V, C].

    Every order of adding gives the same float, so the whole sum may stand in one pixel; the node sees nothing else.
    """
    distinct, where = np.unique(values, return_inverse=True)
    windows = np.zeros((distinct.size, 1, *reach.window), np.float32)
    windows[:, 0, 0, 0] = distinct
    result = evaluate(node, {**constants, node.input[0]: windows}, _OPSET)[0].reshape(-1)
    rows = result[where.reshape(values.shape)]
    return _as_map(rows) if reach.rank == 4 else rows


def window_of(node: onnx.NodeProto, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Kernel and stride of a sum pool on a map [1, C, H, W]; the whole map where it is global."""
    if node.op_type != "AveragePool":
        return (shape[2], shape[3]), (1, 1)
    attrs = attributes(node)
    kernel, stride = attrs["kernel_shape"], attrs.get("strides", (1, 1))
    return (kernel[0], kernel[1]), (stride[0], stride[1])


def elements(reach: Reach) -> int:
    """How many values a chain has over all that can reach it: sums times channels."""
    return ((reach.stop - reach.start) // reach.step + 1) * prod(reach.low.shape)
