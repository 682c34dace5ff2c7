"""Streamlined graphs to kernels: equality with torch and with qonnx, widths, and refusals."""

import numpy as np
import pytest
from hw_graphs import Net, random_net
from onnx import helper
from qonnx.core.onnx_exec import execute_onnx

from flipflow.errors import FlipflowError
from flipflow.hw.build import execute_folded
from flipflow.hw.convert import convert
from flipflow.hw.graph import kernels_of, params_of


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_equal_torch(seed: int) -> None:
    net = random_net(seed)
    images = net.images(10)
    assert np.array_equal(execute_folded(convert(net.model()), images), net.reference(images))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_more_random_networks_equal_torch(seed: int) -> None:
    test_random_networks_equal_torch(seed)


@pytest.mark.parametrize("seed", range(100, 108))
def test_kernel_graph_equals_streamlined_graph_in_qonnx(seed: int) -> None:
    net = random_net(seed)
    streamlined = net.model()
    kernels = convert(streamlined)
    bits = net.tensors["x"][1] == "BINARY"
    product = streamlined.graph.node[-1]
    for image in net.images(3):
        frame = image[None].astype(np.float32)
        (want,) = execute_onnx(streamlined, {"x": (frame + 1) / 2 if bits else frame}).values()
        if product.op_type == "XnorPopcountMatMul":
            want = 2 * want - streamlined.get_initializer(product.input[1]).shape[0]
        (got,) = execute_onnx(kernels, {"images": frame}).values()
        assert np.array_equal(got, want)


def test_chain_of_a_cnn() -> None:
    net = Net([6, 6, 2], "UINT8").conv(4, (3, 3), "INT4", pads=(1, 1, 1, 1), border="zero").levels("BIPOLAR").pool(2, 2)
    net.conv(3, (3, 3), pads=(1, 1, 1, 1), border="zero").levels("BIPOLAR", bits=True).conv(4, (1, 1)).levels("UINT2")
    ops = kernels_of(convert(net.linear(10).model()))
    kinds = ["Window", "MixedMvtu", "Window", "Pool", "Window", "XnorMvtu", "XnorMvtu", "MixedMvtu", "Argmax"]
    assert [op.onnx_node.op_type for op in ops] == kinds
    names = ["conv0_window", "conv0", "pool0_window", "pool0", "conv1_window", "conv1", "conv2", "fc0", "argmax"]
    assert [op.name for op in ops] == names
    assert [op.integer("HasMask") for op in ops[:6]] == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(("fan_in", "width"), [(144, 8), (255, 8), (256, 9)])
def test_xnor_accumulator_is_unsigned(fan_in: int, width: int) -> None:
    # ceil(log2(K + 1)) bits, also where a threshold is K + 1 ("never": levels() makes channel 1 so)
    model = convert(Net([fan_in], "BINARY").linear(4).levels("BIPOLAR", bits=True).linear(3).model())
    unit = kernels_of(model)[0]
    assert unit.integer("AccWidth") == width
    params = params_of(model, unit)
    assert params["thresholds"].max() <= fan_in
    assert params["thresholds"][1].tolist() == [0]
    assert params["invert"][1] == 1


def test_mixed_accumulator_holds_the_worst_case() -> None:
    net = Net([3], "UINT8").linear(2, "INT3")
    net.initializers["w0"] = (np.array([[3, -4], [1, 0], [-2, -4]], np.float32), "INT3")
    unit = kernels_of(convert(net.model()))[0]
    # sums from -2 * 255 and -8 * 255 up to 4 * 255 and 0: -2040..1020 takes 12 bits
    assert (unit.integer("AccWidth"), unit.text("outputDataType")) == (12, "INT12")


def refusal(model: object) -> FlipflowError:
    with pytest.raises(FlipflowError) as caught:
        convert(model)
    return caught.value


def test_unknown_operator_is_named() -> None:
    model = Net([4], "BINARY").linear(3).model()
    model.graph.node.insert(0, helper.make_node("Sigmoid", ["x"], ["s"], "odd_one"))
    error = refusal(model)
    assert (error.code, error.where) == ("E301", "node odd_one")
    assert "Sigmoid" in error.what


def test_network_must_end_in_a_product() -> None:
    assert refusal(Net([4], "UINT8").linear(3).levels("UINT2").model()).code == "E301"


def test_bad_thresholds_are_refused() -> None:
    net = Net([4], "UINT8").linear(3).levels("UINT2")
    net.initializers["t1"][0][1, 0] = 0.5
    error = refusal(net.linear(2).model())
    assert (error.code, error.where) == ("E302", "node MultiThreshold_1")


def test_padding_beyond_the_kernel_is_refused() -> None:
    net = Net([4, 4, 1], "UINT8").conv(2, (2, 2), pads=(2, 0, 0, 0), border="zero").levels("BIPOLAR")
    error = refusal(net.linear(2).model())
    assert (error.code, error.where) == ("E302", "node Window_0")


def test_bipolar_border_on_integers_is_refused() -> None:
    net = Net([4, 4, 1], "UINT8").conv(2, (3, 3), pads=(1, 1, 1, 1), border="minus_one").levels("BIPOLAR")
    assert refusal(net.linear(2).model()).code == "E302"
