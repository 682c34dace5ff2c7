"""Layers and numbers that cannot be deployed exactly are refused with a code, node, reason and remedy."""

from pathlib import Path

import numpy as np
import pytest
from importer_graphs import begun, binary, ended, found, refused

from tests.onnx_files import GraphWriter


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(3)


# --- layers ---


@pytest.mark.parametrize("attributes", [{"group": 2}, {"dilations": [2, 2]}])
def test_convolutions_out_of_the_set(attributes: dict[str, object], draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.sign()
    shape = (6, 2 if "group" in attributes else 4, 2, 2)
    graph.node("Conv", graph.constant(binary(draw, *shape)), name="special", **attributes)
    # What follows has other sizes than before: the walk must have kept count.
    graph.node("Add", graph.constant(draw.normal(size=(6, 1, 1))))
    graph.sign()
    refused(
        ended(graph, draw, 6 * (9 if "group" in attributes else 4)), tmp_path, "E208", "Conv node 'special'", "group"
    )


def test_one_dimensional_layers(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 8)
    graph.sign()
    graph.node("Conv", graph.constant(binary(draw, 4, 2, 3)), name="line")
    graph.sign()
    graph.node("MaxPool", kernel_shape=[2], strides=[2], name="pool")
    problems = found(ended(graph, draw, 12), tmp_path)
    assert [(problem.code, problem.where) for problem in problems] == [
        ("E208", "Conv node 'line'"),
        ("E208", "MaxPool node 'pool'"),
    ]


def test_dilated_pool(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.sign()
    graph.node("MaxPool", kernel_shape=[2, 2], dilations=[2, 2], name="wide")
    refused(ended(graph, draw, 16), tmp_path, "E208", "MaxPool node 'wide'", "dilation")


@pytest.mark.parametrize(
    ("pads", "value", "mode"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.5, "constant"),
        ([0, 0, 1, 1, 0, 0, 1, 1], float("nan"), "constant"),
        ([0, 1, 0, 0, 0, 0, 0, 0], 1.0, "constant"),
        ([0, 0, -1, 0, 0, 0, 0, 0], 1.0, "constant"),
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, "reflect"),
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, "edge"),
    ],
)
def test_pads(pads: list[int], value: float, mode: str, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.sign()
    graph.node("Pad", graph.constant(pads, np.int64), graph.constant(value), mode=mode, name="frame")
    graph.node("Conv", graph.constant(binary(draw, 3, 5 if pads[1] else 4, 2, 2)))
    refused(ended(graph, draw, 3), tmp_path, "E209", "Pad node 'frame'", "pads with")


def test_pad_in_the_wrong_place(draw: np.random.Generator, tmp_path: Path) -> None:
    frame = [0, 0, 1, 1, 0, 0, 1, 1]
    graph = begun(draw)
    graph.sign()
    graph.node("Pad", graph.constant(frame, np.int64), graph.constant(-1.0))
    graph.node("MaxPool", kernel_shape=[2, 2], name="pool")
    refused(graph, tmp_path, "E209", "MaxPool node 'pool'", "before a Conv")
    graph = begun(draw)
    graph.sign()
    graph.node("Pad", graph.constant(frame, np.int64), graph.constant(-1.0))
    graph.node("Conv", graph.constant(binary(draw, 3, 4, 2, 2)), pads=[1, 1, 1, 1], name="twice")
    problems = found(ended(graph, draw, 3 * 49), tmp_path)
    assert problems[0].code == "E209" and "'twice'" in problems[0].where


def test_batch_mixed_with_data(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.sign()
    graph.node("Reshape", graph.constant([4, 16], np.int64), name="mixing")
    refused(graph, tmp_path, "E214", "Reshape node 'mixing'", "images are mixed")
    graph = GraphWriter("batch", 1, 5, 5)
    graph.node("Transpose", perm=[1, 0, 2, 3], name="moving")
    refused(graph, tmp_path, "E214", "Transpose node 'moving'", "images are mixed")


def test_layer_on_transposed_data(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.sign()
    graph.node("Transpose", perm=[0, 1, 3, 2])
    graph.node("Conv", graph.constant(binary(draw, 3, 4, 2, 2)), name="sideways")
    refused(graph, tmp_path, "E214", "Conv node 'sideways'", "transposed")


@pytest.mark.parametrize("rank", [1, 3])
def test_product_of_an_unusual_rank(rank: int, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    graph.node("MatMul", graph.constant(binary(draw, *((9,) if rank == 1 else (1, 9, 3)))), name="unusual")
    refused(graph, tmp_path, "E214", "MatMul node 'unusual'", "unusual order")


def test_data_as_the_second_factor(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    graph.tip = graph.side("MatMul", graph.constant(binary(draw, 1, 1)), graph.tip, name="backwards")
    refused(graph, tmp_path, "E214", "MatMul node 'backwards'", "unusual order")


def test_constants_that_differ_within_a_channel(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.node("Add", graph.constant(draw.normal(size=(1, 4, 4, 4))), name="everywhere")
    refused(graph, tmp_path, "E216", "Add node 'everywhere'", "(1, 4, 4, 4)")


def test_broadcast(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 1)
    graph.sign()
    graph.node("Add", graph.constant(np.ones((1, 5))), name="widening")
    refused(graph, tmp_path, "E216", "Add node 'widening'", "broadcasts")


# --- numbers ---


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_batch_norm_that_is_not_finite(bad: float, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    constants = [[1.0] * 4, [0.0, bad, 0.0, 0.0], [0.0] * 4, [1.0] * 4]
    graph.node("BatchNormalization", *(graph.constant(value) for value in constants), name="broken")
    graph.sign()
    refused(ended(graph, draw, 64), tmp_path, "E217", "BatchNormalization node 'broken'", "not finite")


def test_weights_that_are_not_finite(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    weights = draw.normal(size=(9, 3))
    weights[2, 1] = np.nan
    graph.node("MatMul", graph.quant(4, tensor=graph.constant(weights), name="torn"))
    refused(graph, tmp_path, "E217", "Quant node 'torn'", "not a number")


def test_activation_that_is_not_a_number(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.node("Sqrt")
    graph.quant(4, name="root")
    refused(ended(graph, draw, 64), tmp_path, "E217", "Quant node 'root'", "not a number")


def test_activation_that_rises_and_falls(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.node("Abs")
    graph.node("Sub", graph.constant(5.0))
    graph.sign()
    refused(ended(graph, draw, 64), tmp_path, "E210", "BipolarQuant node", "channel 0")


def test_sum_beyond_float32(draw: np.random.Generator, tmp_path: Path) -> None:
    """65,535 x 127 x 3 inputs is over 2^24; with 2 inputs it is under."""
    for inputs, codes in ((3, ["E211"]), (2, [])):
        graph = GraphWriter(1, inputs)
        graph.quant(16, signed=0)
        graph.node("MatMul", graph.constant(np.full((inputs, 2), 127.0) - np.eye(inputs, 2)), name="large")
        assert [problem.code for problem in found(graph, tmp_path)] == codes


@pytest.mark.parametrize(
    ("operator", "constant"),
    [
        ("Mul", -1.0),
        ("Mul", 0.0),
        ("Add", [[0.0, 1.0, 0.0]]),
        ("Mul", [[1.0, 2.0, 1.0]]),
        ("Relu", None),
        ("Abs", None),
    ],
)
def test_ends_that_change_the_ranking(
    operator: str, constant: object, draw: np.random.Generator, tmp_path: Path
) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    ended(graph, draw, 9)
    graph.node(operator, *([] if constant is None else [graph.constant(constant)]), name="end")
    refused(graph, tmp_path, "E213", f"{operator} node 'end'", "do not decide the class")


def test_pool_at_the_end(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw, channels=3)
    graph.node("MaxPool", kernel_shape=[4, 4], name="end")
    refused(graph, tmp_path, "E213", "MaxPool node 'end'", "pool")


def test_quantized_logits(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    ended(graph, draw, 9)
    graph.quant(4)
    refused(graph, tmp_path, "E218", "output", "ends in a quantizer")
