"""The importer on windows, pads, reshapes and transposes: outputs equal QONNX's own execution of the file."""

from pathlib import Path

import numpy as np
import pytest
from importer_graphs import OPSETS, check, dense, first_conv, images_of

from tests.onnx_files import GraphWriter, executed, signs


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(7)


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


def test_last_layer_may_be_a_convolution_down_to_one_pixel(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = GraphWriter(1, 2, 3, 3)
    graph.sign()
    graph.node("Conv", graph.sign(graph.constant(draw.normal(size=(4, 2, 3, 3)))))
    assert check(graph.model(), images_of(draw, 2, 3, 3), tmp_path)[-1] == "Flatten"
