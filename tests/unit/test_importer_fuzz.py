"""Damaged files are refused, or still make a network; never a traceback."""

from pathlib import Path

import numpy as np
import pytest

from flipflow.errors import FlipflowError
from flipflow.export.check import check_file
from tests.onnx_files import GraphWriter


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(3)


def damaged_copies(content: bytes, draw: np.random.Generator, count: int) -> list[bytes]:
    """Cut short, or with a few flipped bits, evenly over the file."""
    copies = [content[: int(end)] for end in np.linspace(0, len(content) - 1, count // 3)]
    for _ in range(count - len(copies)):
        copy = bytearray(content)
        for _ in range(int(draw.integers(1, 4))):
            copy[int(draw.integers(len(copy)))] ^= 1 << int(draw.integers(8))
        copies.append(bytes(copy))
    return copies


def damaged_network(draw: np.random.Generator) -> GraphWriter:
    graph = GraphWriter("batch", 2, 6, 6)
    graph.quant(8)
    graph.node("Conv", graph.sign(graph.constant(draw.normal(size=(3, 2, 3, 3)))), pads=[1, 1, 1, 1])
    graph.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    graph.node("BatchNormalization", *(graph.constant(draw.random(3) + 0.5) for _ in range(4)))
    graph.node("Clip", graph.constant(-1.0), graph.constant(1.0))
    graph.sign()
    graph.node("Pad", graph.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), graph.constant(1.0))
    graph.node("Conv", graph.sign(graph.constant(draw.normal(size=(4, 3, 3, 3)))))
    graph.quant(2)
    graph.node("Reshape", graph.constant([0, -1], np.int64))
    graph.node("Gemm", graph.quant(4, 0.5, tensor=graph.constant(draw.normal(size=(36, 3)))), alpha=0.5)
    return graph


def survives(content: bytes, folder: Path) -> bool:
    """Whether the bytes still make a deployable network; any exception but FlipflowError fails the test."""
    path = folder / "model.onnx"
    path.write_bytes(content)
    try:
        return not check_file(path)
    except FlipflowError as error:
        assert error.code in ("E200", "E201", "E202")
        return False


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_damaged_files(count: int, draw: np.random.Generator, tmp_path: Path) -> None:
    content = damaged_network(draw).model().SerializeToString()
    assert survives(content, tmp_path)
    outcomes = [survives(copy, tmp_path) for copy in damaged_copies(content, draw, count)]
    assert not all(outcomes) and any(outcomes)
