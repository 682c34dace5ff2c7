"""Exact integer thresholds of a segment, read off its evaluated chain.

Source of the method: thresholds as in FINN (Umuroglu et al., 2017), but found by evaluating the chain on every
reachable accumulator value instead of by algebra, so that float ties and roundings are right by construction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.errors import FlipflowError
from flipflow.export.finn.chain import Chain, Layer, Segment
from flipflow.export.finn.evaluate import Program, compile_segment, evaluate
from flipflow.export.finn.formats import EXACT_FLOAT, Format

GROUP = 2**24  # (value, channel) pairs held at once
MAX_LEVELS = 2**10

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Reach:
    """Reachable integers of each channel: low, low+step, ..., high; low and high are int64 [C]."""

    low: Ints
    high: Ints
    step: int


@dataclass(frozen=True)
class Pool:
    """A max-pool that follows the thresholds; minimum: bool [C], channels in which it has become a minimum."""

    node: NodeProto
    minimum: Flags


@dataclass(frozen=True)
class Thresholds:
    """A segment in integers: format.low + #{i: x' >= level[c,i]}, with x' = -x where `falling`, then the pools.

    level: int64 [C,N] ascending, from reach.low (always) to reach.high + 1 (never) of x'; None for mere pooling.
    """

    level: Ints | None
    falling: Flags
    format: Format
    pools: tuple[Pool, ...]


@dataclass(frozen=True)
class _Task:
    """What `derive` works on: the source's real values are reach * scale; form is that of the segment's last
    quantizer."""

    program: Program
    segment: Segment
    form: Format
    reach: Reach
    scale: float


def layer_reach(layer: Layer, x: Format) -> Reach:
    """Worst-case sums of each output channel over inputs of format x.

    Raises: FlipflowError E258 where a sum could leave the integers that float32 holds.
    """
    columns = layer.columns
    if x.bipolar:
        high = np.abs(columns).sum(axis=0)
        low = -high
    else:
        products = np.stack([columns * x.low, columns * x.high])
        low = np.minimum(products.min(axis=0), 0).sum(axis=0)
        high = np.maximum(products.max(axis=0), 0).sum(axis=0)
    worst = int(max(high.max(), -low.min()))
    if worst >= EXACT_FLOAT:
        fix = "Use fewer inputs or fewer bits for weights or activations."
        what = f"a sum can reach {worst}, and float32 is exact only below 2^24 = {EXACT_FLOAT}."
        raise FlipflowError("E258", what, f"layer {layer.name!r}", fix)
    return Reach(low, high, 2 if x.bipolar and layer.pad_kind != "zero" else 1)


def input_reach(form: Format, channels: int) -> Reach:
    """Values of a quantized tensor."""
    return Reach(np.full(channels, form.low), np.full(channels, form.high), 2 if form.bipolar else 1)


def derive(chain: Chain, segment: Segment, x: Format, scale: float, reach: Reach) -> Thresholds:
    """Thresholds of a segment whose source, of format x, holds integers in `reach` times `scale`.

    Raises: FlipflowError E257, E259 (neither rising nor falling in a channel), E260 (too many levels).
    """
    channels = len(reach.low)
    tail = [Pool(node, np.zeros(channels, bool)) for node in segment.nodes[segment.thresholds :] if _is_pool(node)]
    if segment.format is None:
        return Thresholds(None, np.zeros(channels, bool), x, tuple(tail))
    if len(segment.format.levels) > MAX_LEVELS:
        what = (
            f"{segment.format.bits} bits make {len(segment.format.levels)} levels; at most {MAX_LEVELS} can be lowered."
        )
        raise FlipflowError("E260", what, f"quantizer {_last(segment).name!r}", "Quantize to fewer bits.")
    program = compile_segment(chain, segment)
    task = _Task(program, segment, segment.format, reach, scale)
    count = int(((reach.high - reach.low) // reach.step).max()) + 1
    width = max(1, GROUP // count)
    parts = [_derive_part(task, slice(begin, min(begin + width, channels))) for begin in range(0, channels, width)]
    inner = [node for node in segment.nodes[: segment.thresholds] if _is_pool(node)]
    pools = [Pool(node, np.concatenate([part[2][i] for part in parts])) for i, node in enumerate(inner)]
    level = np.concatenate([part[0] for part in parts])
    falling = np.concatenate([part[1] for part in parts])
    return Thresholds(level, falling, segment.format, (*pools, *tail))


def _is_pool(node: NodeProto) -> bool:
    return str(node.op_type) == "MaxPool"


def _last(segment: Segment) -> NodeProto:
    return segment.nodes[segment.thresholds - 1]


def _derive_part(task: _Task, part: slice) -> tuple[Ints, Flags, list[Flags]]:
    reach, form, segment = task.reach, task.form, task.segment
    low, high = reach.low[part], reach.high[part]
    count = int(((high - low) // reach.step).max()) + 1
    grid = reach.step * np.arange(count, dtype=np.int32)
    values = np.minimum(low.astype(np.int32) + grid[:, None], high.astype(np.int32))
    # exact: integers below 2^24 times a power of two
    pooled, result = evaluate(task.program, values.astype(np.float32) * np.float32(task.scale), part.start)
    outputs = np.rint(result * np.float32(1 / form.scale)).astype(np.int16)
    falling = _falling(outputs, values, segment, part.start, "the accumulator")
    minimum = []
    for tensor in pooled:
        order = np.argsort(tensor, axis=0, kind="stable")
        ranked = np.take_along_axis(outputs, order, axis=0)
        seen = np.take_along_axis(tensor, order, axis=0)
        minimum.append(_falling(ranked, seen, segment, part.start, "the value before the max-pool"))
    return _levels(values, outputs, falling, form), falling, minimum


def _falling(outputs: NDArray[np.int16], values: NDArray[np.generic], segment: Segment, first: int, of: str) -> Flags:
    """bool [C]: whether outputs [V,C] fall along V; False also where they are constant."""
    rises = (outputs[1:] > outputs[:-1]).any(axis=0)
    falls = (outputs[1:] < outputs[:-1]).any(axis=0)
    for channel in np.flatnonzero(rises & falls):
        steps = np.diff(outputs[:, channel])
        up, down = int(np.argmax(steps > 0)), int(np.argmax(steps < 0))
        what = (
            f"channel {first + channel} is not monotone in {of}: it rises at {values[up + 1, channel]} "
            f"and falls at {values[down + 1, channel]}."
        )
        nodes = " -> ".join(node.op_type for node in segment.nodes[: segment.thresholds])
        fix = "Only activations that never turn can become thresholds; replace the one in this chain."
        raise FlipflowError("E259", what, f"chain {nodes} ending in {_last(segment).name!r}", fix)
    return np.asarray(falls)


def _levels(values: NDArray[np.int32], outputs: NDArray[np.int16], falling: Flags, form: Format) -> Ints:
    """Thresholds [C,N] on x' (mirrored where falling), given values ascending."""
    targets = np.asarray(form.levels[1:], np.int16)
    level = np.empty((values.shape[1], len(targets)), np.int64)
    for channel in range(values.shape[1]):
        y = outputs[:, channel]
        index = np.searchsorted(y[::-1] if falling[channel] else y, targets)
        never = index == len(y)
        index = np.minimum(index, len(y) - 1)
        x = -values[len(y) - 1 - index, channel] if falling[channel] else values[index, channel]
        level[channel] = np.where(never, x + 1, x)
    return level
