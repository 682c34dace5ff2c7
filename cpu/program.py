"""A plan before it becomes bytes: tensors in an arena, and operators that join them. Mirrors src/plan_format.h."""

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np


class Number(IntEnum):
    """How a tensor stores its values."""

    BITS = 0
    U8 = 1
    I8 = 2
    I16 = 3
    I32 = 4


class Form(IntEnum):
    """What a convolution gives: raw sums, bits, or fixed-point integers (and bits beside them)."""

    SUMS = 0
    BITS = 1
    FIXED = 2


class Layout(IntEnum):
    """How weights lie in memory."""

    ROWS = 0
    LANES = 1
    QUADS = 2
    DOT4X16 = 3
    DOT4X4 = 4


class OpKind(IntEnum):
    """Operators of a plan."""

    BINARY_CONV = 0
    INTEGER_CONV = 1
    THRESHOLD_BITS = 2
    THRESHOLD_INTS = 3
    ADD = 4
    BIT_POOL = 5
    INT_POOL = 6
    SUM_POOL = 7
    FIXED_INTS = 8


NONE = -1
_RANGES = {Number.U8: (0, 2**8 - 1), Number.I8: (-(2**7), 2**7 - 1), Number.I16: (-(2**15), 2**15 - 1)}
_ITEM_BYTES = {Number.BITS: 8, Number.U8: 1, Number.I8: 1, Number.I16: 2, Number.I32: 4}


def number_for(minimum: int, maximum: int) -> Number:
    """The narrowest storage of integers minimum..maximum."""
    for number in (Number.U8, Number.I8, Number.I16):
        low, high = _RANGES[number]
        if low <= minimum and maximum <= high:
            return number
    return Number.I32


@dataclass(frozen=True)
class Tensor:
    """A map in the arena: [height][width][channels] of `number`; minimum..maximum are the values it can hold."""

    number: Number
    height: int
    width: int
    channels: int
    minimum: int
    maximum: int

    @property
    def bytes(self) -> int:
        """Size in the arena; bits take whole 64-bit words a pixel."""
        depth = -(-self.channels // 64) if self.number == Number.BITS else self.channels
        return self.height * self.width * depth * _ITEM_BYTES[self.number]

    def resized(self, height: int, width: int, channels: int) -> "Tensor":
        """The same kind of values in another map."""
        return Tensor(self.number, height, width, channels, self.minimum, self.maximum)


@dataclass(frozen=True)
class Window:
    """Kernel, stride and pads (top, left, bottom, right) of a convolution or pool."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def positions(self, height: int, width: int) -> tuple[int, int]:
        """Size of the output map."""
        top, left, bottom, right = self.pads
        return (
            (height + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (width + left + right - self.kernel[1]) // self.stride[1] + 1,
        )


NO_POOL = Window((0, 0), (0, 0))


@dataclass(frozen=True, eq=False)
class Line:
    """Fixed-point form of a k-bit activation: q = clamp((bias[m] + slope[m] * v) >> shift[m], low, high); int64 [M] each."""

    bias: np.ndarray
    slope: np.ndarray
    shift: np.ndarray
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class Op:
    """An operator. inputs, outputs: tensor indices or NONE, two each; outputs[1] is the tensor of bits beside a fixed result.

    weights: int16 [M, KH, KW, C]. threshold: int64 [M], for bits. invert: bool [M]. levels: int64 [M, L]. r_range: of a sum with
    a residual, or of an addition.
    """

    kind: OpKind
    name: str
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    window: Window = Window()
    pad_kind: int = 0
    form: Form = Form.SUMS
    pool: Window = NO_POOL
    weights: np.ndarray | None = None
    threshold: np.ndarray | None = None
    invert: np.ndarray | None = None
    line: Line | None = None
    levels: np.ndarray | None = None
    r_range: tuple[int, int] = (0, 0)


@dataclass
class Program:
    """Tensors and operators in the order of execution.

    input, output: tensors of the network. unfused: names of activations, additions and pools that became operators of their own,
    with the reason.
    """

    tensors: list[Tensor] = field(default_factory=list)
    ops: list[Op] = field(default_factory=list)
    input: int = 0
    output: int = 0
    unfused: list[str] = field(default_factory=list)
