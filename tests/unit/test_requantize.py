"""Lines in place of many thresholds: equal at every value, found wherever there is one, with the smallest shift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flipflow.hw.requantize import MAX_SHIFT, Line, fit_line

Ints = NDArray[np.int64]


def staircase(levels: Ints, invert: NDArray[np.bool_], x: Ints, minimum: int) -> Ints:
    """minimum + number of levels that x [C, X] reaches, or does not reach where inverted."""
    count = (x[:, :, None] >= levels[:, None, :]).sum(axis=2)
    return minimum + np.where(invert[:, None], levels.shape[1] - count, count)


def levels_of(y: Ints, x: Ints, minimum: int, count: int) -> Ints:
    """Levels of a function that rises from one x to the next: where it first reaches minimum + 1, minimum + 2, ..."""
    where = [np.searchsorted(row, minimum + np.arange(1, count + 1)) for row in y]
    return np.append(x, x[-1] + 1)[np.array(where)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_line_is_found(data: st.DataObject) -> None:
    """Staircases of random lines, rising and falling: no larger shift than theirs, no other result at any value."""
    draw = data.draw
    shift, step, count = draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.integers(1, 40))
    minimum, even = draw(st.integers(-20, 20)), draw(st.booleans())
    low = draw(st.integers(-300, 100))
    x = np.arange(low, low + draw(st.integers(1, 300)), step)
    factor = np.array(draw(st.lists(st.integers(-400, 400), min_size=1, max_size=4)))
    offset = np.array([draw(st.integers(-2000, 2000)) + (minimum << shift) for _ in factor])
    sums = factor[:, None] * x + offset[:, None]
    y = sums >> shift
    if even:
        y -= (sums % (1 << shift) == 0) & (y % 2 == 1)
    y = y.clip(minimum, minimum + count)
    invert = factor < 0
    # A falling function rises in -x: its levels are 1 - those of -x, the other way round.
    rising = levels_of(np.where(invert[:, None], y[:, ::-1], y), np.arange(len(x)), minimum, count)
    spread = np.where(rising < len(x), x[0] + rising * step, x[0] + len(x) * step)
    turned = np.where(rising < len(x), -x[-1] + rising * step, -x[-1] + len(x) * step)
    levels = np.where(invert[:, None], 1 - turned[:, ::-1], spread)
    every = np.broadcast_to(x, y.shape)
    assert np.array_equal(staircase(levels, invert, every, minimum), y)
    ends = np.full(len(factor), x[0]), np.full(len(factor), x[-1])
    line = fit_line(levels, *ends, invert, minimum, step)
    assert line is not None
    assert np.array_equal(line.evaluate(x[:, None], minimum, minimum + count).T, y)
    # A plain line is tried first, and may need more bits than one with ties to even.
    assert line.shift <= shift or (even and not line.even)
    assert even or not line.even


@pytest.mark.parametrize("seed", range(6))
def test_smallest_shift(seed: int) -> None:
    """Against a search of every factor and offset."""
    rng = np.random.default_rng(seed)
    levels = np.sort(np.rint(np.arange(4) * rng.uniform(1.2, 4.0) + rng.uniform(-3, 3)).astype(np.int64))
    low, high = int(levels[0]) - 3, int(levels[-1]) + 3
    x = np.arange(low, high + 1)
    y = staircase(levels[None], np.array([False]), x[None], 0)[0]

    def exists(shift: int) -> bool:
        factors = np.arange(0, (4 << shift) + 1)[:, None, None]
        offsets = np.arange(-(20 << shift), (20 << shift) + 1)[:, None]
        return any(((factor * x + offsets >> shift).clip(0, 4) == y).all(axis=1).any() for factor in factors)

    line = fit_line(levels[None], np.array([low]), np.array([high]), np.array([False]))
    smallest = next((shift for shift in range(7) if exists(shift)), None)
    assert smallest is not None
    assert line is not None
    assert (line.shift, line.even) == (smallest, False)


def test_batch_normalisation_and_rounding() -> None:
    """Quantizers as networks have them: round(clip(a x + b)), the numbers in float32, of either sign of a."""
    rng = np.random.default_rng(3)
    slope = (rng.uniform(0.5, 8.0, 24) * rng.choice([-1, 1], 24)).astype(np.float32)[:, None]
    shift = rng.normal(0, 40, (24, 1)).astype(np.float32)
    x = np.arange(-288, 289)
    y = np.rint(np.clip(slope * x.astype(np.float32) + shift, -256, 255)).astype(np.int64)
    invert = slope[:, 0] < 0
    # The levels of a falling row are those at which the number of lost steps rises.
    lost = np.where(invert[:, None], -1 - y, y)
    levels = levels_of(lost, x, -256, 511)
    ends = np.full(24, -288), np.full(24, 288)
    line = fit_line(levels, *ends, invert, -256)
    assert line is not None
    assert np.array_equal(line.evaluate(x[:, None], -256, 255).T, y)
    assert 5 < line.shift <= 16


def test_means_round_to_even() -> None:
    """The mean of four 8-bit numbers, rounded as PyTorch and NumPy do, is a line with ties to even, and no plain one."""
    x = np.arange(-512, 509)
    y = np.rint(x / 4).astype(np.int64)
    levels = levels_of(y[None], x, -128, 255)
    line = fit_line(levels, np.array([-512]), np.array([508]), np.array([False]), -128)
    assert line is not None
    assert (line.shift, line.even) == (2, True)
    assert np.array_equal(line.evaluate(x[:, None], -128, 127)[:, 0], y)


def test_no_line() -> None:
    """Two quick steps, a rest, two quick ones: a line as steep as the first pair has no rest (worked out by hand)."""
    assert fit_line(np.array([[0, 1, 10, 11]]), np.array([-5]), np.array([20]), np.array([False])) is None


def test_constant_channels() -> None:
    """Never a step, always all, one value of x alone; beside a channel that does step."""
    levels = np.array([[9, 9, 9], [-9, -9, -9], [-9, 0, 9], [-2, 0, 2]])
    low, high = np.array([-5, -5, 0, -5]), np.array([5, 5, 0, 5])
    for invert in (np.zeros(4, bool), np.ones(4, bool)):
        line = fit_line(levels, low, high, invert, -1)
        assert line is not None
        x = np.arange(-5, 6)
        found = line.evaluate(x[:, None], -1, 2).T
        wanted = staircase(levels, invert, np.broadcast_to(x, (4, 11)), -1)
        assert np.array_equal(np.delete(found, 2, 0), np.delete(wanted, 2, 0))
        assert found[2, 5] == wanted[2, 5]


def test_far_from_zero() -> None:
    """Sums near 2^24 and a shift near the limit: nothing overflows."""
    rng = np.random.default_rng(1)
    levels = np.sort(rng.integers(2**24 - 70_000, 2**24, (2, 255)), axis=1)
    assert fit_line(levels, np.full(2, -(2**24)), np.full(2, 2**24), np.zeros(2, bool)) is None
    even = 2**24 - 70_000 + 257 * np.arange(255)[None]
    line = fit_line(even, np.array([-(2**24)]), np.array([2**24]), np.array([False]))
    assert line is not None
    assert line.shift <= MAX_SHIFT
    x = np.arange(2**24 - 71_000, 2**24 + 1)
    assert np.array_equal(line.evaluate(x[:, None], 0, 255)[:, 0], staircase(even, np.array([False]), x[None], 0)[0])


def test_widths_by_hand() -> None:
    line = Line(np.array([-3, 2]), np.array([10, -5]), 2)
    # 2 * -128 - 5 = -261, -3 * -128 + 10 = 394, -3 * 127 + 10 = -371, 2 * 127 - 5 = 249: ten bits
    wanted = {"Shift": 2, "Even": 0, "FactorBits": 3, "OffsetBits": 5, "AccWidth": 10, "Uniform": 0, "UnitFactor": 0}
    assert line.attributes("INT8") == wanted
    same = Line(np.array([1, 1]), np.array([7, 7]), 3, even=True)
    assert (same.attributes("INT4")["Uniform"], same.attributes("INT4")["UnitFactor"]) == (1, 1)
    assert same.attributes("INT4")["AccWidth"] == 5  # -8 + 7..7 + 7, and two more than the shift


def test_ties_to_even_where_that_is_narrower() -> None:
    """Two ties 2^14 apart, one of them rounded up: a plain line must tilt between them, by less than 2^-14 of its step."""
    x = np.arange(-20_000, 20_000)
    sums = 117 * x + 512
    y = np.clip(np.rint(sums / 2**14), -128, 127).astype(np.int64)
    ties = (sums % 2**14 == 2**13) & (abs(y) < 127)
    assert sorted(y[ties] - (sums[ties] >> 14)) == [0, 1]
    line = fit_line(levels_of(y[None], x, -128, 255), x[:1], x[-1:], np.array([False]), -128)
    assert line is not None
    assert np.array_equal(line.evaluate(x[:, None], -128, 127)[:, 0], y)
    assert line.even
    assert line.shift <= 14
