"""Fixed-point lines against the thresholds they replace, at every value that can occur."""

import numpy as np
import pytest

from flipflow.cpu.program import Line
from flipflow.cpu.requant import Reach, fit

INT32 = 2**31 - 1


def reach(low: int, high: int, step: int, channels: int) -> Reach:
    bounds = (np.full(channels, bound, np.int64) for bound in (low, high, 2 * max(abs(low), abs(high))))
    lowest, highest, largest = bounds
    return Reach(lowest, highest, step, largest)


def stairs(levels: np.ndarray, invert: bool, minimum: int, value: int) -> int:
    """The activation by its definition."""
    count = int(np.count_nonzero(value >= levels))
    return minimum + (len(levels) - count if invert else count)


def assert_same(line: Line, levels: np.ndarray, invert: np.ndarray, minimum: int, within: Reach) -> None:
    assert (line.low, line.high) == (minimum, minimum + levels.shape[1])
    for m, row in enumerate(levels):
        bias, slope, shift = int(line.bias[m]), int(line.slope[m]), int(line.shift[m])
        assert abs(bias) + abs(slope) * int(within.bound[m]) <= INT32 and 0 <= shift <= 31
        for value in range(int(within.low[m]), int(within.high[m]) + 1, within.step):
            found = min(max((bias + slope * value) >> shift, line.low), line.high)
            assert found == stairs(row, bool(invert[m]), minimum, value), f"channel {m}, value {value}"


@pytest.mark.parametrize("fan_in", [9, 64, 577])
@pytest.mark.parametrize("step", [1, 2])
def test_staircases_of_real_gains_are_lines(step: int, fan_in: int) -> None:
    draw = np.random.default_rng(fan_in)
    for count in (1, 2, 3, 15, 255):
        gain = 10.0 ** draw.uniform(-2, 1, (6, 1))
        levels = np.ceil((np.arange(count) - count / 2 - draw.normal(0, 5, (6, 1))) / gain).astype(np.int64)
        invert, within = draw.random(6) < 0.5, reach(-fan_in, fan_in, step, 6)
        line = fit(levels, invert, -8, within)
        assert line is not None
        assert_same(line, levels, invert, -8, within)


def test_whatever_is_found_is_exact() -> None:
    """Thresholds at random, most of them on no line; with ties, and beyond the reach."""
    draw = np.random.default_rng(5)
    found = 0
    for _ in range(400):
        fan_in, count, step = int(draw.integers(1, 30)), int(draw.choice([1, 2, 3, 7])), int(draw.integers(1, 3))
        levels = np.sort(draw.integers(-fan_in - 3, fan_in + 4, (2, count)), axis=1)
        invert, within = draw.random(2) < 0.5, reach(-fan_in, fan_in, step, 2)
        line = fit(levels, invert, -1, within)
        if line is not None:
            found += 1
            assert_same(line, levels, invert, -1, within)
    assert 200 < found < 400


def test_all_levels_at_one_place() -> None:
    """A jump over the whole range: as steep as it must be."""
    levels, within = np.full((1, 255), 3), reach(-100, 100, 1, 1)
    line = fit(levels, np.zeros(1, bool), 0, within)
    assert line is not None
    assert_same(line, levels, np.zeros(1, bool), 0, within)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("far", [-(2**31), 2**31 - 1])
def test_constant_channels(far: int, invert: bool) -> None:
    levels, flags, within = np.full((2, 3), far, np.int64), np.full(2, invert), reach(-50, 50, 2, 2)
    line = fit(levels, flags, -2, within)
    assert line is not None and not np.any(line.slope)
    assert_same(line, levels, flags, -2, within)


def test_no_line_bends() -> None:
    """Steps at 0, 1, 10 and 11: no line passes between them."""
    assert fit(np.array([[0, 1, 10, 11]]), np.zeros(1, bool), 0, reach(-50, 50, 1, 1)) is None


def test_no_line_where_32_bits_do_not_do() -> None:
    """A gain of 255 / (2 pi 10^5) over sums of 2^21 needs a slope of more bits than are left."""
    levels = np.ceil(np.arange(255) * 2 * np.pi * 1e5 / 255).astype(np.int64)[None]
    assert fit(levels, np.zeros(1, bool), 0, reach(-(2**21), 2**21, 1, 1)) is None


def test_a_power_of_two_is_a_shift() -> None:
    """round(v / 16), halves up: thresholds 16 i - 8."""
    levels = (16 * np.arange(-127, 128) - 8)[None].repeat(3, axis=0)
    within = reach(-(2**21), 2**21, 1, 3)
    line = fit(levels, np.zeros(3, bool), -128, within)
    assert line is not None and np.all(line.shift <= 5)
    for value in (-(2**21), -2041, -2040, -9, -8, 7, 8, 2023, 2024, 2**21):
        got = min(max((int(line.bias[0]) + int(line.slope[0]) * value) >> int(line.shift[0]), -128), 127)
        assert got == stairs(levels[0], False, -128, value)
