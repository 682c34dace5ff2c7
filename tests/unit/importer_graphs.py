"""What the tests of the importer share: graphs to begin and end with, and the checks of what becomes of a file."""

from pathlib import Path

import numpy as np
import onnx

from flipflow.export.check import check_file
from flipflow.export.host import CanonicalModel
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.integer import lower
from flipflow.export.problems import Problem
from flipflow.sim import reference
from tests.onnx_files import GraphWriter, executed, integers, save, signs

OPSETS = (9, 11, 13, 20)


# --- files that are imported ---


def imported(model: onnx.ModelProto, folder: Path) -> CanonicalModel:
    canonical, problems = canonicalize(read_model(save(model, folder)))
    assert not problems.found, problems.found
    assert canonical is not None
    assert canonical.opset_import[0].version == 13
    onnx.save(canonical, folder / "canonical.onnx")
    return CanonicalModel.load(folder / "canonical.onnx")


def check(model: onnx.ModelProto, images: np.ndarray, folder: Path, expected: np.ndarray | None = None) -> list[str]:
    """Import `model`, compare floats with QONNX and integers with floats; returns the canonical operators."""
    canonical = imported(model, folder)
    wanted = executed(model, images) if expected is None else expected
    assert len(np.unique(wanted)) > 1, "the test would not notice anything"
    np.testing.assert_array_equal(canonical.outputs(images), wanted)
    net = lower(onnx.load(folder / "canonical.onnx"))
    logits = reference.run(net, canonical.integers(images))
    np.testing.assert_array_equal(logits, canonical.logits(images, net.logit_scale))
    return [node.op_type for node in canonical.graph.nodes]


def images_of(draw: np.random.Generator, *shape: int) -> np.ndarray:
    return integers(draw, -9, 9, 6, *shape)


def first_conv(
    graph: GraphWriter, draw: np.random.Generator, channels: int, filters: int, **attributes: object
) -> None:
    """An 8-bit input and a binary convolution of it."""
    graph.quant(8)
    graph.node("Conv", graph.sign(graph.constant(draw.normal(size=(filters, channels, 3, 3)))), **attributes)


def dense(graph: GraphWriter, draw: np.random.Generator, inputs: int, outputs: int) -> None:
    """A binary layer at the end."""
    graph.node("MatMul", graph.sign(graph.constant(draw.normal(size=(inputs, outputs)))))


# --- files that are refused ---


def found(graph: GraphWriter, folder: Path, opset: int = 13) -> list[Problem]:
    """Problems of the file; every one must name a place, a reason and a remedy."""
    problems = check_file(save(graph.model(opset), folder))
    for problem in problems:
        assert problem.where and problem.what.endswith(".") and problem.fix.endswith(".")
    return problems


def refused(graph: GraphWriter, folder: Path, code: str, node: str, reason: str, opset: int = 13) -> None:
    """Exactly one problem, of this code, naming this node and this reason."""
    problems = found(graph, folder, opset)
    assert [problem.code for problem in problems] == [code], problems
    assert node in problems[0].where
    assert reason in problems[0].what


def binary(draw: np.random.Generator, *shape: int) -> np.ndarray:
    return signs(draw, *shape)


def begun(draw: np.random.Generator, channels: int = 4) -> GraphWriter:
    """A sign and a binary convolution of 2 x 6 x 6 images: [1, channels, 4, 4] sums."""
    graph = GraphWriter(1, 2, 6, 6)
    graph.sign(scale=1.0)
    graph.node("Conv", graph.constant(binary(draw, channels, 2, 3, 3)), name="first")
    return graph


def ended(graph: GraphWriter, draw: np.random.Generator, inputs: int) -> GraphWriter:
    """A binary layer at the end."""
    graph.node("Flatten", axis=1)
    graph.node("MatMul", graph.constant(binary(draw, inputs, 3)), name="last")
    return graph
