"""Deployable ResNet18 and ResNet34 with random weights, as integer nets: made to be timed, not to classify.

The topology is that of Bi-Real Net (Liu et al. 2018): an 8-bit stem and max-pool, then binary 3x3 convolutions with a shortcut
around each one, 8-bit 1x1 convolutions where the map shrinks, a global sum, and an 8-bit fully connected layer. Residuals are
8-bit integers. The activation behind each convolution is what training leaves there: the batch normalization of a random
calibration image, with random gains and offsets, rounded to the residual's grid. So about half of the bits are set in every
layer and residuals keep within their range.
"""

from functools import lru_cache

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
    SumPool,
    Threshold,
)
from flipflow.sim import reference

NETWORKS: dict[str, tuple[int, ...]] = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
PIXEL = ActType(8, False, False, 0, 255)
BIT = ActType(1, True, True, -1, 1)
RESIDUAL = ActType(8, True, False, -128, 127)
_WIDTHS = (64, 128, 256, 512)
_CLASSES = 1000
# Spread of what a convolution adds to the residual, in its units: thirteen of them in a row, as in the longest stage of
# ResNet34, stay within 8 bits but for rare saturations.
_SPREAD = 14.0
_GAIN_BITS = 6
_FALLING = 0.1  # share of channels with a negative gain


@lru_cache(maxsize=4)
def random_residual_net(name: str, seed: int = 0) -> IntegerNet:
    """The integer net of `name` (a key of NETWORKS), drawn from `seed`: 8-bit images [224, 224, 3], 1000 classes."""
    return _draw(NETWORKS[name], (224, 224), _WIDTHS, _CLASSES, seed)


def small_residual_net(seed: int = 0, classes: int = 10) -> IntegerNet:
    """The same topology in small, for tests: 32x32 pixels, two stages of one block, 24 and 40 channels."""
    return _draw((1, 1), (32, 32), (24, 40), classes, seed)


