"""The importer: what the canonical file gives equals QONNX's own execution of the file it was made from."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from flipflow.export.host import CanonicalModel
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.integer import lower
from flipflow.sim import reference
from tests.onnx_files import GraphWriter, executed, integers, save, signs

OPSETS = (9, 11, 13, 20)


def imported(model: onnx.ModelProto, folder: Path) -> CanonicalModel:
    canonical, problems = canonicalize(read_model(save(model, folder)))
    assert not problems.found
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
    return [node.op_type for node in canonical.chain.nodes]


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(7)


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


@pytest.mark.parametrize("opset", OPSETS)
def test_shape_gather_unsqueeze_concat_reshape(opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    """What older exporters write for x.view(x.size(0), -1), on a dynamic batch axis."""
    graph = GraphWriter("batch", 2, 4, 4)
    first_conv(graph, draw, 2, 3)
    graph.sign()
    batch = graph.side("Gather", graph.side("Shape", graph.tip), graph.constant(0, np.int64), axis=0)
    if opset < 13:
        batch = graph.side("Unsqueeze", batch, axes=[0])
    else:
        batch = graph.side("Unsqueeze", batch, graph.constant([0], np.int64))
    graph.node("Reshape", graph.side("Concat", batch, graph.constant([-1], np.int64), axis=0))
    dense(graph, draw, 12, 4)
    operators = check(graph.model(opset), images_of(draw, 2, 4, 4), tmp_path)
    assert operators == ["Quant", "Conv", "BipolarQuant", "Flatten", "MatMul"]


def test_transposed_weights_before_matmul(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 9)
    graph.sign()
    weights = graph.sign(graph.constant(draw.normal(size=(4, 9))))
    graph.node("MatMul", graph.side("Transpose", weights, perm=[1, 0]))
    assert check(graph.model(), images_of(draw, 9), tmp_path) == ["BipolarQuant", "MatMul"]


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


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_auto_pad(auto_pad: str, strides: tuple[int, int], draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 8, 7)
    graph.sign()
    weights = graph.sign(graph.constant(draw.normal(size=(3, 2, 2, 3))))
    graph.node("Conv", weights, auto_pad=auto_pad, strides=strides)
    graph.node("MaxPool", kernel_shape=[2, 2], auto_pad=auto_pad, strides=[1, 2])
    graph.sign()
    graph.node("Flatten", axis=1)
    model = graph.model(13)
    dense(graph, draw, executed(model, np.zeros((1, 2, 8, 7), np.float32)).size, 3)
    check(graph.model(13), images_of(draw, 2, 8, 7), tmp_path)


@pytest.mark.parametrize("size", range(4, 10))
@pytest.mark.parametrize("geometry", [(2, 2, 0), (3, 2, 0), (3, 2, 1), (2, 3, 0), (3, 4, 1), (3, 1, 1)])
def test_max_pool_rounding_up(
    size: int, geometry: tuple[int, int, int], draw: np.random.Generator, tmp_path: Path
) -> None:
    """Explicit loops, since ONNX's shape inference and onnxruntime differ on windows that begin in the padding."""
    images = images_of(draw, 1, size, size + 1)
    pooled = np.stack([pooled_rounding_up(image[0], *geometry) for image in images])
    weights = signs(draw, pooled[0].size, 3)
    kernel, stride, pad = geometry
    graph = GraphWriter(1, 1, size, size + 1)
    graph.quant(8)
    window = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [pad] * 4}
    graph.node("MaxPool", **window, ceil_mode=1)
    graph.node("Flatten", axis=1)
    graph.node("MatMul", graph.constant(weights))
    check(graph.model(), images, tmp_path, expected=pooled.reshape(len(images), -1) @ weights)


