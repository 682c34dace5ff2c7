"""Additions, forks and sum pools: what they become, against hand calculation, and what is refused."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from flipflow.cli import work
from flipflow.cli.console import show_error
from flipflow.errors import FlipflowError
from flipflow.export.integer import lower
from flipflow.export.integer.chain import Reach
from flipflow.export.integer.net import ActType, Add, IntegerNet, SumPool, Threshold
from flipflow.export.integer.thresholds import by_bisection, by_enumeration
from flipflow.sim import reference
from tests.onnx_files import GraphWriter, executed, save, signs
from tests.unit.importer_graphs import imported, refused

STREAM = ActType(4, True, False, -8, 7)


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(4)


def stream(scale: float = 0.5) -> GraphWriter:
    """A 4-bit map [1, 2, 4, 4] in steps of 0.5."""
    graph = GraphWriter(1, 2, 4, 4)
    graph.quant(4, scale, name="stream")
    return graph


def branch(graph: GraphWriter, draw: np.random.Generator, scale: float = 0.5, filters: int = 2) -> str:
    """A binary convolution of the stream's signs, quantized beside it."""
    weights = graph.constant(signs(draw, filters, 2, 3, 3))
    sums = graph.side("Conv", graph.sign(graph.tip), weights, pads=[1, 1, 1, 1])
    return graph.quant(4, scale, tensor=graph.side("Mul", sums, graph.constant(0.25)), name="branch")


def finished(graph: GraphWriter, draw: np.random.Generator, inputs: int = 32) -> GraphWriter:
    graph.node("Flatten", axis=1)
    graph.node("MatMul", graph.constant(signs(draw, inputs, 3)), name="last")
    return graph


def lowered(graph: GraphWriter, folder: Path) -> IntegerNet:
    """The integer net, equal to QONNX's execution of the file on random images."""
    model = graph.model()
    canonical = imported(model, folder)
    net = lower(onnx.load(folder / "canonical.onnx"))
    images = np.random.default_rng(9).normal(0, 2, (8, 2, 4, 4)).astype(np.float32)
    logits = reference.run(net, canonical.integers(images))
    np.testing.assert_array_equal((logits * net.logit_scale).astype(np.float32), executed(model, images))
    return net


def additions(net: IntegerNet) -> list[Add]:
    return [operator for operator in net.operators if isinstance(operator, Add)]


# --- additions ---


