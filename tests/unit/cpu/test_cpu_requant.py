"""Fixed-point lines against the thresholds they replace, at every value that can occur."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


# --- no line is missed ---


def line_levels(slope: int, bias: int, shift: int, minimum: int, count: int) -> np.ndarray:
    """Thresholds of clamp((bias + slope v) >> shift, minimum, minimum + count), by their definition: the least v of each step."""
    steps = [(minimum + 1 + i) << shift for i in range(count)]
    return np.array([-((bias - step) // slope) for step in steps], dtype=np.int64)


def assert_found(slope: int, bias: int, shift: int, count: int, within: Reach, invert: bool) -> None:
    """Thresholds of a line have a line, at no larger shift, that agrees at the values around every step."""
    minimum = -((count + 1) // 2)
    levels = line_levels(slope, bias, shift, minimum, count)
    levels = np.clip(levels, within.low[0], within.high[0] + within.step)[None]
    line = fit(levels, np.array([invert]), minimum, within)
    assert line is not None and line.shift[0] <= shift
    assert abs(int(line.bias[0])) + abs(int(line.slope[0])) * int(within.bound[0]) <= INT32
    low, high, step = int(within.low[0]), int(within.high[0]), within.step
    near = {low, high}
    for level in levels[0]:
        at = low - -(int(level) - low) // step * step
        near |= {value for value in (at - step, at, at + step) if low <= value <= high}
    for value in near:
        got = min(max((int(line.bias[0]) + int(line.slope[0]) * value) >> int(line.shift[0]), line.low), line.high)
        assert got == stairs(levels[0], invert, minimum, value)


@st.composite
def lines(draw: st.DrawFn) -> tuple[int, int, int, int, Reach, bool]:
    """Lines that 32 bits hold: sums up to 2^22, slopes up to 2^16, every shift."""
    largest = draw(st.integers(1, 2**22))
    slope = draw(st.integers(1, min(2**16, INT32 // largest)))
    rest = INT32 - slope * largest
    shift, count = draw(st.integers(0, 31)), draw(st.sampled_from([1, 2, 3, 15, 255]))
    bias = draw(st.integers(-rest, rest))
    if draw(st.booleans()):  # through the middle of the sums
        bias = max(-rest, min(rest, -slope * draw(st.integers(-largest, largest))))
    # The same thresholds with falling values lie on the line mirrored at the middle of the range, a bit below it.
    mirrored = ((2 * -((count + 1) // 2) + count + 1) << shift) - 1 - bias
    invert = abs(mirrored) <= rest and draw(st.booleans())
    within = Reach(np.array([-largest]), np.array([largest]), draw(st.sampled_from([1, 2])), np.array([largest]))
    return slope, bias, shift, count, within, invert


@settings(max_examples=400, deadline=None)
@given(lines())
def test_every_line_is_found(case: tuple[int, int, int, int, Reach, bool]) -> None:
    slope, bias, shift, count, within, invert = case
    assert_found(slope, bias, shift, count, within, invert)


def test_lines_of_trained_shortcuts_are_found() -> None:
    """16-bit gains over sums of +-300000, as DyadicNorm2d leaves them behind 8-bit 1x1 convolutions."""
    draw = np.random.default_rng(7)
    within = Reach(np.array([-291127]), np.array([291038]), 1, np.array([291127]))
    assert_found(545, -606633 + 32768, 16, 255, within, False)
    for _ in range(200):
        assert_found(
            int(draw.integers(20, 1000)), int(draw.integers(-(2**21), 2**21)), 16, 255, within, bool(draw.integers(2))
        )


def smallest_shift(levels: np.ndarray, minimum: int, within: Reach, most: int) -> int | None:
    """The smallest shift with a line, by trying every slope and, of the biases that do, the nearest to 0."""
    values = list(range(int(within.low[0]), int(within.high[0]) + 1, within.step))
    wanted = [stairs(levels, False, minimum, value) for value in values]
    for shift in range(most + 1):
        for slope in range((len(levels) + 1 << shift) + 2):
            pairs = list(zip(values, wanted, strict=True))
            least = max([(q << shift) - slope * v for v, q in pairs if q > minimum], default=-INT32)
            largest = min(
                [(q + 1 << shift) - 1 - slope * v for v, q in pairs if q < minimum + len(levels)], default=INT32
            )
            if least <= largest and abs(min(max(0, least), largest)) + slope * int(within.bound[0]) <= INT32:
                return shift
    return None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(-12, 12), min_size=1, max_size=5),
    st.integers(1, 10),
    st.integers(1, 2),
    st.sampled_from([32, 2**27, 2**29, 2**30]),
    st.integers(-3, 1),
)
def test_lines_are_found_exactly_where_there_are_some(
    steps: list[int], half: int, step: int, bound: int, minimum: int
) -> None:
    """Any staircase, most of them on no line, against every slope and bias of up to 5 bits behind the point."""
    levels, largest = np.sort(np.array(steps)), 5
    within = Reach(np.array([-half]), np.array([half]), step, np.array([bound]))
    line = fit(levels[None], np.zeros(1, bool), minimum, within)
    wanted = smallest_shift(levels, minimum, within, largest)
    if wanted is None:
        assert line is None or line.shift[0] > largest
    else:
        assert line is not None and line.shift[0] == wanted
    if line is not None:
        assert_same(line, levels[None], np.zeros(1, bool), minimum, within)


def test_one_channel_does_not_change_anothers_values() -> None:
    """Shifts that differ meet at one, or stay apart where 32 bits or the file's size ask for it; the values are the same."""
    draw, bound = np.random.default_rng(3), 2000
    cases = [(int(draw.integers(1, 999)), int(draw.integers(-(2**15), 2**15)), int(shift)) for shift in range(2, 14)]
    levels = np.stack([np.clip(line_levels(*case, -4, 7), -bound, bound + 1) for case in cases])
    within = reach(-bound, bound, 1, len(cases))
    line = fit(levels, np.zeros(len(cases), bool), -4, within)
    assert line is not None
    assert_same(line, levels, np.zeros(len(cases), bool), -4, within)
