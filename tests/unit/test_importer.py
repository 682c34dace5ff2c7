"""The importer: what the canonical file gives equals QONNX's own execution of the file it was made from.

Operators, constants and quantizers here; windows, pads and orders of data in test_importer_shapes.py.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from importer_graphs import OPSETS, check, dense, first_conv, images_of, imported

from flipflow.export.host import CanonicalModel
from flipflow.export.importer import canonicalize, read_model
from tests.onnx_files import GraphWriter, executed, integers, signs


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("opset", OPSETS)
def test_clip_by_attributes_or_inputs_in_every_opset(opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 5, 6)
    first_conv(graph, draw, 2, 4)
    if opset < 11:
        graph.node("Clip", min=-3.0, max=5.0)
    else:
        graph.node("Clip", graph.constant(-3.0), graph.constant(5.0))
    graph.quant(3, 2.0)
    graph.node("Flatten", axis=1)
    dense(graph, draw, 48, 3)
    check(graph.model(opset), images_of(draw, 2, 5, 6), tmp_path)


def test_clip_with_one_bound(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 7)
    graph.quant(4)
    dense(graph, draw, 7, 5)
    graph.node("Clip", "", graph.constant(2.0))
    graph.quant(4)
    dense(graph, draw, 5, 3)
    check(graph.model(), images_of(draw, 7), tmp_path)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("opset", OPSETS)
def test_gemm_with_alpha_beta_and_bias(opset: int, transposed: int, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.quant(3, signed=0)
    shape = (4, 9) if transposed else (9, 4)
    weights = graph.quant(2, 0.5, tensor=graph.constant(draw.normal(size=shape)))
    bias = graph.constant(draw.integers(-3, 3, 4))
    graph.node("Gemm", weights, bias, transB=transposed, alpha=0.5, beta=2.0)
    graph.sign()
    dense(graph, draw, 4, 3)
    operators = check(graph.model(opset), images_of(draw, 9), tmp_path)
    assert operators == ["Quant", "MatMul", "Mul", "Add", "BipolarQuant", "MatMul"]


@pytest.mark.parametrize("opset", OPSETS)
def test_pow_of_constants(opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    """Brevitas writes scales as 2 ** -k."""
    graph = GraphWriter(1, 6)
    scale = graph.side("Pow", graph.constant(2.0), graph.constant(-2.0))
    operands = [scale, graph.constant(0.0), graph.constant(4.0)]
    attributes = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND", "domain": "qonnx.custom_op.general"}
    graph.node("Quant", *operands, **attributes)
    graph.node("MatMul", graph.side("Quant", graph.constant(draw.normal(size=(6, 3))), *operands, **attributes))
    check(graph.model(opset), draw.normal(size=(6, 6)).astype(np.float32), tmp_path)


@pytest.mark.parametrize("exponent", [1.0, 3.0])
def test_odd_powers_of_the_data_rise(exponent: float, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.quant(3)
    dense(graph, draw, 9, 5)
    graph.node("Mul", graph.constant(0.25))
    graph.node("Pow", graph.constant(exponent))
    graph.quant(4, 0.5)
    dense(graph, draw, 5, 3)
    check(graph.model(), images_of(draw, 9), tmp_path)


@pytest.mark.parametrize("opset", OPSETS)
def test_constant_nodes_and_nodes_without_effect(opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.node("Identity")
    graph.node("Cast", to=onnx.TensorProto.FLOAT)
    graph.sign()
    graph.node("Dropout")
    raw = onnx.numpy_helper.from_array(draw.normal(size=(9, 4)).astype(np.float32), "value")
    weights = graph.sign(graph.side("Identity", graph.side("Constant", value=raw)))
    graph.node("MatMul", graph.side("Identity", weights))
    graph.node("Identity")
    assert check(graph.model(opset), images_of(draw, 9), tmp_path) == ["BipolarQuant", "MatMul"]


@pytest.mark.parametrize("opset", [9, 13, 14, 15, 20])
def test_batch_normalization(opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    """Gammas of both signs and 0; with a tie where a sum equals the mean."""
    graph = GraphWriter(1, 2, 6, 5)
    first_conv(graph, draw, 2, 5, pads=[1, 1, 1, 1], strides=[2, 1])
    constants = [
        [1.5, -0.5, 0.0, 2.0, -1.0],
        [0.0, 0.0, -1.0, 0.5, 0.0],
        [0.0, 3.0, 1.0, 0.0, -2.0],
        [4.0, 1.0, 2.0, 9.0, 1.0],
    ]
    graph.node("BatchNormalization", *(graph.constant(value) for value in constants), epsilon=1e-4)
    graph.sign()
    graph.node("Flatten")
    dense(graph, draw, 75, 4)
    check(graph.model(opset), images_of(draw, 2, 6, 5), tmp_path)


@pytest.mark.parametrize("opset", [9, 13])
def test_float_preamble_stays_on_the_host(opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter("batch", 2, 6, 6)
    graph.node("Mul", graph.constant(2.0))
    graph.tip = graph.side("Sub", graph.tip, graph.constant(1.0))
    graph.node(
        "Conv", graph.constant(draw.normal(size=(3, 2, 3, 3))), graph.constant(draw.normal(size=3)), pads=[1] * 4
    )
    graph.node("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    graph.node("Reshape", graph.constant([-1, 27], np.int64))
    graph.node("Gemm", graph.constant(draw.normal(size=(27, 8))), graph.constant(draw.normal(size=8)))
    graph.quant(4, 0.5)
    dense(graph, draw, 8, 4)
    images = draw.random((9, 2, 6, 6), dtype=np.float32)
    operators = check(graph.model(opset), images, tmp_path)
    assert operators == ["Mul", "Sub", "Conv", "AveragePool", "Reshape", "Gemm", "Quant", "MatMul"]


def test_weights_that_are_quantized_already(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 5, 5)
    graph.sign()
    graph.node("Conv", graph.constant(signs(draw, 4, 2, 3, 3) * 0.25))
    graph.sign()
    graph.node("Flatten", axis=1)
    graph.node("MatMul", graph.constant(integers(draw, -5, 5, 36, 3) / 8))
    canonical = imported(graph.model(), tmp_path)
    kinds = [canonical.graph.weights(node) for node in canonical.graph.nodes if node.op_type in ("Conv", "MatMul")]
    assert [(kind.scale, kind.type.bits, kind.type.bipolar) for kind in kinds] == [(0.25, 1, True), (0.125, 4, False)]
    check(graph.model(), images_of(draw, 2, 5, 5), tmp_path)


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize("signed", [0, 1])
def test_weights_and_activations_of_k_bits(
    bits: int, narrow: int, signed: int, draw: np.random.Generator, tmp_path: Path
) -> None:
    kind = {"signed": signed, "narrow": narrow}
    graph = GraphWriter(1, 9)
    graph.quant(bits, 0.5, **kind)
    graph.node("MatMul", graph.quant(bits, 0.25, tensor=graph.constant(draw.normal(size=(9, 5)) * 2**bits / 5), **kind))
    graph.quant(bits, 0.5, **kind)
    dense(graph, draw, 5, 3)
    check(graph.model(), images_of(draw, 9), tmp_path)


def test_a_signed_quantizer_of_one_bit_is_a_sign(draw: np.random.Generator, tmp_path: Path) -> None:
    """QONNX executes Quant with one signed bit as -1 and +1, for activations and for weights."""
    graph = GraphWriter(1, 9)
    graph.quant(1, 0.5)
    graph.node("MatMul", graph.quant(1, 0.25, tensor=graph.constant(draw.normal(size=(9, 5)))))
    graph.quant(1)
    dense(graph, draw, 5, 3)
    operators = check(graph.model(), images_of(draw, 9), tmp_path)
    assert operators == ["BipolarQuant", "MatMul", "BipolarQuant", "MatMul"]


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
def test_rounding_modes(mode: str, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.quant(4, 2.0, rounding_mode=mode)
    dense(graph, draw, 9, 5)
    graph.node("Mul", graph.constant(0.25))
    graph.quant(4, rounding_mode=mode)
    dense(graph, draw, 5, 3)
    check(graph.model(), images_of(draw, 9), tmp_path)


def test_constant_first_and_affine_end(draw: np.random.Generator, tmp_path: Path) -> None:
    """Sub with the data second falls; a positive scale and a bias behind the last layer stay on the host."""
    graph = GraphWriter(1, 9)
    graph.sign()
    dense(graph, draw, 9, 5)
    graph.tip = graph.side("Sub", graph.constant([[3.0, 0.0, -1.0, 0.5, 1.0]]), graph.tip)
    graph.sign()
    dense(graph, draw, 5, 3)
    graph.node("Div", graph.constant(3.0))
    graph.node("Add", graph.constant(-0.7))
    check(graph.model(), images_of(draw, 9), tmp_path)


def test_constants_in_a_file_beside_the_model(draw: np.random.Generator, tmp_path: Path) -> None:
    """PyTorch's exporter writes them so."""
    graph = GraphWriter(1, 9)
    graph.sign()
    dense(graph, draw, 9, 5)
    model, images = graph.model(), images_of(draw, 9)
    wanted = executed(model, images)
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert (tmp_path / "model.data").is_file()
    canonical, problems = canonicalize(read_model(path))
    assert canonical is not None and not problems.found
    onnx.save(canonical, tmp_path / "canonical.onnx")
    np.testing.assert_array_equal(CanonicalModel.load(tmp_path / "canonical.onnx").outputs(images), wanted)