class _Drawing:
    """A network that is being drawn, with the values of its operators on the calibration image."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.operators: list[Operator] = []
        self.wires: list[tuple[int, ...]] = []
        image = self.random.integers(0, 256, (1, *size, 3), np.int16)
        self.values: dict[int, np.ndarray] = {NET_INPUT: image}
        self._counts: dict[str, int] = {}

    def append(self, operator: Operator, *sources: int) -> int:
        """Add and run an operator; returns its index."""
        index = len(self.operators)
        self.operators.append(operator)
        self.wires.append(sources)
        if isinstance(operator, Add):
            total = self.values[sources[0]].astype(np.int32) + self.values[sources[1]]
            self.values[index] = np.clip(total, operator.output.minimum, operator.output.maximum)
        else:
            value = self.values[sources[0]]
            alone = IntegerNet(PIXEL, value.shape[1:], (operator,), 1.0, 1)
            ((_, self.values[index]),) = reference.layers(alone, value)
        return index

    def name(self, kind: str) -> str:
        """Return conv0, conv1, ..."""
        self._counts[kind] = self._counts.get(kind, -1) + 1
        return f"{kind}{self._counts[kind]}"

    def conv(self, source: int, kind: ActType, channels: int, kernel: int, stride: int) -> int:
        """Binary where `kind` is bipolar, else with 8-bit weights; zero padding to the same size over the stride."""
        binary, pad = kind.bipolar, kernel // 2
        shape = (channels, kernel, kernel, self.values[source].shape[-1])
        weights = _signs(self.random, shape) if binary else _bytes(self.random, shape)
        operator = Conv(
            self.name("conv"), weights, (stride, stride), (pad,) * 4, "zero" if pad else "none", kind,
            1 if binary else 8, binary, "sum",
        )  # fmt: skip
        return self.append(operator, source)

    def normalize(self, source: int, output: ActType, spread: float) -> int:
        """Thresholds that bring every channel to about the given spread around a small offset; a tenth of them falling.

        Gains have few bits, so that 32-bit arithmetic is exact even behind wide sums: see fixed_point_levels.
        """
        mean, deviation = self._statistics(source)
        gain = spread * self.random.uniform(0.6, 1.4, len(mean)) / deviation
        offset = self.random.normal(0.0, 0.15 * spread, len(mean)) - gain * mean
        invert = self.random.random(len(mean)) < _FALLING
        levels = fixed_point_levels(gain, offset, _largest_sum(self.operators[source]), output)
        return self.append(Threshold(self.name("threshold"), levels, invert, output), source)

    def sign(self, source: int) -> int:
        """Bits of the residual: thresholds near each channel's mean, a tenth of them falling."""
        mean, deviation = self._statistics(source)
        levels = np.rint(mean + self.random.normal(0.0, 0.2, len(mean)) * deviation).astype(np.int32)
        invert = self.random.random(len(mean)) < _FALLING
        return self.append(Threshold(self.name("threshold"), levels[:, None], invert, BIT), source)

    def _statistics(self, source: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel; of all channels together where a channel is a single value."""
        value = self.values[source].reshape(-1, self.values[source].shape[-1]).astype(np.float64)
        channels = value.shape[1]
        samples = value if len(value) > 1 else np.repeat(value.reshape(-1, 1), channels, axis=1)
        return samples.mean(axis=0), np.maximum(samples.std(axis=0), 1.0)


def fixed_point_levels(gain: np.ndarray, offset: np.ndarray, largest: int, output: ActType) -> np.ndarray:
    """Levels int32 [C, L] of clamp((bias + slope v) >> shift), the fixed-point form of round(gain v + offset); gain > 0.

    The shift gives the largest gain _GAIN_BITS bits, or fewer where bias + slope v could reach 2^30 for some |v| <= largest.
    """
    fits = np.floor(29.0 - np.log2(gain.max() * largest + np.abs(offset).max() + 1.0))
    shift = int(min(fits, _GAIN_BITS - np.ceil(np.log2(gain.max()))))
    slope = np.maximum(1, np.rint(gain * 2.0**shift)).astype(np.int64)
    bias = np.rint((offset + 0.5) * 2.0**shift).astype(np.int64)
    steps = (output.minimum + 1 + np.arange(output.levels, dtype=np.int64)) << shift
    levels: np.ndarray = -((bias[:, None] - steps) // slope[:, None])
    return levels.astype(np.int32)


def _largest_sum(operator: Operator) -> int:
    """Bound of a layer's sums."""
    if isinstance(operator, Conv):
        largest = np.abs(operator.weights.astype(np.int64)).sum(axis=(1, 2, 3)).max()
        return int(largest) * max(-operator.input.minimum, operator.input.maximum)
    if isinstance(operator, SumPool):
        return operator.kernel[0] * operator.kernel[1] * -RESIDUAL.minimum
    raise TypeError(operator)


def _signs(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    signs: np.ndarray = (random.integers(0, 2, shape, np.int8) * 2 - 1).astype(np.int16)
    return signs


def _bytes(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values: np.ndarray = np.clip(np.rint(random.normal(0.0, 40.0, shape)), -127, 127).astype(np.int16)
    return values


def _draw(
    blocks: tuple[int, ...], size: tuple[int, int], widths: tuple[int, ...], classes: int, seed: int
) -> IntegerNet:
    net = _Drawing(size, seed)
    stem = net.normalize(net.conv(NET_INPUT, PIXEL, widths[0], 7, 2), RESIDUAL, 2 * _SPREAD)
    pool = MaxPool(net.name("pool"), (3, 3), (2, 2), (1, 1, 1, 1), np.zeros(widths[0], bool))
    residual = net.append(pool, stem)
    for stage, (count, width) in enumerate(zip(blocks, widths, strict=True)):
        for block in range(count):
            residual = _block(net, residual, width, 2 if stage and not block else 1)
    height, wide = net.values[residual].shape[1:3]
    total = net.append(SumPool(net.name("sum"), (height, wide), (1, 1)), residual)
    features = net.normalize(total, RESIDUAL, 2 * _SPREAD)
    weights = _bytes(net.random, (classes, widths[-1]))
    net.append(Linear(net.name("fc"), weights, RESIDUAL, 8, False, "sum"), features)
    return IntegerNet(PIXEL, (*size, 3), tuple(net.operators), 2.0**-10, classes, tuple(net.wires))


def _block(net: _Drawing, residual: int, width: int, stride: int) -> int:
    """Two binary convolutions, each with its own shortcut; a 1x1 convolution where the map shrinks."""
    bits = net.sign(residual)
    shortcut = residual
    if stride != 1:
        shortcut = net.normalize(net.conv(residual, RESIDUAL, width, 1, stride), RESIDUAL, 2 * _SPREAD)
    branch = net.normalize(net.conv(bits, BIT, width, 3, stride), RESIDUAL, _SPREAD)
    residual = net.append(Add(net.name("add"), RESIDUAL), shortcut, branch)
    bits = net.sign(residual)
    branch = net.normalize(net.conv(bits, BIT, width, 3, 1), RESIDUAL, _SPREAD)
    return net.append(Add(net.name("add"), RESIDUAL), residual, branch)
