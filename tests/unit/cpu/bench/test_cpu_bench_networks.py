"""The random residual networks: structure by hand, values by the NumPy reference."""

import numpy as np
import pytest

from flipflow.cpu.bench.networks import RESIDUAL, fixed_point_levels, random_residual_net, small_residual_net
from flipflow.export.integer.net import Add, Conv, IntegerNet, Linear, MaxPool, SumPool, Threshold
from flipflow.sim import reference


def _count(net: IntegerNet, kind: type) -> int:
    return sum(isinstance(operator, kind) for operator in net.operators)


# Hand count: a stem, 2 convolutions a block, one downsampling in each of three stages; two additions a block; thresholds:
# stem, 4 a block (two signs, two k-bit ones), one a downsampling, one before the fc.
@pytest.mark.parametrize(("name", "blocks"), [("resnet18", 8), ("resnet34", 16)])
def test_topology_of_the_named_networks(name: str, blocks: int) -> None:
    net = random_residual_net(name)
    assert net.input_shape == (224, 224, 3)
    assert net.classes == 1000
    assert _count(net, Conv) == 1 + 2 * blocks + 3
    assert _count(net, Add) == 2 * blocks
    assert _count(net, Threshold) == 1 + 4 * blocks + 3 + 1
    assert (_count(net, MaxPool), _count(net, SumPool), _count(net, Linear)) == (1, 1, 1)
    binary = [op for op in net.operators if isinstance(op, Conv) and op.weight_bipolar]
    assert len(binary) == 2 * blocks
    assert all(op.pad_kind == "zero" and op.weights.shape[1:3] == (3, 3) for op in binary)


def test_resnet18_has_the_binary_weights_of_the_paper() -> None:
    net = random_residual_net("resnet18")
    weights = sum(op.weights.size for op in net.operators if isinstance(op, Conv) and op.weight_bipolar)
    assert weights == 10_985_472


def test_activations_are_lively_and_residuals_in_range() -> None:
    net = small_residual_net(seed=3)
    images = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3)).astype(np.int16)
    for operator, value in reference.layers(net, images):
        if isinstance(operator, Threshold) and operator.output.bipolar:
            assert 0.3 < np.mean(value > 0) < 0.7, operator.name
        if isinstance(operator, Add):
            assert value.min() >= RESIDUAL.minimum
            assert value.max() <= RESIDUAL.maximum
            assert np.mean((value == RESIDUAL.minimum) | (value == RESIDUAL.maximum)) < 0.05, operator.name
    assert value.shape == (2, 10)
    assert len(np.unique(value)) > 10


def test_a_seed_names_a_network() -> None:
    image = np.full((1, 32, 32, 3), 100, np.int16)
    first, again, other = (reference.run(small_residual_net(seed), image) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_fixed_point_levels_by_their_formula() -> None:
    gain, offset, largest = np.array([0.25, 0.013]), np.array([1.0, -0.2]), 700
    levels = fixed_point_levels(gain, offset, largest, RESIDUAL)
    values = np.arange(-largest, largest + 1)
    # 0.25 in six bits is 64 / 2^8, 0.013 becomes 3 / 2^8; half a unit is added for rounding: 1.5 and 0.3 times 2^8.
    for channel, (slope, bias) in enumerate([(64, 384), (3, 77)]):
        found = RESIDUAL.minimum + (values[:, None] >= levels[channel]).sum(axis=1)
        assert np.array_equal(found, np.clip((bias + slope * values) >> 8, -128, 127))