def test_a_saturating_addition_is_one_operator(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    graph.node("Add", branch(graph, draw))
    graph.quant(4, 0.5)
    net = lowered(finished(graph, draw), tmp_path)
    assert [operator.output for operator in additions(net)] == [STREAM]
    # sign, conv, quantizer, add, last layer: the add takes the input and the quantizer.
    assert net.wires == ((-1,), (0,), (1,), (-1, 2), (3,))


def test_a_clamp_on_the_grid_saturates(draw: np.random.Generator, tmp_path: Path) -> None:
    """Hardtanh to -1..1 in steps of 0.5 is a clamp to -2..2; the quantizer behind it changes nothing, but states 4 bits."""
    graph = stream()
    graph.node("Add", branch(graph, draw))
    graph.node("Clip", graph.constant(-1.0), graph.constant(1.0))
    graph.quant(4, 0.5)
    net = lowered(finished(graph, draw), tmp_path)
    # -2..2 is no clamp to the quantizer's own range -8..7: thresholds stand for it, on the whole sum -16..14.
    (add,) = additions(net)
    assert (add.output.minimum, add.output.maximum, add.output.bits) == (-16, 14, 5)
    threshold = net.operators[net.wires[-1][0]]
    assert isinstance(threshold, Threshold)
    # Outputs -8 .. -2 are always reached, -1 .. 2 from the sum that they are, 3 .. 7 never.
    assert threshold.levels[0].tolist() == [-16] * 6 + [-1, 0, 1, 2] + [15] * 5


def test_a_wide_hardtanh_changes_nothing(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    graph.node("Add", branch(graph, draw))
    graph.node("Clip", graph.constant(-4.0), graph.constant(3.5))
    graph.quant(4, 0.5)
    net = lowered(finished(graph, draw), tmp_path)
    assert [operator.output for operator in additions(net)] == [STREAM]


def test_a_sum_with_two_readers_stays_whole(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    total = graph.node("Add", branch(graph, draw))
    other = graph.quant(3, 0.5, tensor=total)
    graph.quant(4, 0.5)
    graph.node("Add", other)
    graph.quant(4, 0.5)
    net = lowered(finished(graph, draw), tmp_path)
    assert [operator.output.bits for operator in additions(net)] == [5, 4]


def test_a_tensor_added_to_itself(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    graph.node("Add", graph.tip)
    graph.quant(4, 0.5)
    net = lowered(finished(graph, draw), tmp_path)
    assert net.wires[0] == (-1, -1)


# --- sums ---


@pytest.mark.parametrize("operator", ["ReduceSum", "ReduceMean", "GlobalAveragePool"])
def test_global_sums(operator: str, draw: np.random.Generator, tmp_path: Path) -> None:
    """16 values of -8..7 in steps of 0.5: the sum of integers is a SumPool, its division is in the thresholds."""
    graph = stream()
    operands = (graph.constant([2, 3], np.int64),) if operator == "ReduceSum" else ()
    attributes = {"ReduceSum": {"keepdims": 0}, "ReduceMean": {"axes": [-1, -2], "keepdims": 1}}.get(operator, {})
    graph.node(operator, *operands, **attributes)
    graph.quant(4, 8.0 if operator == "ReduceSum" else 0.5)
    net = lowered(finished(graph, draw, inputs=2), tmp_path)
    pool, threshold = net.operators[0], net.operators[1]
    assert isinstance(pool, SumPool) and (pool.kernel, pool.stride) == ((4, 4), (1, 1))
    assert isinstance(threshold, Threshold)
    # Levels -7 .. 7 of sum / 16, half to even: -7 from -120 (-7.5 rounds to -8, so from -119), -6 from -104 (-6.5 to -6), ...
    ties = [16 * level - 8 for level in range(-7, 8)]
    assert threshold.levels[0].tolist() == [tie if (tie + 8) // 16 % 2 == 0 else tie + 1 for tie in ties]


# --- refusals ---


def test_different_steps(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    other = branch(graph, draw, scale=0.25)
    graph.node("Add", other, name="meeting")
    graph.quant(4, 0.5)
    refused(
        finished(graph, draw), tmp_path, "E222", "Add node 'meeting'", f"in steps of 0.5 and {other!r} in steps of 0.25"
    )


def test_a_sum_that_reaches_a_layer(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    graph.node("Add", branch(graph, draw))
    # Two tensors of 4 bits: -8..7 each, so -16..14 together, which a saturating adder would not give.
    seen = "no quantizer has brought back to their range: it can reach -16..14, they lie in -8..7 and -8..7"
    refused(finished(graph, draw), tmp_path, "E224", "MatMul node 'last'", seen)


def test_a_sum_that_reaches_a_sum(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    start = graph.tip
    graph.node("Add", branch(graph, draw))
    graph.node("Add", start, name="second")
    graph.quant(4, 0.5)
    refused(finished(graph, draw), tmp_path, "E224", "Add node 'second'", "no quantizer has brought back")


def test_different_shapes(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    graph.node("Add", branch(graph, draw, filters=1), name="meeting")
    graph.quant(4, 0.5)
    refused(finished(graph, draw), tmp_path, "E223", "Add node 'meeting'", "[1, 1, 4, 4]")


def test_branches_of_different_strides(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    sums = graph.side(
        "Conv", graph.sign(graph.tip), graph.constant(signs(draw, 2, 2, 3, 3)), strides=[2, 2], pads=[1] * 4
    )
    graph.node("Add", graph.quant(4, 0.5, tensor=sums), name="meeting")
    graph.quant(4, 0.5)
    seen = "'t0' of shape [1, 2, 4, 4] and 't3' of shape [1, 2, 2, 2]"
    refused(finished(graph, draw, inputs=8), tmp_path, "E223", "Add node 'meeting'", seen)


def test_a_person_reads_the_whole_refusal(
    draw: np.random.Generator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys in brackets are no markup of the console's."""
    graph = stream()
    graph.node("Add", branch(graph, draw, scale=0.25), name="meeting")
    graph.quant(4, 0.5)
    path = save(finished(graph, draw).model(), tmp_path)
    assert [problem["code"] for problem in work.check(path, False)] == ["E222"]
    assert "(in [model], residual_fraction sets it for the whole network)" in " ".join(capsys.readouterr().err.split())
    show_error(FlipflowError("E222", "it is [not] so.", "run.toml, [export] model", "Take [model]."))
    assert capsys.readouterr().err.split() == "E222 run.toml, [export] model it is [not] so. Take [model].".split()


def test_another_joining_operator(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    graph.node("Mul", branch(graph, draw), name="meeting")
    graph.quant(4, 0.5)
    refused(finished(graph, draw), tmp_path, "E203", "Mul node 'meeting'", "two paths of data meet")


def test_a_fork_before_the_first_quantizer(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 4, 4)
    one = graph.quant(4, 0.5, tensor=graph.tip)
    graph.quant(4, 0.5, name="second")
    graph.node("Add", one)
    graph.quant(4, 0.5)
    refused(finished(graph, draw), tmp_path, "E203", "Quant node 'second'", "two paths part")


def test_a_reduction_of_other_axes(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    graph.node("ReduceSum", graph.constant([1, 2], np.int64), keepdims=0, name="wrong")
    graph.quant(4, 8.0)
    refused(finished(graph, draw, inputs=4), tmp_path, "E208", "ReduceSum node 'wrong'", "axes [1, 2]")


# --- bisection ---


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("bits", [1, 2, 6])
def test_bisection_finds_what_enumeration_finds(bits: int, step: int, draw: np.random.Generator) -> None:
    channels = 40
    graph = GraphWriter()
    gamma, beta, mean = draw.normal(size=channels), draw.normal(size=channels), draw.integers(-300, 300, channels)
    gamma[:3] = 0.0
    graph.node("BatchNormalization", *(graph.constant(v) for v in (gamma, beta, mean, np.full(channels, 5e3))))
    graph.node("MaxPool", kernel_shape=[2, 2])
    output = ActType(1, True, True, -1, 1)
    if bits == 1:
        graph.sign()
    else:
        graph.quant(bits, 0.125)
        output = ActType(bits, True, False, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    low, high = -2 * draw.integers(0, 200, channels), 2 * draw.integers(0, 200, channels)
    reach = Reach(int(low.min()), int(high.max()), step, low, high, 1.0, 4)
    constants = {constant.name: onnx.numpy_helper.to_array(constant) for constant in graph.constants}
    scale = 1.0 if bits == 1 else 0.125
    wanted = by_enumeration(graph.nodes, constants, reach, output, scale)
    given = by_bisection(graph.nodes, constants, reach, output, scale)
    assert given is not None
    np.testing.assert_array_equal(given.levels, wanted.levels)
    np.testing.assert_array_equal(given.invert, wanted.invert)
    np.testing.assert_array_equal(given.pool_minimum[0], wanted.pool_minimum[0])


def test_a_chain_that_does_not_keep_order_is_not_bisected() -> None:
    """A step function that dips at one of the samples contradicts itself: nothing is found."""
    from flipflow.export.integer.monotone import bisect  # noqa: PLC0415

    reach = Reach(0, 511, 1, np.zeros(1, np.int64), np.full(1, 511), 1.0, 2)
    dip = bisect(
        lambda sums: ((sums >= 100) & (sums != 300)).astype(np.int64) * 2 - 1, reach, ActType(1, True, True, -1, 1)
    )
    assert dip is None


def test_saved_residual_net_is_read_back(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = stream()
    graph.node("Add", branch(graph, draw))
    graph.quant(4, 0.5)
    save(finished(graph, draw).model(), tmp_path)
    net = lowered(graph, tmp_path)
    net.save(tmp_path / "net.json", tmp_path / "net.npz")
    assert IntegerNet.load(tmp_path / "net.json", tmp_path / "net.npz").wires == net.wires
