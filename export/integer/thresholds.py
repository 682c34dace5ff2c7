"""Thresholds of an activation chain, read off its values on every sum that can reach it (design: numerics, activations).

Ties and roundings come out right by construction, because the chain itself is evaluated, node by node in float32.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from flipflow.errors import FlipflowError
from flipflow.export.evaluate import evaluate
from flipflow.export.integer.net import ActType

_CHUNK_ELEMENTS = 1 << 22
_OPSET = 13


@dataclass(frozen=True)
class Reach:
    """Sums that can reach a chain: start, start + step, ... stop (inclusive), and each channel's own part of it.

    low, high: int64 [C]. unit: real value of one unit of the sum. rank: 2 for [N, C] tensors, 4 for [N, C, H, W].
    """

    start: int
    stop: int
    step: int
    low: np.ndarray
    high: np.ndarray
    unit: float
    rank: int


@dataclass(frozen=True)
class ChainMeaning:
    """levels int64 [C, L] and invert bool [C] as in `Threshold`; pool_minimum: for each pool in the chain, bool [C]."""

    levels: np.ndarray
    invert: np.ndarray
    pool_minimum: tuple[np.ndarray, ...]


class _Scan:
    """Collects, chunk by chunk in rising order of the sum, where the outputs of the channels change."""

    def __init__(self, channels: int) -> None:
        self.first: np.ndarray | None = None
        self.last: np.ndarray | None = None
        self.changes: list[tuple[int, int, int, int]] = []
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
        self.changes.extend(zip(sums[rows].tolist(), channels.tolist(), before.tolist(), after.tolist(), strict=True))
        self.last = outputs[-1].copy()


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


def chunks(reach: Reach) -> Iterator[np.ndarray]:
    """All sums in rising order, int64, in arrays small enough to evaluate at once."""
    rows = max(1, _CHUNK_ELEMENTS // reach.low.size)
    for start in range(reach.start, reach.stop + 1, rows * reach.step):
        yield np.arange(start, min(start + rows * reach.step, reach.stop + 1), reach.step, dtype=np.int64)


def real_values(sums: np.ndarray, reach: Reach) -> np.ndarray:
    """float32 [V, C] that the chain sees for these sums; a channel's unreachable ones are drawn to its nearest reachable."""
    clamped = np.clip(sums[:, None], reach.low, reach.high)
    values: np.ndarray = (clamped.astype(np.float64) * reach.unit).astype(np.float32)
    return values


def chain_outputs(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    sums: np.ndarray,
    reach: Reach,
    output_scale: float,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Integer outputs int64 [V, C] of the chain, and the float values [V, C] that each of its pools sees."""
    start = real_values(sums, reach)
    value = start.reshape(*start.shape, *(1,) * (reach.rank - 2))
    at_pools = []
    for node in nodes:
        if node.op_type == "MaxPool":
            at_pools.append(value.reshape(start.shape))
            continue
        if node.op_type == "Flatten":
            value = value.reshape(start.shape)
            continue
        data = next(name for name in node.input if name not in constants)
        value = evaluate(node, {**constants, data: value}, _OPSET)[0]
    value = value.reshape(start.shape)
    if np.isnan(value).any():
        raise FlipflowError(
            "E217",
            f"in channel {int(np.argwhere(np.isnan(value))[0, 1])} it is not a number for some sums.",
            f"{nodes[-1].op_type} node {nodes[-1].doc_string or nodes[-1].name!r}",
            "Keep divisors, variances and arguments of roots and logarithms positive.",
        )
    integers = np.rint(value.astype(np.float64) / output_scale).astype(np.int64)
    return integers, at_pools


def _levels(scan: _Scan, reach: Reach, output: ActType) -> np.ndarray:
    """Thresholds [C, L]: `start` where always passed, `stop` + 1 where never."""
    assert scan.first is not None
    channels, steps = scan.first.size, output.levels
    unit = 2 if output.bipolar else 1
    levels = np.full((channels, steps), reach.stop + 1, np.int64)
    for channel in range(channels):
        passed = (int(scan.first[channel]) - output.minimum) // unit
        levels[channel, : steps - passed if scan.falls[channel] else passed] = reach.start
    for at, channel, before, after in scan.changes:
        low, high = (before - output.minimum) // unit, (after - output.minimum) // unit
        if scan.falls[channel]:
            low, high = steps - low, steps - high
        levels[channel, low:high] = at
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
        f"{nodes[-1].op_type} node {nodes[-1].doc_string or nodes[-1].name!r}",
        "Use a monotone activation (hardtanh, ReLU, PReLU with slopes >= 0) before the quantizer.",
    )
