"""Models of the peers: topology against the integer net, and the three peers against each other."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from flipflow.cpu.bench.float_graph import FloatGraph, GraphBuilder, conv_layer, float_twin, standard_resnet
from flipflow.cpu.bench.float_onnx import INPUT, to_onnx
from flipflow.cpu.bench.networks import PIXEL, small_residual_net
from flipflow.cpu.bench.peers import PEERS, model_bytes, peers
from flipflow.export.integer.net import NET_INPUT, ActType, Conv, IntegerNet, Linear, MaxPool, Threshold

BIT = ActType(1, True, True, -1, 1)


def _chain_net() -> IntegerNet:
    """8-bit 2x3 convolution of a 7x6x3 map, sign, max-pool, binary fully connected layer; nothing is symmetric."""
    random = np.random.default_rng(0)
    weights = random.integers(-20, 21, (5, 2, 3, 3)).astype(np.int16)
    conv = Conv("conv0", weights, (1, 1), (0, 1, 1, 2), "zero", PIXEL, 8, False, "sum")
    threshold = Threshold("threshold0", np.zeros((5, 1), np.int32), np.zeros(5, bool), BIT)
    pool = MaxPool("pool0", (2, 2), (2, 2), (0, 0, 0, 0), np.zeros(5, bool))
    signs = (random.integers(0, 2, (4, 3 * 3 * 5)) * 2 - 1).astype(np.int16)
    linear = Linear("fc0", signs, BIT, 1, True, "popcount")
    return IntegerNet(PIXEL, (7, 6, 3), (conv, threshold, pool, linear), 1.0, 4)


def _kinds(graph: FloatGraph) -> Counter[str]:
    return Counter(node.kind for node in graph.nodes)


def test_twin_of_a_chain() -> None:
    graph = float_twin(_chain_net())
    assert [node.kind for node in graph.nodes] == ["conv", "relu", "max_pool", "flatten", "gemm"]
    assert graph.input_shape == (3, 7, 6)
    assert [node.shape for node in graph.nodes] == [(5, 7, 7), (5, 7, 7), (5, 3, 3), (45,), (4,)]


def test_twin_reorders_columns_of_the_fully_connected_layer() -> None:
    net = _chain_net()
    linear = net.operators[-1]
    assert isinstance(linear, Linear)
    weight = float_twin(net).nodes[-1].weight
    assert weight is not None
    # Column of channel 2, row 1, column 0 of the 3x3x5 map: NHWC (1*3+0)*5+2, NCHW (2*3+1)*3+0.
    assert np.array_equal(np.sign(weight[:, 21]), linear.weights[:, 17])


def test_twin_of_a_residual_net_has_its_convolutions_and_additions() -> None:
    graph = float_twin(small_residual_net())
    kinds = _kinds(graph)
    # stem, two blocks of two, one downsampling; a ReLU behind the stem and each addition.
    assert kinds == {"conv": 6, "relu": 5, "add": 4, "max_pool": 1, "average_pool": 1, "flatten": 1, "gemm": 1}
    assert graph.nodes[-1].shape == (10,)


@pytest.mark.parametrize(("name", "convs", "parameters"), [("resnet18", 20, 11_684_712), ("resnet34", 36, 21_789_160)])
def test_standard_resnets(name: str, convs: int, parameters: int) -> None:
    # torchvision's counts less two of batch normalization's three vectors (11 689 512 and 21 797 672, 4 800 and 8 512 channels).
    graph = standard_resnet(name)
    assert _kinds(graph)["conv"] == convs
    assert graph.parameters == parameters
    assert graph.nodes[-1].shape == (1000,)


@pytest.mark.parametrize("net", [_chain_net(), small_residual_net()], ids=["chain", "residual"])
def test_all_peers_compute_the_same(net: IntegerNet) -> None:
    found = peers(float_twin(net), 1)
    assert [peer.engine for peer in found] == list(PEERS)
    fp32, int8, torch = (peer.call() for peer in found)
    assert fp32.shape == (net.classes,)
    np.testing.assert_allclose(fp32, torch, rtol=1e-4, atol=1e-4)
    assert np.corrcoef(fp32, int8)[0, 1] > 0.98
    assert all(peer.file_bytes > 0 and peer.first_ms > 0 and peer.load_ms > 0 for peer in found)


def test_int8_convolutions_are_really_quantized() -> None:
    graph = float_twin(small_residual_net())
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model_bytes(graph, True), options, providers=["CPUExecutionProvider"])
        kinds = Counter(node.op_type for node in onnx.load(Path(folder) / "optimized.onnx").graph.node)
    assert kinds["QLinearConv"] == 6
    assert kinds["QLinearAdd"] == 4
    assert kinds["QuantizeLinear"] == kinds["DequantizeLinear"] == 1
    assert not {"Conv", "FusedConv", "Relu", "Add"} & set(kinds)


def test_peers_are_made_once() -> None:
    graph = conv_layer((8, 5, 5))
    assert all(first is again for first, again in zip(peers(graph, 1), peers(graph, 1), strict=True))


def test_unequal_pads_of_a_max_pool() -> None:
    builder = GraphBuilder("pool", (1, 3, 3))
    pool = builder.pool("max_pool", NET_INPUT, (2, 2), (2, 2), (1, 0, 0, 1))
    builder.random_gemm(builder.flatten(pool), 3)
    graph = builder.finish()
    assert graph.nodes[0].shape == (1, 2, 2)
    model = to_onnx(graph)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.run(None, {INPUT: np.zeros((1, 1, 3, 3), np.float32)})[0].shape == (1, 3)
    fp32, _, torch = (peer.call() for peer in peers(graph, 1))
    np.testing.assert_allclose(fp32, torch, rtol=1e-5, atol=1e-5)