def pooled_rounding_up(image: np.ndarray, kernel: int, stride: int, pad: int) -> np.ndarray:
    """PyTorch's rule: windows go beyond the border, but none begins behind the image."""
    counts = []
    for size in image.shape:
        count = -(-(size + 2 * pad - kernel) // stride) + 1
        counts.append(count - 1 if (count - 1) * stride >= size + pad else count)
    result = np.empty(counts, np.float32)
    for row, column in np.ndindex(*counts):
        top, left = row * stride - pad, column * stride - pad
        result[row, column] = image[max(top, 0) : top + kernel, max(left, 0) : left + kernel].max()
    return result


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("value", [0.0, -1.0, 1.0])
def test_pad_nodes(value: float, opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    """Borders of 0, -1 and +1, different on all four sides; attributes before opset 11."""
    graph = GraphWriter(1, 2, 5, 4)
    graph.sign()
    pads = [0, 0, 1, 0, 0, 0, 2, 1]
    if opset < 11:
        graph.node("Pad", pads=pads, value=value, mode="constant")
    elif opset < 18:
        graph.node("Pad", graph.constant(pads, np.int64), graph.constant(value))
    else:
        axes = graph.constant([-1, 2], np.int64)
        graph.node("Pad", graph.constant([0, 1, 1, 2], np.int64), graph.constant(value), axes)
    graph.node("Conv", graph.sign(graph.constant(draw.normal(size=(4, 2, 3, 3)))))
    graph.sign()
    graph.node("Flatten", axis=1)
    dense(graph, draw, 4 * 6 * 3, 3)
    operators = check(graph.model(opset), images_of(draw, 2, 5, 4), tmp_path)
    assert ("Pad" in operators) == (value != 0.0)


def test_pad_of_zero_adds_to_the_padding_of_the_convolution(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 4, 4)
    graph.quant(4)
    graph.node("Pad", graph.constant([0, 0, 1, 0, 0, 0, 0, 1], np.int64))
    graph.node("Identity")
    graph.node("Conv", graph.sign(graph.constant(draw.normal(size=(4, 2, 5, 5)))), pads=[0, 1, 1, 0])
    graph.sign()
    graph.node("Flatten", axis=1)
    dense(graph, draw, 4 * 2 * 2, 3)
    operators = check(graph.model(), images_of(draw, 2, 4, 4), tmp_path)
    assert "Pad" not in operators


def test_pad_with_a_scaled_border_and_pad_of_nothing(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 4, 4)
    graph.sign(scale=0.5)
    graph.node("Pad", graph.constant([0] * 8, np.int64))
    graph.node("MaxPool", kernel_shape=[2, 2])
    graph.node("Pad", graph.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64), graph.constant(-0.5))
    graph.node("Conv", graph.sign(graph.constant(draw.normal(size=(3, 2, 3, 3)))))
    graph.sign()
    graph.node("Flatten", axis=1)
    dense(graph, draw, 27, 3)
    check(graph.model(), images_of(draw, 2, 4, 4), tmp_path)


@pytest.mark.parametrize("opset", OPSETS)
def test_transposes_that_cancel(opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    """An NHWC file on the host; a pair of transposes around an elementwise operator behind the quantizer."""
    graph = GraphWriter(1, 5, 6, 2)
    graph.node("Transpose", perm=[0, 3, 1, 2])
    first_conv(graph, draw, 2, 3)
    graph.node("Transpose", perm=[0, 2, 3, 1])
    graph.node("Add", graph.constant([0.5, -1.5, 3.0]))
    graph.sign()
    graph.node("Transpose", perm=[0, 3, 1, 2])
    graph.node("MaxPool", kernel_shape=[2, 2])
    graph.node("Flatten", axis=1)
    dense(graph, draw, 3 * 2 * 3, 3)
    operators = check(graph.model(opset), images_of(draw, 5, 6, 2), tmp_path)
    assert operators.count("Transpose") == 1


@pytest.mark.parametrize("opset", OPSETS)
def test_orders_of_a_flatten_go_into_the_rows_of_weights(opset: int, draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 5, 6)
    first_conv(graph, draw, 2, 4)
    graph.sign()
    graph.node("Transpose", perm=[0, 2, 3, 1])  # 3 x 4 x 4
    graph.node("Reshape", graph.constant([1, 1, 12, 4], np.int64))
    if opset < 13:
        graph.node("Squeeze", axes=[1])
        graph.node("Unsqueeze", axes=[3])
    else:
        graph.node("Squeeze", graph.constant([1], np.int64))
        graph.node("Unsqueeze", graph.constant([3], np.int64))
    graph.node("Transpose", perm=[0, 3, 2, 1])
    graph.node("Flatten", axis=1)
    graph.sign()
    dense(graph, draw, 48, 3)
    operators = check(graph.model(opset), images_of(draw, 2, 5, 6), tmp_path)
    assert operators == ["Quant", "Conv", "BipolarQuant", "BipolarQuant", "Flatten", "MatMul"]


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
    kinds = [canonical.chain.weights(node) for node in canonical.chain.nodes if node.op_type in ("Conv", "MatMul")]
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


def test_last_layer_may_be_a_convolution_down_to_one_pixel(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 3, 3)
    graph.sign()
    graph.node("Conv", graph.sign(graph.constant(draw.normal(size=(4, 2, 3, 3)))))
    assert check(graph.model(), images_of(draw, 2, 3, 3), tmp_path)[-1] == "Flatten"


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
