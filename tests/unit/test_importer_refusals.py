"""Files that cannot be deployed exactly are refused with a code, node, reason and remedy; never a traceback."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from flipflow.errors import FlipflowError
from flipflow.export.check import check_file
from flipflow.export.importer import canonicalize, read_model
from flipflow.export.problems import Problem
from tests.onnx_files import QONNX_DOMAIN, GraphWriter, save, signs


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(3)


def found(graph: GraphWriter, folder: Path, opset: int = 13) -> list[Problem]:
    """Problems of the file; every one must name a place, a reason and a remedy."""
    problems = check_file(save(graph.model(opset), folder))
    for problem in problems:
        assert problem.where and problem.what.endswith(".") and problem.fix.endswith(".")
    return problems


def refused(graph: GraphWriter, folder: Path, code: str, node: str, reason: str, opset: int = 13) -> None:
    """Exactly one problem, of this code, naming this node and this reason."""
    problems = found(graph, folder, opset)
    assert [problem.code for problem in problems] == [code]
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
    refused(graph, tmp_path, "E203", "Add node 'meeting'", "two paths")


def test_branch(draw: np.random.Generator, tmp_path: Path) -> None:
    graph = begun(draw)
    graph.side("Relu", graph.tip, name="left")
    left = graph.side("Relu", graph.tip, name="left")
    graph.node("Neg", name="right")
    graph.node("Add", left)
    assert {problem.code for problem in found(graph, tmp_path)} == {"E203"}


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


# --- damaged bytes ---


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
