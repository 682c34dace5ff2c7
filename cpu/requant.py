"""k-bit activations as fixed-point lines: q = clamp((bias + slope * v) >> shift), equal to the thresholds at every reachable v.

A channel's activation is a staircase of v. It rises from i - 1 to i (counted from 0) between two neighbouring reachable values
below[i] < above[i]. A line y(v) = a + b v with b >= 0, floored and clamped, is the same staircase exactly where

    y(above[i]) >= i   and   y(below[i]) < i   for every step i,

since it does not turn back between the steps. For a given b the room for a is g(b) = min_i(i - b below[i]) -
max_i(i - b above[i]), a concave function. At shift s, b and a are integers over 2^s, and there is such an a where g(b) >= 2^-s:
both sides of g are then multiples of 2^-s. So the best b at any shift is one of the two beside the roomiest real b, and where
neither does, no line of this shift exists. The roomiest b is found bit by bit, a bit more at each shift, from the sign of g's
slope. Nothing is rounded, so a line is found wherever there is one, at the smallest shift that has one.

32-bit arithmetic must hold |slope| * bound + |bias|. As |v| <= bound, the flattest line of a shift needs least.

A line at some shift is one at every larger shift too (double slope and bias), so the channels of a layer may meet at the largest
of their shifts: see _compact. Falling activations are rising ones of -v. All integers here are below 2^53, so float64 holds them,
and infinity stands for a step that constrains nothing.
"""

from dataclasses import dataclass

import numpy as np

from flipflow.cpu.program import Line

_COARSE = 8  # halvings with all steps, before those that cannot bind are dropped
_LARGEST_SHIFT = 31
_TIE = 1e-6  # far above float64's errors: a step that might bind is kept
_INT32 = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Reach:
    """Values an activation can meet: low..high in steps of `step`, int64 [M] both; bound: of |v| in kernel arithmetic [M]."""

    low: np.ndarray
    high: np.ndarray
    step: int
    bound: np.ndarray


