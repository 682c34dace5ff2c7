"""Exact integer thresholds of a segment, read off its evaluated chain.

Source of the method: thresholds as in FINN (Umuroglu et al., 2017), but found by evaluating the chain on every
reachable accumulator value instead of by algebra, so that float ties and roundings are right by construction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from flipflow.errors import FlipflowError
from flipflow.export.finn.evaluate import Program, compile_segment, evaluate
from flipflow.export.finn.formats import EXACT_FLOAT, Format
from flipflow.export.finn.network import Layer, Network, Segment, WindowSum

GROUP = 2**24  # (value, channel) pairs held at once
SEARCHED = 2**22  # more of them than this are searched by bisection where the chain's order is certain
SAMPLES = 2**10  # values of each channel that then must confirm the result
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


def sum_reach(one: Format, other: Format, channels: int) -> Reach:
    """Sums of two values."""
    low, high = one.low + other.low, one.high + other.high
    return Reach(np.full(channels, low), np.full(channels, high), 2 if one.bipolar and other.bipolar else 1)


def window_reach(summed: WindowSum, x: Format, channels: int) -> Reach:
    """Sums over windows of a tensor of format x.

    Raises: FlipflowError E258 where a sum could leave the integers that float32 holds.
    """
    count = summed.kernel[0] * summed.kernel[1]
    worst = count * max(abs(x.low), abs(x.high))
    if worst >= EXACT_FLOAT:
        what = f"a sum can reach {worst}, and float32 is exact only below 2^24 = {EXACT_FLOAT}."
        raise FlipflowError("E258", what, f"node {summed.name!r}", "Use fewer bits for its input, or a smaller window.")
    return Reach(np.full(channels, count * x.low), np.full(channels, count * x.high), 2 if x.bipolar else 1)


def derive(
    network: Network, segment: Segment, x: Format, scale: float, reach: Reach, summed: WindowSum | None = None
) -> Thresholds:
    """Thresholds of a segment whose source holds integers in `reach` times `scale`; x: the result's format if it has none.

    summed: the head before the segment where that sums windows.
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
    task = _Task(compile_segment(network, segment, summed), segment, segment.format, reach, scale)
    count = int(((reach.high - reach.low) // reach.step).max()) + 1
    found = _search(task) if count * channels > SEARCHED and task.program.ordered else None
    width = max(1, GROUP // count)
    slices = [slice(begin, min(begin + width, channels)) for begin in range(0, channels, width)]
    parts = [found] if found is not None else [_derive_part(task, part) for part in slices]
    inner = [node for node in segment.nodes[: segment.thresholds] if _is_pool(node)]
    pools = [Pool(node, np.concatenate([part[2][i] for part in parts])) for i, node in enumerate(inner)]
    level = np.concatenate([part[0] for part in parts])
    falling = np.concatenate([part[1] for part in parts])
    return Thresholds(level, falling, segment.format, (*pools, *tail))


def _is_pool(node: NodeProto) -> bool:
    return str(node.op_type) == "MaxPool"


def _last(segment: Segment) -> NodeProto:
    return segment.nodes[segment.thresholds - 1]


def _outputs(
    task: _Task, values: NDArray[np.integer], first: int
) -> tuple[list[NDArray[np.float32]], NDArray[np.int16]]:
    """The tensors at the pools, and the quantizer's integers, for values [V,C'] of the channels from `first` on."""
    # exact: integers below 2^24 times a power of two
    pooled, result = evaluate(task.program, values.astype(np.float32) * np.float32(task.scale), first)
    return pooled, np.rint(result * np.float32(1 / task.form.scale)).astype(np.int16)


def _search(task: _Task) -> tuple[Ints, Flags, list[Flags]] | None:
    """As `_derive_part`, all channels, by bisection; None where a sample contradicts the chain's order after all."""
    reach, targets = task.reach, np.asarray(task.form.levels[1:], np.int16)[:, None]
    pooled, ends = _outputs(task, np.stack([reach.low, reach.high]), 0)
    falling = np.asarray(ends[1] < ends[0])
    first = np.where(falling, -reach.high, reach.low)
    count = (reach.high - reach.low) // reach.step + 1
    below, above = np.full((len(targets), len(count)), -1), np.tile(count, (len(targets), 1))
    while (above - below > 1).any():
        middle = np.minimum((below + above) // 2, count - 1)
        reached = _outputs(task, np.where(falling, -1, 1) * (first + reach.step * middle), 0)[1] >= targets
        open_ = above - below > 1
        above = np.where(open_ & reached, middle, above)
        below = np.where(open_ & ~reached, middle, below)
    level = np.where(above == count, first + reach.step * (count - 1) + 1, first + reach.step * above).T
    places = np.linspace(np.zeros(len(count)), count - 1, SAMPLES).astype(np.int64)
    sample = first + reach.step * places
    _, seen = _outputs(task, np.where(falling, -1, 1) * sample, 0)
    passed = np.stack([np.searchsorted(row, sample[:, c], side="right") for c, row in enumerate(level)], axis=1)
    if not np.array_equal(seen, np.asarray(task.form.levels)[passed]):
        return None
    turned = [(tensor[1] > tensor[0]) & falling | (tensor[1] < tensor[0]) & (ends[1] > ends[0]) for tensor in pooled]
    return np.ascontiguousarray(level), falling, turned


def _derive_part(task: _Task, part: slice) -> tuple[Ints, Flags, list[Flags]]:
    reach, segment = task.reach, task.segment
    low, high = reach.low[part], reach.high[part]
    count = int(((high - low) // reach.step).max()) + 1
    grid = reach.step * np.arange(count, dtype=np.int32)
    values = np.minimum(low.astype(np.int32) + grid[:, None], high.astype(np.int32))
    pooled, outputs = _outputs(task, values, part.start)
    falling = _falling(outputs, values, segment, part.start, "the accumulator")
    minimum = []
    for tensor in pooled:
        order = np.argsort(tensor, axis=0, kind="stable")
        ranked = np.take_along_axis(outputs, order, axis=0)
        seen = np.take_along_axis(tensor, order, axis=0)
        minimum.append(_falling(ranked, seen, segment, part.start, "the value before the max-pool"))
    return _levels(values, outputs, falling, task.form), falling, minimum


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
