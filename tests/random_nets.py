"""Random integer nets: chains and residual graphs of everything an integer net can hold, with images for them.

Thresholds are drawn around what the network really computes (the reference runs along while it grows), some channels constant,
some with ties, some far out of reach.
"""

from dataclasses import dataclass

import numpy as np

from flipflow.export.integer.net import (
    NET_INPUT,
    ActType,
    Add,
    Conv,
    IntegerNet,
    Linear,
    MaxPool,
    Operator,
    PadKind,
    SumPool,
    Threshold,
)
from flipflow.sim import reference

SIGN = ActType(1, True, True, -1, 1)
_CHANNELS = (1, 2, 3, 5, 8, 16, 17, 31, 33, 63, 64, 65, 70, 130)


@dataclass(frozen=True)
class Value:
    """A result within a growing net: its place, its type where it is an activation, its range otherwise, and sample values."""

    index: int
    act: ActType | None
    low: int
    high: int
    samples: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.samples.shape[1:]


def integer_type(draw: np.random.Generator, most_bits: int = 8) -> ActType:
    """Signed or not, 1 to `most_bits` bits, sometimes without the lowest value."""
    bits = int(draw.integers(1, most_bits + 1))
    signed = bits > 1 and bool(draw.integers(2))
    low = -(2 ** (bits - 1)) if signed else 0
    high = low + 2**bits - 1
    return ActType(bits, signed, False, low + int(signed and bits > 2 and draw.integers(4) == 0), high)


