"""Steps of a rising or falling function by bisection, and which float chains are sure to be one.

A float operation that rounds correctly keeps order: x <= y gives f(x) <= f(y) wherever the exact f does. So a chain of such
operations rises or falls in its sum, whatever its constants, and equal outputs at two sums mean equal outputs between them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from flipflow.export.integer.chain import Reach
from flipflow.export.integer.graph import SUM_POOLS, attributes
from flipflow.export.integer.net import ActType

Evaluate = Callable[[np.ndarray], np.ndarray]  # int64 sums [V, C] to int64 outputs [V, C]
_SAMPLES = 512
_ROWS_AT_ONCE = 1 << 22
_KEEP_ORDER = frozenset(
    "BatchNormalization Neg Relu Floor Ceil Round Sign Clip Min Max Add Sub Mul Quant BipolarQuant MaxPool Flatten".split()
) | frozenset(SUM_POOLS)


@dataclass(frozen=True)
class Steps:
    """levels int64 [C, L]: smallest sum at which so many steps are passed, as in `Threshold`; falls: bool [C]."""

    levels: np.ndarray
    falls: np.ndarray


def keeps_order(nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray]) -> bool:
    """Whether every node is a correctly rounded rising or falling function, with finite constants."""
    return all(_keeps_order(node, constants) for node in nodes)


def _keeps_order(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> bool:
    operands = [constants[name] for name in node.input if name in constants]
    if not all(np.isfinite(operand).all() for operand in operands):
        return False
    if node.op_type == "PRelu":
        return node.input[0] not in constants and bool(np.all(operands[0] >= 0))
    if node.op_type == "LeakyRelu":
        return bool(attributes(node).get("alpha", 0.01) >= 0)
    if node.op_type == "Div":
        return node.input[0] not in constants
    return node.op_type in _KEEP_ORDER


def bisect(evaluate: Evaluate, reach: Reach, output: ActType) -> Steps | None:
    """Where a function that keeps order takes its steps, channel by channel; None where a sample contradicts the order."""
    low, high = evaluate(np.stack([reach.low, reach.high]))
    falls = high < low

    def passed(sums: np.ndarray) -> np.ndarray:
        """Steps passed at these sums: 0 .. L, rising in the sum."""
        count = (evaluate(sums) - output.minimum) // (2 if output.bipolar else 1)
        return np.where(falls, output.levels - count, count)

    rows = max(1, _ROWS_AT_ONCE // reach.low.size)
    parts = [
        _search(passed, np.arange(first, min(first + rows, output.levels + 1)), reach)
        for first in range(1, output.levels + 1, rows)
    ]
    levels = np.concatenate(parts).T.copy()
    return Steps(levels, falls) if _agrees(passed, levels, reach) else None


def _search(passed: Evaluate, wanted: np.ndarray, reach: Reach) -> np.ndarray:
    """Smallest sums int64 [V, C] at which `wanted` [V] steps are passed; `start` where always, `stop` + 1 where never."""
    ends = passed(np.stack([reach.low, reach.high]))
    shape = (wanted.size, reach.low.size)
    # Invariant, counted in steps of the sum from each channel's lowest: not passed at `below`, passed at `above`.
    below, above = np.zeros(shape, np.int64), np.broadcast_to((reach.high - reach.low) // reach.step, shape).copy()
    always, never = ends[0] >= wanted[:, None], ends[1] < wanted[:, None]
    above[always | never] = 0
    while np.any(above - below > 1):
        middle = (below + above) // 2
        up = passed(reach.low + middle * reach.step) >= wanted[:, None]
        above, below = np.where(up, middle, above), np.where(up, below, middle)
    found = reach.low + above * reach.step
    return np.where(always, reach.start, np.where(never, reach.stop + 1, found))


def _agrees(passed: Evaluate, levels: np.ndarray, reach: Reach) -> bool:
    """Whether evenly spread sums pass as many steps as the levels say."""
    span = (reach.high - reach.low) // reach.step
    places = (np.linspace(0.0, 1.0, _SAMPLES)[:, None] * span).astype(np.int64)
    sums = reach.low + places * reach.step
    counts = passed(sums)
    return all(
        np.array_equal(np.searchsorted(row, sums[:, channel], side="right"), counts[:, channel])
        for channel, row in enumerate(levels)
    )
