"""Thresholds read off activation chains, against levels worked out by hand in the comments.

A sum s passes level T where s >= T. Sums are -4..4 unless told otherwise: level -4 always passes, level 5 never.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest

from flipflow.errors import FlipflowError
from flipflow.export.integer.net import ActType
from flipflow.export.integer.thresholds import ChainMeaning, Reach, chunks, read_off
from tests.onnx_files import GraphWriter

SIGN = ActType(1, True, True, -1, 1)
ALWAYS, NEVER = -4, 5


def reach(channels: int, step: int = 1, unit: float = 1.0, rank: int = 2) -> Reach:
    return Reach(-4, 4, step, np.full(channels, -4), np.full(channels, 4), unit, rank)


def unsigned(bits: int) -> ActType:
    return ActType(bits, False, False, 0, 2**bits - 1)


def read(graph: GraphWriter, sums: Reach, output: ActType = SIGN, scale: float = 1.0) -> ChainMeaning:
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.constants}
    return read_off(graph.nodes, constants, sums, output, scale)


def norm(graph: GraphWriter, *parameters: Sequence[float]) -> None:
    """gamma, beta, mean, variance; epsilon 0: (s - mean) * gamma / sqrt(variance) + beta is exact."""
    graph.node("BatchNormalization", *(graph.constant(value) for value in parameters), epsilon=0.0)


def test_batch_norm_of_every_sign_and_sign() -> None:
    graph = GraphWriter()
    norm(graph, [1, -1, 0, 0, 2, -2], [0, 0, 1, -1, 3, 3], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1])
    graph.sign()
    meaning = read(graph, reach(6))
    # 0: s - 1 >= 0 from s = 1 on, the tie included. 1: 1 - s >= 0 up to s = 1, so the count starts at 2, inverted.
    # 2: always 1. 3: always -1. 4: 2s + 3 >= 0 from s = -1.5 on. 5: 3 - 2s >= 0 up to 1.5, so the count starts at 2.
    assert meaning.levels.tolist() == [[1], [2], [ALWAYS], [NEVER], [-1], [2]]
    assert meaning.invert.tolist() == [False, True, False, False, False, True]


def test_sums_of_one_parity() -> None:
    """K = 4 signs: sums -4, -2, 0, 2, 4. s - 1 >= 0 holds from the reachable sum 2 on."""
    graph = GraphWriter()
    graph.node("Sub", graph.constant([[1.0, -1.0, 0.0]]))
    graph.sign()
    assert read(graph, reach(3, step=2)).levels.tolist() == [[2], [0], [0]]


def test_negative_zero_is_positive() -> None:
    """-1 * 0 = -0.0, whose sign is +1: the falling channel still fires at 0, so the count starts at 1."""
    graph = GraphWriter()
    graph.node("Mul", graph.constant(-1.0))
    graph.sign()
    meaning = read(graph, reach(1))
    assert (meaning.levels.tolist(), meaning.invert.tolist()) == ([[1]], [True])


def test_unit_of_the_sums() -> None:
    """Sums in steps of 0.25: 0.25 s - 0.6 >= 0 from s = 2.4, so 3 on."""
    graph = GraphWriter()
    graph.node("Sub", graph.constant(0.6))
    graph.sign()
    assert read(graph, reach(1, unit=0.25)).levels.tolist() == [[3]]


def test_two_bits_round_half_to_even() -> None:
    """s / 2: -2 -1.5 -1 -0.5 | 0 0.5 1 1.5 2 round to 0 (clipped) | 0 0 1 2 2: 1 from s = 2, 2 from s = 3, 3 never.

    With scale 0.5 every s is a whole number of steps: 1 from s = 1, 2 from 2, 3 from 3.
    """
    graph = GraphWriter()
    graph.node("Mul", graph.constant(0.5))
    graph.quant(2, signed=0)
    assert read(graph, reach(1), unsigned(2)).levels.tolist() == [[2, 3, NEVER]]
    graph = GraphWriter()
    graph.node("Mul", graph.constant(0.5))
    graph.quant(2, 0.5, signed=0)
    assert read(graph, reach(1), unsigned(2), 0.5).levels.tolist() == [[1, 2, 3]]


def test_two_bits_falling() -> None:
    """-s / 2 gives 2 2 1 0 0 0 0 0 0 for s = -4..4: minimum + 3 - count with count 1 1 2 3 3 3 3 3 3."""
    graph = GraphWriter()
    graph.node("Div", graph.constant(-2.0))
    graph.quant(2, signed=0)
    meaning = read(graph, reach(1), unsigned(2))
    assert (meaning.levels.tolist(), meaning.invert.tolist()) == ([[ALWAYS, -2, -1]], [True])


def test_signed_narrow_and_constants() -> None:
    """Signed narrow 2 bits, -1..1. Channel 0: s clips to -1 0 1, levels 0 and 1. Channel 1: 0 s + 0.5 rounds to 0, one
    level always passed. Channel 2: 0 s - 9 is -1, no level passed."""
    graph = GraphWriter()
    graph.node("Mul", graph.constant([[1.0, 0.0, 0.0]]))
    graph.node("Add", graph.constant([[0.0, 0.5, -9.0]]))
    graph.quant(2, narrow=1)
    meaning = read(graph, reach(3), ActType(2, True, False, -1, 1))
    assert meaning.levels.tolist() == [[0, 1], [ALWAYS, NEVER], [NEVER, NEVER]]


def test_a_step_over_several_levels() -> None:
    """4 s in 0..7: 0 below 1, 4 at 1, 7 from 2 on: levels 1-4 at sum 1, 5-7 at sum 2."""
    graph = GraphWriter()
    graph.node("Mul", graph.constant(4.0))
    graph.quant(3, signed=0)
    assert read(graph, reach(1), unsigned(3)).levels.tolist() == [[1, 1, 1, 1, 2, 2, 2]]


def test_prelu() -> None:
    """Slope 0.25: s = -4 gives -1, so + 1 is >= 0 from -4 on; + 0.5 from -2 on (-0.5, a tie). Slope 0: 0 below 0,
    and 0 - 0.5 < 0 up to s = 0."""
    graph = GraphWriter()
    graph.node("PRelu", graph.constant([[0.25, 0.25, 0.0]]))
    graph.node("Add", graph.constant([[1.0, 0.5, -0.5]]))
    graph.sign()
    assert read(graph, reach(3)).levels.tolist() == [[ALWAYS], [-2], [1]]


def test_prelu_of_a_negative_slope_is_refused() -> None:
    """Slope -1 is |s|: |s| - 2 changes its sign twice. Channel 1, slope 1, is monotone."""
    graph = GraphWriter()
    graph.node("PRelu", graph.constant([[1.0, -1.0]]))
    graph.node("Sub", graph.constant(2.0))
    graph.sign()
    with pytest.raises(FlipflowError) as caught:
        read(graph, reach(2))
    assert caught.value.code == "E210" and "channel 1" in caught.value.what and "PRelu" in caught.value.what


def test_not_monotone_where_nobody_sees_it() -> None:
    """|s| + 1 >= 0 always: the sign is constant, and needs no thresholds that do not exist."""
    graph = GraphWriter()
    graph.node("Abs")
    graph.node("Add", graph.constant(1.0))
    graph.sign()
    assert read(graph, reach(1)).levels.tolist() == [[ALWAYS]]


def test_pools_before_a_falling_part_become_minima() -> None:
    """max(s) then gamma * s: a falling channel takes the sign's minimum over the window. Levels as without the pool."""
    graph = GraphWriter()
    graph.node("MaxPool", kernel_shape=[2, 2])
    norm(graph, [1, -1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1])
    graph.sign()
    meaning = read(graph, reach(3, rank=4))
    assert [minimum.tolist() for minimum in meaning.pool_minimum] == [[False, True, False]]
    assert meaning.levels.tolist() == [[1], [2], [ALWAYS]]


