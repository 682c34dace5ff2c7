"""Files that cannot be deployed exactly are refused with a code, node, reason and remedy; never a traceback.

Layers and numbers are in test_importer_refusals_layers.py, damaged bytes in test_importer_fuzz.py.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from importer_graphs import begun, binary, ended, found, refused

from flipflow.errors import FlipflowError
from flipflow.export.importer import canonicalize, read_model
from tests.onnx_files import QONNX_DOMAIN, GraphWriter, save


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(3)


# --- files ---


def raised(path: Path) -> FlipflowError:
    with pytest.raises(FlipflowError) as caught:
        read_model(path)
    assert str(path) == caught.value.where
    return caught.value


def test_missing_file(tmp_path: Path) -> None:
    assert raised(tmp_path / "none.onnx").code == "E200"
    assert raised(tmp_path).code == "E200"


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x00" * 100, b"\x08\x08"])
def test_not_a_model(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert raised(path).code == "E201"


def test_opset_too_old(draw: np.random.Generator, tmp_path: Path) -> None:
    error = raised(save(ended(begun(draw), draw, 64).model(8), tmp_path))
    assert error.code == "E201" and "opset 8" in error.what and "opset 9" in error.fix


def test_damaged_constant(draw: np.random.Generator, tmp_path: Path) -> None:
    model = ended(begun(draw), draw, 64).model()
    model.graph.initializer[1].raw_data = model.graph.initializer[1].raw_data[:-2]
    error = raised(save(model, tmp_path))
    assert error.code == "E201" and repr(model.graph.initializer[1].name) in error.what


def test_constants_in_a_missing_file(draw: np.random.Generator, tmp_path: Path) -> None:
    model = ended(begun(draw), draw, 64).model()
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    (tmp_path / "model.data").unlink()
    assert raised(path).code == "E201"


def test_loop_in_the_graph(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.side("Add", graph.tip, "t3")
    graph.tip = graph.side("Relu", "t2")
    error = raised(save(graph.model(), tmp_path))
    assert error.code == "E201" and "depends on itself" in error.what


def test_tensor_from_nowhere(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.node("Add", "ghost", name="haunted")
    refused(graph, tmp_path, "E201", "ghost", "nothing makes it")


@pytest.mark.parametrize("shape", [(1,), (1, "channels"), (1, 2, 0, 6), (1, 3, 2**30, 2**30)])
def test_input_of_unknown_or_absurd_size(shape: tuple[int | str, ...], tmp_path: Path) -> None:
    graph = GraphWriter(*shape)
    graph.sign()
    assert raised(save(graph.model(), tmp_path)).code == "E202"


def test_two_inputs(draw: np.random.Generator, tmp_path: Path) -> None:
    model = ended(begun(draw), draw, 64).model()
    model.graph.input.append(onnx.helper.make_tensor_value_info("second", onnx.TensorProto.FLOAT, [1, 2]))
    error = raised(save(model, tmp_path))
    assert error.code == "E202" and "2 inputs" in error.what


def test_output_that_is_no_vector(draw: np.random.Generator, tmp_path: Path) -> None:
    refused(begun(draw), tmp_path, "E202", "output", "(1, 4, 4, 4)")


# --- structure ---


def test_residual(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    before = graph.sign()
    graph.node("Relu")
    graph.node("Add", before, name="meeting")
    refused(graph, tmp_path, "E222", "Add node 'meeting'", "which no quantizer made")


def test_branch(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.side("Relu", graph.tip, name="left")
    left = graph.side("Relu", graph.tip, name="left")
    graph.node("Neg", name="right")
    graph.node("Add", left)
    assert {problem.code for problem in found(graph, tmp_path)} == {"E222"}


@pytest.mark.parametrize(("operator", "domain"), [("Softmax", ""), ("Mystery", ""), ("Mystery", "com.example")])
def test_unknown_operator(operator: str, domain: str, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.node(operator, domain=domain, name="strange")
    refused(graph, tmp_path, "E204", f"{operator} node 'strange'", "")


def test_node_that_cannot_be_executed(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.node("Reshape", graph.constant([1, 7], np.int64), name="odd")
    refused(graph, tmp_path, "E204", "Reshape node 'odd'", "cannot be executed")


def test_cast_that_cuts_fractions(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.node("Cast", to=onnx.TensorProto.INT32, name="cut")
    graph.node("Cast", to=onnx.TensorProto.FLOAT)
    graph.sign()
    refused(ended(graph, draw, 9), tmp_path, "E204", "Cast node 'cut'", "another type")


# --- quantization ---


def test_weights_that_are_not_quantized(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    graph.node("MatMul", graph.constant(draw.normal(size=(9, 3))), name="floating")
    refused(graph, tmp_path, "E205", "MatMul node 'floating'", "not quantized")


@pytest.mark.parametrize("shape", [(9, 3), (9, 1)])
def test_weights_that_are_all_zero(shape: tuple[int, int], tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    graph.node("MatMul", graph.constant(np.zeros(shape)), name="nothing")
    refused(graph, tmp_path, "E205", "MatMul node 'nothing'", "not quantized")


def test_weights_one_step_too_wide(tmp_path: Path) -> None:
    """-128..127 are 8 bits, 128 is not."""
    graph = GraphWriter(1, 2)
    graph.sign()
    graph.node("MatMul", graph.constant([[1.0, -128.0], [128.0, 3.0]]), name="wide")
    refused(graph, tmp_path, "E205", "MatMul node 'wide'", "not quantized")


@pytest.mark.parametrize("scale", [0.1, 3.0, 0.0, -1.0, float("nan"), float("inf")])
def test_scale_that_is_no_power_of_two(scale: float, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.quant(8, scale, name="scaled")
    refused(ended(graph, draw, 9), tmp_path, "E206", "Quant node 'scaled'", "power of two")


def test_scale_a_channel(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.node("BipolarQuant", graph.constant([[[[1.0]], [[2.0]], [[1.0]], [[4.0]]]]), domain=QONNX_DOMAIN, name="many")
    refused(ended(graph, draw, 64), tmp_path, "E206", "BipolarQuant node 'many'", "1, 2, 4")


def test_scale_from_the_data(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    largest = graph.side("ReduceMax", graph.tip, keepdims=1)
    graph.node("BipolarQuant", largest, domain=QONNX_DOMAIN, name="dynamic")
    problems = found(ended(graph, draw, 9), tmp_path)
    assert [problem.code for problem in problems] in (["E203"], ["E204"], ["E206"])


def test_zero_point(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    operands = [graph.constant(value) for value in (1.0, 3.0, 4.0)]
    graph.node("Quant", *operands, domain=QONNX_DOMAIN, name="shifted", signed=1, narrow=0, rounding_mode="ROUND")
    refused(ended(graph, draw, 9), tmp_path, "E206", "Quant node 'shifted'", "zero point")


@pytest.mark.parametrize("bits", [0.0, 2.5, 17.0, float("nan")])
def test_bit_width(bits: float, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.quant(bits, name="wide")
    refused(ended(graph, draw, 9), tmp_path, "E206", "Quant node 'wide'", "bit width")


def test_weight_quantizer_with_a_bad_scale_is_named_once(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    weights = graph.quant(4, 0.3, tensor=graph.constant(draw.normal(size=(3, 9))), name="weights")
    graph.node("MatMul", graph.side("Transpose", weights, perm=[1, 0]))
    refused(graph, tmp_path, "E206", "Quant node 'weights'", "0.3")


def test_binary_weights_with_a_scale_that_is_no_power_of_two(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    graph.node("MatMul", graph.constant(binary(draw, 9, 3) * 0.1), name="tenths")
    refused(graph, tmp_path, "E206", "MatMul node 'tenths'", "0.1")


def test_input_of_a_layer_that_is_not_quantized(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.node("Relu")
    refused(ended(graph, draw, 64), tmp_path, "E212", "MatMul node 'last'", "not quantized")


def test_no_quantizer_and_no_layer(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.node("Relu")
    refused(graph, tmp_path, "E215", "model", "no activation is quantized")
    graph.sign()
    refused(graph, tmp_path, "E215", "model", "follows the first quantizer")


# --- several at once ---


def test_all_problems_are_shown(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 6, 6)
    graph.quant(8, 0.1, name="input")
    graph.node("Conv", graph.constant(draw.normal(size=(4, 2, 3, 3))), name="floating")
    graph.node("Relu")
    graph.node("Conv", graph.constant(binary(draw, 4, 2, 3, 3)), group=2, name="grouped")
    graph.sign()
    weights = graph.quant(4, 0.3, tensor=graph.constant(draw.normal(size=(16, 3))), name="weights")
    graph.node("Flatten", axis=1)
    graph.node("MatMul", weights, name="last")
    problems = found(graph, tmp_path)
    # The scale of the last weights comes first or later, as the file orders its nodes.
    assert sorted((problem.code, problem.where) for problem in problems) == [
        ("E205", "Conv node 'floating'"),
        ("E206", "Quant node 'input'"),
        ("E206", "Quant node 'weights'"),
        ("E208", "Conv node 'grouped'"),
        ("E212", "Conv node 'grouped'"),
    ]
    model, noted = canonicalize(read_model(tmp_path / "model.onnx"))
    assert model is None
    with pytest.raises(FlipflowError) as caught:
        noted.raise_first()
    assert "and 4 more" in caught.value.fix
