"""Thresholds of an activation chain, read off its values on the sums that can reach it (design: numerics, activations).

Ties and roundings come out right by construction, because the chain itself is evaluated, node by node in float32: on every sum,
or, where there are very many and rounding cannot disturb the chain's order, wherever a bisection for its steps leads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from flipflow.errors import FlipflowError
from flipflow.export.integer.chain import Reach, chain_end, chain_outputs, elements
from flipflow.export.integer.monotone import bisect, keeps_order
from flipflow.export.integer.net import ActType

CHUNK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class ChainMeaning:
    """levels int64 [C, L] and invert bool [C] as in `Threshold`; pool_minimum: for each pool in the chain, bool [C]."""

    levels: np.ndarray
    invert: np.ndarray
    pool_minimum: tuple[np.ndarray, ...]


def read_off(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    reach: Reach,
    output: ActType,
    output_scale: float,
) -> ChainMeaning:
    """The integer meaning of `nodes`: elementwise operators and pools, ending in a quantizer of type `output`.

    Raises: FlipflowError E210 where a channel's output both rises and falls, E217 where it is not a number.
    """
    if elements(reach) > CHUNK_ELEMENTS and keeps_order(nodes, constants):
        found = by_bisection(nodes, constants, reach, output, output_scale)
        if found is not None:
            return found
    return by_enumeration(nodes, constants, reach, output, output_scale)


def by_enumeration(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    reach: Reach,
    output: ActType,
    output_scale: float,
) -> ChainMeaning:
    """`read_off` by evaluating the chain on every sum."""
    scan = _Scan(reach.low.size)
    pools = [_PoolDirection(reach.low.size) for node in nodes if node.op_type == "MaxPool"]
    for sums in chunks(reach):
        integers, before_pools = chain_outputs(nodes, constants, sums, reach, output_scale)
        scan.add(sums, integers)
        for direction, values in zip(pools, before_pools, strict=True):
            direction.add(values, integers)
    both = np.flatnonzero(scan.rises & scan.falls)
    if both.size:
        raise _not_monotone(nodes, int(both[0]))
    levels = _levels(scan, reach, output)
    minimum = tuple(direction.minimum(nodes) for direction in pools)
    return ChainMeaning(levels, scan.falls.copy(), minimum)


def by_bisection(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    reach: Reach,
    output: ActType,
    output_scale: float,
) -> ChainMeaning | None:
    """`read_off` of a chain that keeps order, from few of its values; None where a sample contradicts the order after all."""

    def evaluate(sums: np.ndarray) -> np.ndarray:
        return chain_outputs(nodes, constants, sums, reach, output_scale)[0]

    steps = bisect(evaluate, reach, output)
    if steps is None:
        return None
    ends, before_pools = chain_outputs(nodes, constants, np.stack([reach.low, reach.high]), reach, output_scale)
    pools = []
    for values in before_pools:
        direction = _PoolDirection(reach.low.size)
        direction.add(values, ends)
        pools.append(direction.minimum(nodes))
    return ChainMeaning(steps.levels, steps.falls, tuple(pools))


def chunks(reach: Reach) -> Iterator[np.ndarray]:
    """All sums in rising order, int64, in arrays small enough to evaluate at once."""
    rows = max(1, CHUNK_ELEMENTS // reach.low.size)
    for start in range(reach.start, reach.stop + 1, rows * reach.step):
        yield np.arange(start, min(start + rows * reach.step, reach.stop + 1), reach.step, dtype=np.int64)


class _Scan:
    """Collects, chunk by chunk in rising order of the sum, where the outputs of the channels change."""

    def __init__(self, channels: int) -> None:
        self.first: np.ndarray | None = None
        self.last: np.ndarray | None = None
        self.changes: list[np.ndarray] = []
        self.rises = np.zeros(channels, bool)
        self.falls = np.zeros(channels, bool)

    def add(self, sums: np.ndarray, outputs: np.ndarray) -> None:
        """sums: int64 [V]; outputs: int64 [V, C]."""
        if self.last is None:
            self.first = outputs[0].copy()
            previous = outputs[:1]
        else:
            previous = self.last[None]
        extended = np.concatenate([previous, outputs])
        rows, channels = np.nonzero(np.diff(extended, axis=0))
        before, after = extended[rows, channels], extended[rows + 1, channels]
        self.rises[channels[after > before]] = True
        self.falls[channels[after < before]] = True
        self.changes.append(np.stack([sums[rows], channels, before, after]))
        self.last = outputs[-1].copy()


def _levels(scan: _Scan, reach: Reach, output: ActType) -> np.ndarray:
    """Thresholds [C, L]: `start` where always passed, `stop` + 1 where never."""
    assert scan.first is not None
    unit = 2 if output.bipolar else 1
    count = (scan.first - output.minimum) // unit
    passed = np.where(scan.falls, output.levels - count, count)
    always = np.arange(output.levels) < passed[:, None]
    levels = np.where(always, reach.start, reach.stop + 1).astype(np.int64)
    at, channel, before, after = np.concatenate(scan.changes, axis=1)
    low, high = (before - output.minimum) // unit, (after - output.minimum) // unit
    falls = scan.falls[channel]
    low, high = np.where(falls, output.levels - low, low), np.where(falls, output.levels - high, high)
    for jump in range(int((high - low).max(initial=0))):
        far = low + jump < high
        levels[channel[far], low[far] + jump] = at[far]
    return levels


class _PoolDirection:
    """Whether the rest of the chain behind a pool rises or falls in the value that the pool sees, channel by channel."""

    def __init__(self, channels: int) -> None:
        self._rises = np.zeros(channels, bool)
        self._falls = np.zeros(channels, bool)
        self._edge: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, values: np.ndarray, outputs: np.ndarray) -> None:
        if self._edge is not None:
            values = np.concatenate([self._edge[0][None], values])
            outputs = np.concatenate([self._edge[1][None], outputs])
        moved, changed = np.diff(values, axis=0), np.diff(outputs, axis=0)
        self._rises |= np.any((changed != 0) & (np.sign(changed) == np.sign(moved)), axis=0)
        self._falls |= np.any((changed != 0) & (np.sign(changed) == -np.sign(moved)), axis=0)
        self._edge = (values[-1], outputs[-1])

    def minimum(self, nodes: Sequence[onnx.NodeProto]) -> np.ndarray:
        both = np.flatnonzero(self._rises & self._falls)
        if both.size:
            raise _not_monotone(nodes, int(both[0]))
        return self._falls.copy()


def _not_monotone(nodes: Sequence[onnx.NodeProto], channel: int) -> FlipflowError:
    names = " - ".join(node.op_type for node in nodes)
    return FlipflowError(
        "E210",
        f"in channel {channel} the chain {names} both rises and falls, so no thresholds stand for it.",
        chain_end(nodes),
        "Use a monotone activation (hardtanh, ReLU, PReLU with slopes >= 0) before the quantizer.",
    )
