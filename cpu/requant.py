"""k-bit activations as fixed-point lines: q = clamp((bias + slope * v) >> shift), equal to the thresholds at every reachable v.

A channel's activation is a staircase of v. It rises from i - 1 to i (counted from 0) between two neighbouring reachable values
below[i] < above[i]. A line y(v) = a + b v with b >= 0, floored and clamped, is the same staircase exactly where

    y(above[i]) >= i   and   y(below[i]) < i   for every step i,

since it does not turn back between the steps. For a given b the room for a is g(b) = min_i(i - b below[i]) -
max_i(i - b above[i]), a concave function: bisection on its slope finds the roomiest b, and from there both ends of where there is
room. Then the smallest shift is sought at which some integer slope between them leaves room for an integer bias. A line at some
shift is one at every larger shift too (double slope and bias), so the channels of a layer meet at the largest of their shifts.
Falling activations are rising ones of -v. All integers here are below 2^53, so float64 holds them, and infinity stands for a step
that constrains nothing.
"""

from dataclasses import dataclass

import numpy as np

from flipflow.cpu.program import Line

_COARSE = 6  # halvings with all steps, before those that cannot bind are dropped
_FINE = 18
_EDGE = 20
_CANDIDATES = 8  # slopes tried at each shift
_LARGEST_SHIFT = 28
_TIE = 1e-9
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


@dataclass(frozen=True, eq=False)
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
    constant = np.where(np.isfinite(stairs.left), 0, 1).sum(axis=1)  # steps taken before the lowest value
    steep = np.any(np.isfinite(stairs.left) & np.isfinite(stairs.reached), axis=1)
    slope, bias, shift = (np.zeros(len(levels), np.int64) for _ in range(3))
    if np.any(steep):
        lines = _search(stairs.part(steep))
        if not np.all(lines.found):
            return None
        slope[steep], bias[steep], shift[steep] = lines.slope, lines.bias, lines.shift
    bias[~steep] = constant[~steep]
    slope, bias, shift = _share_shift(slope, bias + (minimum << shift), shift, reach.bound)
    if np.any(np.abs(slope) * reach.bound + np.abs(bias) > _INT32):
        return None
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


def _share_shift(
    slope: np.ndarray, bias: np.ndarray, shift: np.ndarray, bound: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same lines at one common shift, unless that overflows or takes more room in the file."""
    common = int(shift.max())
    factor = 1 << (common - shift)
    shared = slope * factor, bias * factor
    overflows = np.any(np.abs(shared[0]) * bound + np.abs(shared[1]) > _INT32)
    if overflows or _width(shared[0]) + _width(shared[1]) > _width(slope) + _width(bias) + 1:
        return slope, bias, shift
    return *shared, np.full_like(shift, common)


def _width(numbers: np.ndarray) -> int:
    """Bytes of each number in the file."""
    largest = int(np.abs(numbers).max())
    return 1 if largest < 2**7 else 2 if largest < 2**15 else 4


def _search(stairs: _Staircase) -> _Lines:
    """The line with the smallest shift that is found, for each channel."""
    low, high = _bounds(stairs)
    low, high = _narrow(stairs, low, high, _COARSE)
    width = high - low
    near_low, near_high = np.maximum(low - width, 0.0), high + width
    few = _binding(stairs, near_low, near_high)
    low, high = _narrow(few, low, high, _FINE)
    best = (low + high) / 2
    first = _edge(few, best, near_low)
    last = _edge(few, best, near_high)
    lines = _smallest_shift(few, first, last)
    least, most = _room(stairs, lines.slope.astype(np.float64), np.exp2(lines.shift))
    lines.found[(lines.bias < least) | (lines.bias > most)] = False
    return lines


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
    return low, np.maximum(high, low)


def _narrow(stairs: _Staircase, low: np.ndarray, high: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Halve low..high around the b with most room, or the flattest with room for a whole integer."""
    rows = np.arange(len(low))
    for _ in range(steps):
        middle = (low + high) / 2
        slope = middle[:, None]
        ceilings, floors = stairs.left - slope * stairs.below, stairs.reached - slope * stairs.above
        top, bottom = np.argmin(ceilings, axis=1), np.argmax(floors, axis=1)
        room = ceilings[rows, top] - floors[rows, bottom]
        grows = (stairs.above[rows, bottom] > stairs.below[rows, top]) & (room < 1)
        low, high = np.where(grows, middle, low), np.where(grows, high, middle)
    return low, high


def _binding(stairs: _Staircase, low: np.ndarray, high: np.ndarray) -> _Staircase:
    """Of the steps, those that can bind a line with b in low..high; seldom more than a few.

    What a step demands of a is linear in b. Where two steps bind at the ends, only one that demands more where they meet can bind
    in between.
    """
    above = _excess(stairs.reached, stairs.above, low, high)
    below = _excess(-stairs.left, -stairs.below, low, high)
    kept = max(int((scores > _TIE).sum(axis=1).max()) for scores in (above, below))
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


def _edge(stairs: _Staircase, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The last b between the two that still has room."""
    for _ in range(_EDGE):
        middle = (inside + outside) / 2
        slope = middle[:, None]
        room = (stairs.left - slope * stairs.below).min(axis=1) - (stairs.reached - slope * stairs.above).max(axis=1)
        inside, outside = np.where(room > 0, middle, inside), np.where(room > 0, outside, middle)
    return inside


def _smallest_shift(stairs: _Staircase, first: np.ndarray, last: np.ndarray) -> _Lines:
    """Slopes first..last at growing shifts, until every channel has an integer line or the arithmetic overflows."""
    slope, bias, shift = (np.zeros(len(first), np.int64) for _ in range(3))
    found = np.zeros(len(first), bool)
    for power in range(_LARGEST_SHIFT + 1):
        unit = float(1 << power)
        bottom, top = np.ceil(first * unit), np.floor(last * unit)
        for candidate in range(_CANDIDATES):
            tried = bottom + np.floor((top - bottom) * candidate / (_CANDIDATES - 1))
            open_ = np.flatnonzero(~found & (bottom <= top) & (candidate <= top - bottom))
            if not len(open_):
                continue
            part = stairs.part(open_)
            least, most = _room(part, tried[open_], np.full(len(open_), unit))
            middle = np.floor((least + most) / 2)
            good = (least <= most) & (tried[open_] * part.bound + np.abs(middle) <= _INT32)
            chosen = open_[good]
            slope[chosen], bias[chosen], shift[chosen] = tried[chosen], middle[good], power
            found[chosen] = True
        if np.all(found):
            break
    return _Lines(slope, bias, shift, found)


def _room(stairs: _Staircase, slope: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest integer bias, at b = slope / unit."""
    least = (stairs.reached * unit[:, None] - slope[:, None] * stairs.above).max(axis=1)
    most = (stairs.left * unit[:, None] - slope[:, None] * stairs.below).min(axis=1) - 1
    return least, most