@dataclass(frozen=True, eq=False)
class _Staircase:
    """Rising staircases of some channels, float64 [M, L]: the values around step i = 1..L, and i itself.

    reached: i where `above` is a value that occurs, else -inf; left: i where `below` is one, else +inf. bound: of |v| [M].
    """

    above: np.ndarray
    below: np.ndarray
    reached: np.ndarray
    left: np.ndarray
    bound: np.ndarray

    def part(self, channels: np.ndarray) -> "_Staircase":
        """The staircases of these channels only."""
        return _Staircase(*(array[channels] for array in vars(self).values()))

    def room(self, slope: np.ndarray, shift: int | np.ndarray = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Smallest and largest bias [M] of lines with these slopes [M] at a shift, or one for each; and whether g rises there."""
        unit, rows = np.exp2(np.broadcast_to(shift, slope.shape))[:, None], np.arange(len(slope))
        ceilings, floors = (
            self.left * unit - slope[:, None] * self.below,
            self.reached * unit - slope[:, None] * self.above,
        )
        top, bottom = np.argmin(ceilings, axis=1), np.argmax(floors, axis=1)
        rises = self.above[rows, bottom] > self.below[rows, top]
        return floors[rows, bottom], ceilings[rows, top] - 1, rises


@dataclass(eq=False)
class _Lines:
    """Lines of some channels: int64 [M] each; found: bool [M], where there is one."""

    slope: np.ndarray
    bias: np.ndarray
    shift: np.ndarray
    found: np.ndarray


def fit(levels: np.ndarray, invert: np.ndarray, minimum: int, reach: Reach) -> Line | None:
    """The line of thresholds `levels` [M, L] (rising in i) with `invert` [M], whose output starts at `minimum`.

    Returns None where some channel has no line in 32-bit arithmetic.
    """
    count = levels.shape[1]
    stairs = _staircase(levels, invert, reach)
    steep = np.any(np.isfinite(stairs.left) & np.isfinite(stairs.reached), axis=1)
    slope, shift = (np.zeros(len(levels), np.int64) for _ in range(2))
    if np.any(steep):
        lines = _search(stairs.part(steep), minimum)
        if not np.all(lines.found):
            return None
        slope[steep], shift[steep] = lines.slope, lines.shift
    slope, bias, shift = _compact(stairs, slope, shift, minimum)
    return Line(bias, np.where(invert, -slope, slope), shift, minimum, minimum + count)


def _staircase(levels: np.ndarray, invert: np.ndarray, reach: Reach) -> _Staircase:
    """In v, or in -v for channels that fall."""
    low, high, step = reach.low[:, None], reach.high[:, None], reach.step
    above = low + -(-(np.clip(levels.astype(np.int64), low, high + step) - low) // step) * step
    below = above - step
    falls = invert[:, None]
    above, below = np.where(falls, -below[:, ::-1], above), np.where(falls, -above[:, ::-1], below)
    low, high = np.where(falls, -high, low), np.where(falls, -low, high)
    index = np.arange(1, levels.shape[1] + 1, dtype=np.float64)
    reached, left = np.where(above <= high, index, -np.inf), np.where(below >= low, index, np.inf)
    return _Staircase(above.astype(np.float64), below.astype(np.float64), reached, left, reach.bound.astype(np.float64))


def _compact(
    stairs: _Staircase, slope: np.ndarray, shift: np.ndarray, minimum: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope, bias and shift of the same lines in few bits: at one common shift or each at its own."""
    common = np.full_like(shift, shift.max())
    best = None
    for candidate in (common, shift):
        slopes = slope << (candidate - shift)
        biases = _biases(stairs, slopes, candidate, minimum)
        if biases is None:
            continue
        bits = width(slopes) + width(biases) + (width(shift) if candidate is shift else 0)
        if best is None or bits < best[0]:
            best = bits, (slopes, biases, candidate)
    assert best is not None
    return best[1]


def _biases(stairs: _Staircase, slope: np.ndarray, shift: np.ndarray, minimum: int) -> np.ndarray | None:
    """Of each line's biases one near 0, all multiples of as large a power of two as can be. None where 32 bits do not do."""
    least, most, _ = stairs.room(slope.astype(np.float64), shift)
    constant = slope == 0
    index = np.where(np.isfinite(stairs.left), 0, 1).sum(axis=1)  # steps taken before the lowest value
    offset = np.where(constant, minimum + index, minimum) * np.exp2(shift)
    least, most = np.where(constant, 0, least) + offset, np.where(constant, np.exp2(shift) - 1, most) + offset
    room = _INT32 - slope * stairs.bound
    least, most = np.maximum(least, -room), np.minimum(most, room)
    if np.any(least > most):
        return None
    unit = 1.0
    while np.all(np.ceil(least / (2 * unit)) <= np.floor(most / (2 * unit))) and unit < _INT32:
        unit *= 2
    chosen: np.ndarray = (np.clip(0, np.ceil(least / unit), np.floor(most / unit)) * unit).astype(np.int64)
    return chosen


def width(numbers: np.ndarray) -> int:
    """Bits of each number in the file: those that all have as 0 at the end are left out, and the sign where there is none."""
    low, high = int(numbers.min()), int(numbers.max())
    ending = trailing_zeros(numbers)
    return max((high >> ending).bit_length(), (~(low >> ending)).bit_length() if low < 0 else 0) + (low < 0)


def trailing_zeros(numbers: np.ndarray) -> int:
    """How many bits at the end are 0 in all of them; 0 where all numbers are 0."""
    used = int(np.bitwise_or.reduce(numbers.astype(np.int64)))
    return (used & -used).bit_length() - 1 if used else 0


def _search(stairs: _Staircase, minimum: int) -> _Lines:
    """The line with the smallest shift, for each channel that has one."""
    flattest, steepest = _bounds(stairs)
    few, floor = _start(stairs, flattest, steepest)
    none = np.zeros(len(floor), np.int64)
    lines = _Lines(none, none.copy(), none.copy(), np.zeros(len(floor), bool))
    for shift in range(_LARGEST_SHIFT + 1):
        if shift > 0:
            middle = 2 * floor + 1
            floor = np.where(few.room(middle, shift)[2], middle, middle - 1)
        for slope in (floor, floor + 1):
            least, most, _ = few.room(slope, shift)
            open_ = np.flatnonzero(~lines.found & (least <= most))
            if len(open_):
                lowest = np.floor(flattest[open_] * float(1 << shift))
                _take(lines, stairs.part(open_), open_, slope[open_], lowest, shift, minimum)
        if np.all(lines.found):
            break
    return lines


def _take(
    lines: _Lines,
    stairs: _Staircase,
    channels: np.ndarray,
    slope: np.ndarray,
    lowest: np.ndarray,
    shift: int,
    minimum: int,
) -> None:
    """Note the flattest line of this shift for those of `channels` where `slope` is one of a line, and 32 bits do.

    lowest: slopes than which none is flatter.
    """
    least, most, _ = stairs.room(slope, shift)
    fits = least <= most
    if not np.any(fits):
        return
    channels, stairs, slope, lowest = channels[fits], stairs.part(fits), slope[fits], np.maximum(lowest[fits] - 1, -1)
    while np.any(slope - lowest > 1):  # `slope` is one of a line, `lowest` is none
        middle = np.floor((slope + lowest) / 2)
        least, most, _ = stairs.room(middle, shift)
        slope, lowest = np.where(least <= most, middle, slope), np.where(least <= most, lowest, middle)
    least, most, _ = stairs.room(slope, shift)
    offset = minimum * 2**shift
    bias = np.clip(0, least + offset, most + offset)
    done = slope * stairs.bound + np.abs(bias) <= _INT32
    chosen = channels[done]
    lines.slope[chosen], lines.bias[chosen], lines.shift[chosen] = slope[done], bias[done], shift
    lines.found[chosen] = True


def _bounds(stairs: _Staircase) -> tuple[np.ndarray, np.ndarray]:
    """Between which b every line of a channel lies: no flatter, and no steeper, than between the outermost steps."""
    rows, count = np.arange(len(stairs.above)), stairs.above.shape[1]
    last_reached = np.isfinite(stairs.reached).sum(axis=1)
    first_left = count + 1 - np.isfinite(stairs.left).sum(axis=1)
    first_reached, last_left = np.maximum(first_left - 1, 1), np.minimum(last_reached + 1, count)
    run = stairs.above[rows, last_reached - 1] - stairs.below[rows, first_left - 1]
    low = np.where(run > 0, np.maximum(last_reached - first_left, 0) / np.maximum(run, 1), 0.0)
    run = stairs.below[rows, last_left - 1] - stairs.above[rows, first_reached - 1]
    high = np.where(run > 0, np.maximum(last_left - first_reached, 0) / np.maximum(run, 1), count + 1.0)
    return low * (1 - _TIE), np.maximum(high, low) * (1 + _TIE)


def _start(stairs: _Staircase, low: np.ndarray, high: np.ndarray) -> tuple[_Staircase, np.ndarray]:
    """The steps that bind near the roomiest b of low..high, and the largest integer up to that b, or one less."""
    first, last = np.floor(low), np.maximum(np.ceil(high), np.floor(low) + 1)
    while np.any(last - first > 1):
        middle = np.floor((first + last) / 2)
        rises = stairs.room(middle)[2]
        first, last = np.where(rises, middle, first), np.where(rises, last, middle)
    low, high = np.maximum(low, first), np.minimum(high, last)
    for _ in range(_COARSE):
        middle = (low + high) / 2
        rises = stairs.room(middle)[2]
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return _binding(stairs, low, high), first


def _binding(stairs: _Staircase, low: np.ndarray, high: np.ndarray) -> _Staircase:
    """Of the steps, those that can bind a line with b in low..high; seldom more than a few.

    What a step demands of a is linear in b. Where two steps bind at the ends, only one that demands more where they meet can bind
    in between.
    """
    above = _excess(stairs.reached, stairs.above, low, high)
    below = _excess(-stairs.left, -stairs.below, low, high)
    kept = max(int((scores > -_TIE).sum(axis=1).max()) for scores in (above, below))
    if 2 * kept >= above.shape[1]:
        return stairs
    above, below = (np.argpartition(-scores, kept - 1, axis=1)[:, :kept] for scores in (above, below))
    return _Staircase(
        np.take_along_axis(stairs.above, above, axis=1),
        np.take_along_axis(stairs.below, below, axis=1),
        np.take_along_axis(stairs.reached, above, axis=1),
        np.take_along_axis(stairs.left, below, axis=1),
        stairs.bound,
    )


def _excess(index: np.ndarray, values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How much more than those that bind at the ends each step demands where these meet, infinite for themselves; [M, L]."""
    rows = np.arange(len(index))
    first, last = (np.argmax(index - end[:, None] * values, axis=1) for end in (low, high))
    run = values[rows, first] - values[rows, last]
    rise = index[rows, first] - index[rows, last]
    meeting = np.where(run != 0, rise / np.where(run == 0, 1.0, run), low)[:, None]
    demand = index - meeting * values
    total: np.ndarray = demand - demand[rows, first][:, None]
    total[rows, first] = total[rows, last] = np.inf
    return total