def test_pool_behind_the_falling_part_stays_a_maximum() -> None:
    """-s, then max, then sign: the pool sees falling values, and what follows rises in them. In the second chain
    another -1 follows the pool, so that the sum's sign rises while the pool's part falls."""
    graph = GraphWriter()
    graph.node("Neg")
    graph.node("MaxPool", kernel_shape=[2, 2])
    graph.sign()
    meaning = read(graph, reach(1, rank=4))
    assert (meaning.invert.tolist(), meaning.pool_minimum[0].tolist()) == ([True], [False])
    graph = GraphWriter()
    graph.node("Neg")
    graph.node("MaxPool", kernel_shape=[2, 2])
    graph.node("Neg")
    graph.node("MaxPool", kernel_shape=[2, 2])
    graph.sign()
    meaning = read(graph, reach(1, rank=4))
    assert (meaning.levels.tolist(), meaning.invert.tolist()) == ([[0]], [False])
    assert [minimum.tolist() for minimum in meaning.pool_minimum] == [[True], [False]]


def test_pool_between_parts_that_are_not_monotone() -> None:
    """|s| then max then sign(3 - x): the pool's own part falls, but the whole both rises and falls. Refused."""
    graph = GraphWriter()
    graph.node("Abs")
    graph.node("MaxPool", kernel_shape=[2, 2])
    graph.node("Neg")
    graph.node("Add", graph.constant(3.0))
    graph.sign()
    with pytest.raises(FlipflowError, match="E210"):
        read(graph, reach(1, rank=4))


def test_channels_of_different_reach() -> None:
    """A channel whose sums end at 1 never passes 2: its level is "never", whatever the others can reach."""
    sums = Reach(-4, 4, 1, np.array([-4, -4, 0]), np.array([4, 1, 4]), 1.0, 2)
    graph = GraphWriter()
    graph.node("Sub", graph.constant([[2.0, 2.0, -3.0]]))
    graph.sign()
    assert read(graph, sums).levels.tolist() == [[2], [NEVER], [ALWAYS]]


def test_chunks_cover_every_sum_once() -> None:
    """3 million sums of 2 channels are read in two parts; the level is found at the joint's far side as well."""
    sums = Reach(-1_500_000, 1_500_000, 2, np.full(2, -1_500_000), np.full(2, 1_500_000), 1.0, 2)
    assert np.array_equal(np.concatenate(list(chunks(sums))), np.arange(-1_500_000, 1_500_001, 2))
    sums = Reach(0, 5_000_000, 1, np.zeros(1, np.int64), np.full(1, 5_000_000), 1.0, 2)
    first, second = chunks(sums)
    assert first[-1] + 1 == second[0]
    graph = GraphWriter()
    graph.node("Sub", graph.constant(float(second[0])))
    graph.sign()
    assert read(graph, sums).levels.tolist() == [[second[0]]]


def test_not_a_number_is_refused() -> None:
    graph = GraphWriter()
    graph.node("Log")
    graph.quant(2, signed=0, name="logarithm")
    with pytest.raises(FlipflowError) as caught:
        read(graph, reach(2), unsigned(2))
    assert caught.value.code == "E217" and "logarithm" in caught.value.where
