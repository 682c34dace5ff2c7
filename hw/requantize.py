"""Many-level thresholds as a straight line: one multiplication and one addition a value instead of hundreds of comparators.

A quantizer behind batch normalisation is a rounded, clipped line. `fit_line` finds integers that give the same result at
every value that the sum can have, or says that there are none. In the plane of factor and offset every threshold is two
half-planes; for one factor the offsets allowed are an interval, whose length is a concave function of the factor, so that
bisection finds the factor with most room. Doubling factor and offset adds one to the shift and changes nothing, so the
smallest shift is found by bisection too. A mean of integers has ties, which PyTorch and ONNX round to the even neighbour:
lines that do so are tried where there is no plain one, or none with a narrow factor.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flipflow.hw.kernels.rom import signed_width

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MAX_SHIFT = 36
# Levels looked at at once: a few channels' fit in the cache.
_GROUP = 1 << 15
_FAR = np.int64(1) << 62
_BLOCK_BITS = 18  # of a multiplier block's side


@dataclass(frozen=True)
class Line:
    """y = clip(t >> shift, minimum, maximum) with t = factor * x + offset; factor, offset int64 [C]; >> rounds down.

    even: where the low `shift` bits of t are all 0 (a tie), t >> shift loses its lowest bit, so that ties go to even numbers.
    """

    factor: Ints
    offset: Ints
    shift: int
    even: bool = False

    def evaluate(self, x: NDArray[Any], minimum: int, maximum: int) -> Ints:
        """Results of integers x [..., C]."""
        sums = self.factor * np.asarray(x, dtype=np.int64) + self.offset
        value = sums >> self.shift
        if self.even:
            value = np.where(sums & ((1 << self.shift) - 1) == 0, value & ~1, value)
        clipped: Ints = np.clip(value, minimum, maximum)
        return clipped

    def attributes(self, in_dtype: str) -> dict[str, int]:
        """Attributes of the kernel Requantize that follow from the line, for inputs of a qonnx datatype.

        Returns: Shift; Even; FactorBits and OffsetBits, two's complement; AccWidth: bits of t for every x of the datatype;
        Uniform: 1 where all channels have the same line; UnitFactor: 1 where all factors are 1.
        """
        from qonnx.core.datatype import DataType  # noqa: PLC0415

        sums = np.stack(
            [self.factor * int(end) + self.offset for end in (DataType[in_dtype].min(), DataType[in_dtype].max())]
        )
        return {
            "Shift": self.shift,
            "Even": int(self.even),
            "FactorBits": _width(self.factor),
            "OffsetBits": _width(self.offset),
            "AccWidth": max(_width(sums), self.shift + 1 + self.even),
            "Uniform": int(bool((self.factor == self.factor[0]).all() and (self.offset == self.offset[0]).all())),
            "UnitFactor": int(bool((self.factor == 1).all())),
        }


def _width(values: Ints) -> int:
    return max(2, signed_width(int(values.min()), int(values.max())))


def fit_line(
    levels: NDArray[Any], low: NDArray[Any], high: NDArray[Any], invert: NDArray[Any], minimum: int = 0, step: int = 1
) -> Line | None:
    """The line that equals y = minimum + count, or minimum + N - count where `invert`, count = #{i: x >= levels[c, i]}.

    levels: [C, N], N > 0, not falling in i. low, high: [C]; x is low, low + step, ..., up to high. Returns None if no line
    with a shift of at most MAX_SHIFT gives y for every such x (clipped to minimum..minimum + N).
    """
    steep = np.asarray(levels, dtype=np.int64)
    ends = np.asarray(low, dtype=np.int64), np.asarray(high, dtype=np.int64)
    best: Line | None = None
    for even in (False, True):
        # A plain line can take many bits to put ties where they belong: more than a multiplier block has.
        if best is not None and _width(best.factor) <= _BLOCK_BITS:
            break
        rising = _Staircase.of(steep, *ends, np.asarray(invert) != 0, step, minimum if even else None)
        line = _fit(rising, minimum)
        if line is not None and (best is None or line.shift < best.shift):
            _prove(line, steep, rising, minimum)
            best = line
    return best


def _fit(rising: "_Staircase", minimum: int) -> Line | None:
    even = bool(rising.tie.any())
    if not _factors(rising, MAX_SHIFT)[1].all():
        return None
    least, most = int(even), MAX_SHIFT
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if _factors(rising, middle)[1].all() else (middle + 1, most)
    factor, _ = _factors(rising, least)
    begin, end = rising.offsets(factor, least)
    offset = begin + (end - begin) // 2
    origin = rising.up[:, 0]
    if (np.abs(factor.astype(float) * origin) + np.abs(offset.astype(float)) >= float(_FAR) / 2).any():
        return None
    sign = np.where(rising.mirrored, -1, 1)
    return Line(sign * factor, offset - factor * origin + (minimum << least), least, even)


@dataclass(frozen=True)
class _Staircase:
    """Channels that rise with z (z = -x where mirrored): step i + 1 is reached at z = up[c, i], not yet at down[c, i].

    up, down: int64 [C, N], values that z can have; must: up exists (the step is ever reached); must_not: down exists; tie:
    int64 [N], 1 where a tie does not reach the step.
    """

    up: Ints
    down: Ints
    must: Flags
    must_not: Flags
    mirrored: Flags
    tie: Ints

    @classmethod
    def of(cls, levels: Ints, low: Ints, high: Ints, invert: Flags, step: int, even: int | None) -> "_Staircase":
        """Falling channels turned round: N - #{x >= T} = #{x < T} = #{-x >= 1 - T}. even: result of no step, if ties go to
        even ones.
        """
        rise = np.where(invert[:, None], 1 - levels[:, ::-1], levels)
        top = low + (high - low) // step * step
        first, last = np.where(invert, -top, low)[:, None], np.where(invert, -low, top)[:, None]
        up = first + np.maximum(-(-(rise - first) // step), 0) * step
        must, must_not = up <= last, up > first
        results = np.arange(1, levels.shape[1] + 1)
        tie = np.zeros_like(results) if even is None else (even + results) % 2
        return cls(np.minimum(up, last), np.clip(up - step, first, last), must, must_not, invert, tie)

    def offsets(self, factor: Ints, shift: int) -> tuple[Ints, Ints]:
        """Smallest and largest offset at z = up[c, 0] that each channel may have with a factor [C]; the first is the larger
        where there is none.
        """
        steps = (np.arange(1, self.up.shape[1] + 1, dtype=np.int64) << shift) + self.tie
        slope, origin = factor[:, None], self.up[:, :1]
        begin = np.where(self.must, steps - slope * (self.up - origin), -_FAR).max(axis=1)
        end = np.where(self.must_not, steps - slope * (self.down - origin) - 1, _FAR).min(axis=1)
        # Of a channel that never changes only one of the two binds.
        return np.where(begin == -_FAR, end, begin), np.where(end == _FAR, begin, end)

    def steepest(self, shift: int) -> Ints:
        """A bound on factors [C]: what the rise from the first step to where another is not reached allows."""
        run = self.down - self.up[:, :1]
        rise = np.arange(1, self.up.shape[1] + 1, dtype=np.int64) << shift
        bound: Ints = np.where(self.must_not & (run > 0), rise // np.maximum(run, 1), self.up.shape[1] << shift).min(
            axis=1
        )
        return bound

    def part(self, rows: slice) -> "_Staircase":
        """Some of the channels."""
        part = (self.up[rows], self.down[rows], self.must[rows], self.must_not[rows], self.mirrored[rows])
        return _Staircase(*part, self.tie)


def _factors(rising: _Staircase, shift: int) -> tuple[Ints, Flags]:
    """The factor that leaves each channel's offset most room, and whether it leaves any."""
    channels, levels = rising.up.shape
    rows = max(1, _GROUP // levels)
    parts = [_factors_of(rising.part(slice(first, first + rows)), shift) for first in range(0, channels, rows)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _factors_of(rising: _Staircase, shift: int) -> tuple[Ints, Flags]:
    def room(factor: Ints) -> Ints:
        begin, end = rising.offsets(factor, shift)
        return end - begin

    most = rising.steepest(shift)
    least = np.zeros_like(most)
    while (least < most).any():
        middle = (least + most) // 2
        grows = (room(middle + 1) > room(middle)) & (least < most)
        least, most = np.where(grows, middle + 1, least), np.where(grows, most, middle)
    return least, room(least) >= 0


def _prove(line: Line, levels: Ints, rising: _Staircase, minimum: int) -> None:
    """Compare line and thresholds where the thresholds step, and so everywhere, as neither of them turns."""
    count = levels.shape[1]
    ends = np.concatenate([rising.up, rising.down], axis=1)
    x = np.where(rising.mirrored[:, None], -ends, ends)
    found = line.evaluate(x.T, minimum, minimum + count).T
    for channel in range(len(levels)):
        passed = np.searchsorted(levels[channel], x[channel], side="right")
        wanted = minimum + (count - passed if rising.mirrored[channel] else passed)
        if not np.array_equal(found[channel], wanted):
            raise AssertionError(f"channel {channel}: the fitted line is not the staircase")
