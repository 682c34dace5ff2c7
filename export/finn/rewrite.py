"""Rebuilds the stages of a canonical QONNX file in integers, in a form that FINN streamlines without a float left.

What FINN gets wrong or cannot do is done here: scales are divided out, elementwise chains become exact thresholds,
falling channels become negated weights, pools move behind their thresholds (and become minima where needed), the NCHW
order of a Flatten is folded into the next weights. Convolutions stay NCHW `Conv` nodes between Transposes: lowering
them is FINN's part (see `body`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flipflow.export.finn.formats import Format, signed_bits
from flipflow.export.finn.network import Layer, Network, Stage, WindowSum
from flipflow.export.finn.thresholds import (
    Reach,
    Thresholds,
    derive,
    input_reach,
    layer_reach,
    sum_reach,
    window_reach,
)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class IntegerStage:
    """A stage in integers.

    x: format of what it reads, None for raw sums; formats of both operands agree in scale. y: what its thresholds see, sums of
    the head or values read. weights: of a layer, falling channels negated, rows in NHWC order, of datatype weight_dtype.
    fan_in: K of a layer. popcount_of: K where it reads an XNOR layer's raw sums, as popcounts. clamp: a Join saturates to this
    format, and its segment does nothing else.
    """

    stage: Stage
    x: Format | None
    y: Reach
    thresholds: Thresholds
    weights: Ints | None = None
    weight_dtype: str = ""
    popcount_of: int | None = None
    clamp: Format | None = None

    @property
    def layer(self) -> Layer | None:
        """The head where it is a layer."""
        return self.stage.head if isinstance(self.stage.head, Layer) else None

    @property
    def xnor(self) -> bool:
        """Whether it is a product of bits with bits, without a border of zeros."""
        layer = self.layer
        bits = layer is not None and layer.format.bipolar and self.x is not None and self.x.bipolar
        return bits and layer is not None and layer.pad_kind != "zero"


@dataclass(frozen=True)
class IntegerNetwork:
    """A network in integers."""

    network: Network
    stages: tuple[IntegerStage, ...]

    @property
    def input_shape(self) -> list[int]:
        """[1,H,W,C] or [1,K]."""
        return to_nhwc(self.network.shape(self.network.source))

    @property
    def layers(self) -> tuple[IntegerStage, ...]:
        """The stages that are layers."""
        return tuple(item for item in self.stages if item.layer is not None)

    def stage_of(self, end: str) -> IntegerStage:
        """The stage of that end."""
        return next(item for item in self.stages if item.stage.end == end)


@dataclass(frozen=True)
class _Result:
    """What a stage gives. format: None for raw sums; popcount_of: as in IntegerStage."""

    format: Format | None
    reach: Reach
    scale: float
    popcount_of: int | None = None


def to_nhwc(shape: list[int]) -> list[int]:
    """Shape NCHW -> NHWC; NC stays."""
    return [shape[0], *shape[2:], shape[1]] if len(shape) == 4 else shape


def to_integers(network: Network) -> IntegerNetwork:
    """Derives integer weights and thresholds of every stage.

    Raises: FlipflowError as `evaluate` and `thresholds` do.
    """
    first = network.first
    reach = input_reach(first, network.shape(network.source)[1])
    results = {network.source: _Result(first, reach, first.scale)}
    stages = []
    for stage in network.stages:
        item, scale = _integer_stage(network, stage, [results[name] for name in stage.sources])
        stages.append(item)
        form = None if stage.raw else item.thresholds.format
        if form is not None:
            channels = network.shape(stage.end)[1]
            results[stage.end] = _Result(form, input_reach(form, channels), form.scale)
        else:
            fan_in = len(item.weights) if item.xnor and item.weights is not None else None
            results[stage.end] = _Result(None, item.y, scale, fan_in)
    return IntegerNetwork(network, tuple(stages))


def _integer_stage(network: Network, stage: Stage, read: list[_Result]) -> tuple[IntegerStage, float]:
    """The stage, and the scale of what its thresholds see."""
    head, first = stage.head, read[0]
    if head is None:
        thresholds = derive(network, stage.segment, first.format or network.first, first.scale, first.reach)
        return IntegerStage(stage, first.format, first.reach, thresholds, popcount_of=first.popcount_of), first.scale
    x = first.format
    assert x is not None, "heads read values, as `read` makes sure"
    if isinstance(head, Layer):
        return _integer_layer(network, stage, head, x)
    channels = network.shape(head.y)[1]
    if isinstance(head, WindowSum):
        y = window_reach(head, x, channels)
        return IntegerStage(stage, x, y, derive(network, stage.segment, x, x.scale, y, head)), x.scale
    other = read[1].format
    assert other is not None
    y = sum_reach(x, other, channels)
    thresholds = derive(network, stage.segment, x, x.scale, y)
    clamp = thresholds.format if _only_clamps(thresholds, y, x.scale) else None
    return IntegerStage(stage, x, y, thresholds, clamp=clamp), x.scale


def _only_clamps(thresholds: Thresholds, y: Reach, scale: float) -> bool:
    """Whether thresholds on sums in `y` only bring them into a range: a saturation."""
    form = thresholds.format
    if thresholds.level is None or form.bipolar or form.scale != scale or thresholds.falling.any():
        return False
    steps = np.arange(form.low + 1, form.high + 1)
    wanted = np.clip(steps, y.low[:, None], y.high[:, None] + 1)
    return y.step == 1 and bool(np.array_equal(thresholds.level, wanted))


def _integer_layer(network: Network, stage: Stage, layer: Layer, x: Format) -> tuple[IntegerStage, float]:
    y, scale = layer_reach(layer, x), x.scale * layer.format.scale
    thresholds = derive(network, stage.segment, x, scale, y)
    falling = thresholds.falling
    sign = np.where(falling, -1, 1)
    weights = layer.weights * (sign[:, None, None, None] if layer.is_conv else sign)
    if layer.is_conv:
        rows = weights.transpose(2, 3, 1, 0).reshape(-1, len(weights))
    else:
        flat = network.flat.get(stage.sources[0])
        rows = weights if flat is None else weights[nhwc_order(flat)]
    y = Reach(np.where(falling, -y.high, y.low), np.where(falling, -y.low, y.high), y.step)
    dtype = "BIPOLAR"
    if not layer.format.bipolar:
        # negating the lowest value of a two's complement format needs one bit more
        dtype = f"INT{max(layer.format.bits, signed_bits(int(rows.min()), int(rows.max())))}"
    return IntegerStage(stage, x, y, thresholds, rows, dtype), scale


def nhwc_order(flat: tuple[int, int, int]) -> Ints:
    """For each place of a flattened map [H,W,C] its place in the flattened map [C,H,W]."""
    return np.arange(int(np.prod(flat))).reshape(flat).transpose(1, 2, 0).reshape(-1)


def stretches(integer: IntegerNetwork) -> list[tuple[IntegerStage, ...]]:
    """The layers in runs that neither fork, join nor sum windows: what FINN can streamline as a chain."""
    runs: list[list[IntegerStage]] = []
    for item in integer.layers:
        source = item.stage.sources[0]
        before = next((run for run in runs if run[-1].stage.end == source), None)
        if before is not None and not before[-1].stage.raw and len(integer.network.readers(source)) == 1:
            before.append(item)
        else:
            runs.append([item])
    return [tuple(run) for run in runs]
