"""`check` shows every reason at once; import is checked by execution."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from flipflow.errors import FlipflowError
from flipflow.export.check import check_file
from flipflow.export.importer import canonicalize, read_model, require_same_outputs
from tests.networks import LayerPlan, NetPlan, write_network

PLAN = NetPlan(
    input_shape=(1, 4, 4),
    input_bits=8,
    input_signed=False,
    layers=(LayerPlan(3, kernel=(3, 3), pad=1), LayerPlan(4)),
    classes=3,
    last_bits=1,
    epilogue=False,
    seed=1,
)


def _with_abs_before_quantizers(model: onnx.ModelProto) -> onnx.ModelProto:
    """An even function before each hidden activation: neither rising nor falling."""
    nodes = []
    for node in model.graph.node:
        if node.op_type == "BipolarQuant" and node.input[0].startswith("t") and nodes:
            nodes.append(helper.make_node("Abs", [node.input[0]], [node.input[0] + "_abs"]))
            nodes.append(helper.make_node("Sub", [node.input[0] + "_abs", "two"], [node.input[0] + "_shifted"]))
            node.input[0] += "_shifted"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.append(numpy_helper.from_array(np.array(2.0, np.float32), "two"))
    return model


def test_all_activations_that_are_not_monotone(tmp_path: Path) -> None:
    onnx.save(_with_abs_before_quantizers(write_network(PLAN)), tmp_path / "net.onnx")
    problems = check_file(tmp_path / "net.onnx")
    assert [problem.code for problem in problems] == ["E210", "E210"]
    assert problems[0].where != problems[1].where


def test_a_deployable_file_has_no_problem(tmp_path: Path) -> None:
    onnx.save(write_network(PLAN), tmp_path / "net.onnx")
    assert check_file(tmp_path / "net.onnx") == []


def test_windows_wholly_in_the_border(tmp_path: Path) -> None:
    """A 1x1 convolution that pads by 1: no hardware window has nothing but border."""
    layer = LayerPlan(3, kernel=(1, 1), pad=1)
    onnx.save(write_network(replace(PLAN, layers=(layer,))), tmp_path / "net.onnx")
    problems = check_file(tmp_path / "net.onnx")
    assert [problem.code for problem in problems] == ["E209"]
    assert "[1, 1, 1, 1]" in problems[0].what and "Conv" in problems[0].where


def test_import_that_changed_something_is_refused(tmp_path: Path) -> None:
    """A canonical file with one weight's sign turned is not the file it came from."""
    path = tmp_path / "net.onnx"
    onnx.save(write_network(PLAN), path)
    source = read_model(path)
    canonical, _ = canonicalize(source)
    assert canonical is not None
    require_same_outputs(source, canonical, path)
    last = [init for init in canonical.graph.initializer if init.name.startswith("weight")][-1]
    last.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(last), last.name))
    with pytest.raises(FlipflowError) as caught:
        require_same_outputs(source, canonical, path)
    assert caught.value.code == "E221"
