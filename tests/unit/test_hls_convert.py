"""The conversion to FINN's layers, executed by FINN itself against torch, and what it refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finn_nets import Net as QonnxNet
from finn_nets import nhwc, random_images
from hls_networks import NETWORKS, execute_finn, kernels
from hw_graphs import Net, random_net
from qonnx.core.modelwrapper import ModelWrapper

from flipflow.errors import FlipflowError
from flipflow.export.finn.execute import execute
from flipflow.export.finn.streamline import lower
from flipflow.hw.convert import convert as to_kernels
from flipflow.hw.hls.convert import DEFAULT_PART, convert, folding_config
from flipflow.hw.hls.finn_graph import specialise

FIRST_SEED, SEEDS = 200, 10


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_finn_graph_gives_torchs_logits(make: Callable[[], Net]) -> None:
    net = make()
    images = net.images(4)
    np.testing.assert_array_equal(execute_finn(convert(kernels(net)), images), net.reference(images))


def test_random_networks_are_exact_or_refused() -> None:
    exact = 0
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        net = random_net(seed)
        try:
            graph = convert(kernels(net))
        except FlipflowError as error:
            assert error.code == "E395", seed
            continue
        images = net.images(2)
        np.testing.assert_array_equal(execute_finn(graph, images), net.reference(images), err_msg=f"seed {seed}")
        exact += 1
    assert exact >= SEEDS // 3


def _kernels(net: QonnxNet, folder: Path) -> Any:
    """Kernels of a QONNX network, unfolded; its streamlined graph is folder/s.onnx."""
    lower(net.save(folder / "n.onnx"), folder / "s.onnx")
    return to_kernels(ModelWrapper(str(folder / "s.onnx")))


def test_lines_are_thresholds_to_finn(tmp_path: Path) -> None:
    """Levels so many that the kernels compute lines, behind a product and on the input, rising and falling channels."""
    net = QonnxNet([1, 12], 1).quant(8).bn(gamma=1.3, mean=120.0, beta=0.0, var=17.0).quant(5, 2.0, 1)
    net.linear(9).bn(30, gamma=np.linspace(-4, 4, 9)).quant(6, 0.25, 1).linear(4, 3)
    model = _kernels(net, tmp_path)
    assert [node.op_type for node in model.graph.node].count("Requantize") == 2
    images = nhwc(random_images(net, 30))
    wanted = execute(tmp_path / "s.onnx", images)
    np.testing.assert_array_equal(execute_finn(convert(model), images), wanted)


def test_branches_are_refused(tmp_path: Path) -> None:
    net = QonnxNet([1, 2, 5, 5]).quant(8).conv(3, 3, 1, 1).bn(400).quant(4, 0.5, 1)
    stream = net.end
    net.sign().conv(3, 3, 1, 1).bn(5).quant(4, 0.5, 1).node("Add", stream).quant(4, 0.5, 1).flatten().linear(3)
    with pytest.raises(FlipflowError, match=r"layer fork0: .* branches") as caught:
        convert(_kernels(net, tmp_path))
    assert caught.value.code == "E395"


def test_zero_padded_bipolar_maps_travel_as_int2_and_others_as_one_bit() -> None:
    graph = convert(kernels(NETWORKS["masked"]()))
    kinds = {node.name: graph.get_tensor_datatype(node.input[0]).name for node in graph.graph.node}
    assert kinds["conv0"] == "INT2"
    assert kinds["pool0"] == "INT2"
    assert kinds["fc0"] == "BINARY"


def test_layers_are_specialised_with_the_runs_folding_and_names() -> None:
    layers = {"conv0": {"pe": 2, "simd": 1}, "conv1": {"pe": 3, "simd": 2}, "fc0": {"pe": 2, "simd": 8}}
    graph = specialise(convert(kernels(NETWORKS["xnor"](), layers)), DEFAULT_PART, converters=True)
    found = {node.name: node.op_type for node in graph.graph.node}
    assert found["conv0"] == found["conv1"] == found["fc0"] == "MVAU_hls"
    assert found["conv1_padding"] == "FMPadding_rtl"
    assert found["conv1_window"] == "ConvolutionInputGenerator_rtl"
    assert found["fc0_width"] == "StreamingDataWidthConverter_hls"
    config = folding_config(graph)
    assert config["conv1"] == {"PE": 3, "SIMD": 2}
    assert config["conv1_window"] == {"SIMD": 2}
    assert config["fc0"] == {"PE": 2, "SIMD": 8}


def test_simd_is_raised_where_vitis_would_refuse_it() -> None:
    net = Net([3000], "UINT8", 5).linear(2, "BIPOLAR")
    graph = convert(kernels(net, {"fc0": {"pe": 1, "simd": 2}}))
    assert folding_config(graph)["fc0"] == {"PE": 1, "SIMD": 4}  # 3000 / 1024 = 2.93; 4 is 2's next multiple in 3000


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Net([4, 4, 8], "UINT8").levels("UINT2", falls=True).linear(3, "INT3"), "falls"),
        (Net([4, 4, 2], "UINT8").pool(2, 2, minimum=(0,)).linear(3, "INT3"), "minimum"),
        (Net([4, 4, 2], "INT4").pool(2, 2, pad=1).linear(3, "INT3"), "smallest value"),
        (Net([4, 4, 2], "BINARY").conv(3, (3, 3), pads=(1, 1, 1, 1), border="plus_one"), "input"),
        (Net([4, 4, 2], "BIPOLAR").conv(3, (2, 2), "INT3", pads=(1, 0, 0, 0), border="minus_one"), "integer weights"),
    ],
    ids=["falling quantizer", "integer minimum", "signed padded pool", "border on input", "border and integer weights"],
)
def test_what_finn_lacks_is_refused_by_name(net: Net, reason: str) -> None:
    if len(net.shape) == 3:
        net = net.levels("BINARY").linear(2)
    with pytest.raises(FlipflowError, match=reason) as caught:
        convert(kernels(net))
    assert caught.value.code == "E395"
    assert caught.value.where.startswith("layer ")
