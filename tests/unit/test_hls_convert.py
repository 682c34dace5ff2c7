"""The conversion to FINN's layers, executed by FINN itself against torch, and what it refuses."""

from collections.abc import Callable

import numpy as np
import pytest
from hls_networks import NETWORKS, execute_finn, kernels
from hw_graphs import Net, random_net

from flipflow.errors import FlipflowError
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