class RandomNet:
    """A net that grows by random operators."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.operators: list[Operator] = []
        self.wires: list[tuple[int, ...]] = []
        self.input = (
            SIGN if self.draw.random() < 0.3 else integer_type(self.draw, 12 if self.draw.random() < 0.1 else 8)
        )
        channels = int(self.draw.choice(_CHANNELS[:9]))
        size = (int(self.draw.integers(3, 10)), int(self.draw.integers(3, 10)))
        self.input_shape: tuple[int, ...] = (*size, channels) if self.draw.random() < 0.8 else (channels * 7,)
        images = self._inputs(self.input, (2, *self.input_shape))
        self.images = images
        self.values = [Value(NET_INPUT, self.input, self.input.minimum, self.input.maximum, images)]

    def grow(self) -> IntegerNet:
        """The finished net."""
        for _ in range(int(self.draw.integers(1, 6))):
            self._stage()
        last = self.values[-1]
        if last.act is None or self.draw.random() < 0.85:
            last = self._layer(self._activation(self.values[-1]), final=True)
        if self.draw.random() < 0.1 and len(last.shape) == 3:
            last = self._sum_pool(last)
        classes = int(np.prod(last.shape))
        return IntegerNet(self.input, self.input_shape, tuple(self.operators), 0.5, classes, tuple(self.wires))

    # --- what grows ---

    def _stage(self) -> None:
        activations = [value for value in self.values if value.act is not None]
        source = activations[-1] if self.draw.random() < 0.75 else activations[self.draw.integers(len(activations))]
        sums = self._layer(source)
        if self.draw.random() < 0.1 and len(sums.shape) == 3:
            sums = self._max_pool(sums)
        forks = 2 if self.draw.random() < 0.15 else 1
        for _ in range(forks):
            result = self._threshold(sums, sign=bool(self.draw.random() < 0.6))
        if len(result.shape) == 3 and self.draw.random() < 0.25:
            result = self._max_pool(result)
        self._residual(result)
        if self.draw.random() < 0.1 and len(self.values[-1].shape) == 3:
            self._threshold(self._sum_pool(self.values[-1]), sign=False)

    def _residual(self, result: Value) -> None:
        """Sometimes add an earlier value of the same size, then perhaps take a sign of the sum beside it."""
        partners = [v for v in self.values if v.act is not None and v.shape == result.shape and v.index != NET_INPUT]
        while partners and self.draw.random() < 0.35:
            partner = partners[self.draw.integers(len(partners))]
            pair = (result.index, partner.index) if self.draw.random() < 0.5 else (partner.index, result.index)
            act = integer_type(self.draw, 9)
            total = result.samples.astype(np.int32) + partner.samples
            samples = np.clip(total, act.minimum, act.maximum)
            result = self._append(Add(self._name("add"), act), pair, act, act.minimum, act.maximum, samples)
            for _ in range(int(self.draw.integers(0, 3))):
                self._threshold(result, sign=True)
            if self.draw.random() < 0.5:
                result = self._threshold(self._layer(self.values[-1], like=result), sign=False)

    def _activation(self, value: Value) -> Value:
        return value if value.act is not None else self._threshold(value, sign=bool(self.draw.integers(2)))

    def _layer(self, source: Value, final: bool = False, like: Value | None = None) -> Value:
        assert source.act is not None
        bits = 1 if self.draw.random() < 0.7 else int(self.draw.choice([2, 4, 8, 8, 12]))
        channels = like.shape[-1] if like is not None else int(self.draw.choice(_CHANNELS))
        vector = len(source.shape) == 1
        flat = vector or (final and self.draw.random() < 0.8) or self.draw.random() < 0.07
        if flat and (like is None or like.shape == (channels,)):
            return self._linear(source, 5 if final else channels, bits)
        return self._conv(source, channels, bits, like)

    def _linear(self, source: Value, channels: int, bits: int) -> Value:
        assert source.act is not None
        weights = self._weights((channels, int(np.prod(source.shape))), bits)
        binary = source.act.bipolar and bits == 1
        domain = "popcount" if binary and self.draw.random() < 0.4 else "sum"
        op = Linear(self._name("fc"), weights, source.act, bits, bits == 1, domain)  # type: ignore[arg-type]
        return self._sums(op, source)

    def _conv(self, source: Value, channels: int, bits: int, like: Value | None) -> Value:
        assert source.act is not None
        height, width, depth = source.shape
        same = like is not None and like.shape[:2] == source.shape[:2]
        kernel = tuple(int(k) for k in self.draw.choice([1, 2, 3, 3, 5], 2))
        stride = tuple(int(s) for s in self.draw.choice([1, 1, 2, 3], 2))
        pads = tuple(int(p) for p in self.draw.integers(0, 3, 4))
        if same:
            kernel, stride, pads = (3, 3), (1, 1), (1, 1, 1, 1)
        kind: PadKind = self._pad_kind(source.act)
        if kind == "none" and not same:
            pads = (0, 0, 0, 0)
        elif kind == "none":
            kernel, pads = (1, 1), (0, 0, 0, 0)
        kernel = (min(kernel[0], height + pads[0] + pads[2]), min(kernel[1], width + pads[1] + pads[3]))
        weights = self._weights((channels, *kernel, depth), bits)
        binary = source.act.bipolar and bits == 1
        domain = "popcount" if binary and kind != "zero" and self.draw.random() < 0.4 else "sum"
        op = Conv(
            self._name("conv"), weights, stride, pads, kind, source.act, bits, bits == 1, domain,  # type: ignore[arg-type]
        )  # fmt: skip
        return self._sums(op, source)

    def _pad_kind(self, act: ActType) -> PadKind:
        kinds: list[PadKind] = ["none", "zero", "minus_one", "plus_one"] if act.bipolar else ["none", "zero"]
        return kinds[self.draw.integers(len(kinds))]

    def _sums(self, op: Conv | Linear, source: Value) -> Value:
        assert source.act is not None
        rows = np.abs(op.weights.reshape(len(op.weights), -1).astype(np.int64)).sum(axis=1)
        largest = int(rows.max()) * max(abs(source.act.minimum), abs(source.act.maximum))
        low, high = (0, op.weights[0].size) if op.domain == "popcount" else (-largest, largest)
        return self._append(op, (source.index,), None, low, high)

    def _threshold(self, source: Value, sign: bool) -> Value:
        act = SIGN if sign else integer_type(self.draw, 5 if self.draw.random() < 0.7 else 8)
        channels = source.shape[-1]
        levels = np.sort(self._levels(source, act.levels), axis=1).astype(np.int32)
        invert = self.draw.random(channels) < (0.3 if self.draw.random() < 0.7 else 0.0)
        op = Threshold(self._name("threshold"), levels, invert, act)
        return self._append(op, (source.index,), act, act.minimum, act.maximum)

    def _levels(self, source: Value, count: int) -> np.ndarray:
        """A staircase of a line, rounded up, or anything; a few channels never move."""
        channels = source.shape[-1]
        samples = source.samples.reshape(-1, channels).astype(np.float64)
        middle, spread = samples.mean(axis=0), samples.std(axis=0) + 1.0
        if self.draw.random() < 0.75:
            step = spread * 10.0 ** self.draw.uniform(-1.0, 0.7, channels) / (count + 1)
            start = middle + spread * self.draw.normal(0, 0.7, channels) - step * count / 2
            levels = np.ceil(start[:, None] + step[:, None] * np.arange(count))
        else:
            levels = self.draw.integers(source.low - 2, source.high + 3, (channels, count)).astype(np.float64)
        constant = self.draw.random(channels) < 0.08
        far = np.where(self.draw.random(channels) < 0.5, -(2.0**31), 2.0**31 - 1)
        levels[constant] = far[constant, None]
        return np.clip(levels, -(2.0**31), 2.0**31 - 1)

    def _max_pool(self, source: Value) -> Value:
        kernel = (
            min(int(self.draw.integers(1, 4)), source.shape[0]),
            min(int(self.draw.integers(1, 4)), source.shape[1]),
        )
        pads = tuple(int(self.draw.integers(0, k)) for k in (*kernel, *kernel))
        pads = (0, 0, 0, 0) if self.draw.random() < 0.5 else pads
        stride = (int(self.draw.integers(1, 3)), int(self.draw.integers(1, 3)))
        minimum = self.draw.random(source.shape[-1]) < (0.4 if self.draw.random() < 0.5 else 0.0)
        op = MaxPool(self._name("pool"), kernel, stride, pads, minimum)  # type: ignore[arg-type]
        return self._append(op, (source.index,), source.act, source.low, source.high)

    def _sum_pool(self, source: Value) -> Value:
        height, width = source.shape[:2]
        whole = self.draw.random() < 0.5
        kernel = (height, width) if whole else (min(2, height), min(3, width))
        taps = kernel[0] * kernel[1]
        op = SumPool(self._name("sum"), kernel, (1, 1) if whole else (2, 1))
        return self._append(op, (source.index,), None, source.low * taps, source.high * taps)

    # --- bookkeeping ---

    def _append(
        self, op: Operator, sources: tuple[int, ...], act: ActType | None, low: int, high: int, samples: np.ndarray | None = None
    ) -> Value:  # fmt: skip
        if samples is None:
            before = next(value.samples for value in self.values if value.index == sources[0])
            alone = IntegerNet(self.input, before.shape[1:], (op,), 1.0, 1)
            ((_, samples),) = reference.layers(alone, before)
        self.operators.append(op)
        self.wires.append(sources)
        self.values.append(Value(len(self.operators) - 1, act, low, high, samples))
        return self.values[-1]

    def _inputs(self, act: ActType, shape: tuple[int, ...]) -> np.ndarray:
        if act.bipolar:
            return self.draw.choice(np.array([-1, 1], np.int32), shape)
        images = self.draw.integers(act.minimum, act.maximum + 1, shape).astype(np.int32)
        if self.draw.random() < 0.2:
            images[0] = act.maximum if self.draw.random() < 0.5 else act.minimum
        return images

    def _weights(self, shape: tuple[int, ...], bits: int) -> np.ndarray:
        extreme = self.draw.random() < 0.05
        if bits == 1:
            signs = self.draw.integers(0, 2, shape) * 2 - 1
            return (np.ones(shape) if extreme else signs).astype(np.int16)
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1)
        return (np.full(shape, low) if extreme else self.draw.integers(low, high, shape)).astype(np.int16)

    def _name(self, kind: str) -> str:
        return f"{kind}_{len(self.operators)}"


def random_net(seed: int) -> tuple[IntegerNet, np.ndarray]:
    """A net and two images for it."""
    growing = RandomNet(seed)
    net = growing.grow()
    return net, growing.images
