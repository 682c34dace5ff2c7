"""Branching networks through FINN's streamlining and into kernels, against qonnx' execution of the same file."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finn_nets import Net, nhwc, random_images
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp

from flipflow.export.finn.execute import execute
from flipflow.export.finn.streamline import lower
from flipflow.hw.build import execute_folded
from flipflow.hw.convert import convert


def check(net: Net, folder: Path, count: int = 6, scale: float = 1.0) -> tuple[ModelWrapper, Any]:
    """Streamlined graph and kernels; both give the file's logits (which are multiples of `scale`), an image at a time."""
    path, out = net.save(folder / "net.onnx"), folder / "streamlined.onnx"
    lower(path, out)
    images = random_images(net, count).astype(np.float32)
    source = ModelWrapper(str(path))
    name = source.graph.output[0].name
    wanted = np.concatenate([execute_onnx(source, {"image": image[None]})[name] for image in images])
    wanted = wanted.reshape(count, -1) / scale
    streamlined = ModelWrapper(str(out))
    assert len(np.unique(wanted)) > 1
    np.testing.assert_array_equal(execute(out, nhwc(images)), wanted)
    kernels = convert(streamlined)
    np.testing.assert_array_equal(execute_folded(kernels, nhwc(images)), wanted)
    return streamlined, kernels


def kinds(model: ModelWrapper) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def attributes(model: ModelWrapper, op: str) -> dict[str, Any]:
    node = next(node for node in model.graph.node if node.op_type == op)
    return {item.name: item.i if item.type == 2 else list(item.ints) for item in node.attribute}


def at(net: Net, end: str, shape: list[int]) -> Net:
    """Moves the net's end to an earlier tensor."""
    net.end, net.shape = end, list(shape)
    return net


def stem(seed: int = 0, bits: int = 4, channels: int = 4) -> tuple[Net, str, list[int]]:
    """A net whose end is a fixed-point map; that tensor and its shape."""
    net = Net([1, 2, 6, 5], seed).quant(8).conv(channels, 3, 1, 1, bits=3).bn(600).quant(bits, 0.25, 1)
    return net, net.end, list(net.shape)


def test_unit_saturates_like_the_quantizer_behind_the_sum(tmp_path: Path) -> None:
    net, stream, _ = stem()
    net.sign().conv(4, 3, 1, 1).bn(6).quant(4, 0.25, 1).node("Add", stream).quant(4, 0.25, 1)
    streamlined, kernels = check(net.flatten().linear(3), tmp_path, scale=0.25)
    assert attributes(streamlined, "SaturatingAdd") == {"minimum": -8, "maximum": 7}
    assert streamlined.get_tensor_datatype(streamlined.graph.node[-2].input[0]).name == "INT4"
    # the stream forks once, and the sign of it is a threshold of its own
    assert kinds(kernels)["Fork"] == 1
    assert [node.name for node in kernels.graph.node if "conv" not in node.name] == [
        *("fork0", "threshold0", "add0", "fc0", "argmax")
    ]


def test_sum_keeps_all_bits_for_two_quantizers(tmp_path: Path) -> None:
    net, stream, shape = stem(1)
    net.sign().conv(4, 3, 1, 1).bn(6).quant(4, 0.25, 1).node("Add", stream)
    total = net.end
    net.quant(4, 0.25, 1)
    narrow = net.end
    at(net, total, shape).quant(5, 0.25, 1).node("Add", narrow).quant(4, 0.25, 1)
    streamlined, _ = check(net.flatten().linear(3), tmp_path, scale=0.25)
    first = next(node for node in streamlined.graph.node if node.op_type == "SaturatingAdd")
    assert not first.attribute
    assert streamlined.get_tensor_datatype(first.output[0]).name == "INT5"  # -8 - 8 .. 7 + 7


def test_signs_read_as_bits_and_as_numbers(tmp_path: Path) -> None:
    """One sign feeds an XNOR layer, which wants bits, and a zero-padded one, which wants -1, 0 and +1."""
    net, _, _ = stem(2)
    net.sign()
    signs, shape = net.end, list(net.shape)
    net.conv(3, 3, 1, 1, "minus_one").bn(6).quant(3, 0.5, 1)
    left = net.end
    at(net, signs, shape).conv(3, 3, 1, 1).bn(6).quant(3, 0.5, 1).node("Add", left).quant(3, 0.5, 1)
    streamlined, kernels = check(net.flatten().linear(3), tmp_path, scale=0.5)
    assert kinds(streamlined)["XnorPopcountMatMul"] == 1
    # -1 and +1 become bits by a threshold that is no kernel, for in hardware they are one encoding
    assert kinds(streamlined)["MultiThreshold"] == 4
    assert "Threshold" not in kinds(kernels)


@pytest.mark.parametrize("kind", ["zero", "plus_one"])
def test_sums_of_a_layer_with_two_quantizers(tmp_path: Path, kind: str) -> None:
    """No weights can be negated for one of them, so falling channels stay as such; XNOR sums are popcounts."""
    net, _, _ = stem(3)
    net.sign().conv(5, 3, 1, 1, kind)
    sums, shape = net.end, list(net.shape)
    net.bn(6, gamma=[1.0, -1.0, 0.5, -0.5, 0.0]).quant(3, 0.5, 1)
    left = net.end
    at(net, sums, shape).bn(6, gamma=[-1.0, 1.0, 0.5, 0.0, -2.0]).quant(3, 0.5, 1).node("Add", left).quant(3, 0.5, 1)
    streamlined, _ = check(net.flatten().linear(3), tmp_path, scale=0.5)
    assert kinds(streamlined)["Threshold"] == 2


def test_float_chain_that_parts_before_its_quantizers(tmp_path: Path) -> None:
    net, _, _ = stem(4)
    net.sign().conv(4, 3, 1, 1).bn(6)
    floats, shape = net.end, list(net.shape)
    net.pool(2, 1, 1).sign().conv(4, 2).bn(6).quant(3, 0.5, 1)
    left = net.end
    at(net, floats, shape).node("Clip", net.const(-1.5), net.const(1.0)).quant(3, 0.5, 1).node("Add", left)
    check(net.quant(3, 0.5, 1).flatten().linear(3), tmp_path, scale=0.5)


def test_border_that_two_layers_share(tmp_path: Path) -> None:
    net, _, _ = stem(5)
    net.sign().conv(3, 3, 1, 1, "plus_one").bn(6).quant(3, 0.5, 1)
    left, padded = net.end, next(node.output[0] for node in net.nodes if node.op_type == "Pad")
    at(net, padded, [1, 4, 8, 7]).conv(3, 3).bn(6).quant(3, 0.5, 1).node("Add", left).quant(3, 0.5, 1)
    check(net.flatten().linear(3), tmp_path, scale=0.5)


def test_paths_part_and_meet_behind_a_flatten(tmp_path: Path) -> None:
    """Flattened maps are read in the stream's order by layers, and by thresholds that differ from channel to channel."""
    net, _, _ = stem(6)
    net.flatten()
    flat, shape = net.end, list(net.shape)
    at(net, flat, shape).sign().linear(6).bn(9).quant(3, 0.5, 1)
    left = net.end
    at(net, flat, shape).linear(6, 3, 0.5).bn(40).quant(3, 0.5, 1).node("Add", left).quant(3, 0.5, 1)
    middle = net.end
    each = {"gamma": np.resize([1.0, -1.0, 0.5, 2.0, 0.0], 120), "mean": np.arange(120) % 7 / 4 - 0.75}
    at(net, flat, shape).bn(**each, beta=0.0, var=1.0).sign().linear(6).bn(9).quant(3, 0.5, 1).node("Add", middle)
    streamlined, _ = check(net.quant(3, 0.5, 1).linear(3), tmp_path, scale=0.5)
    assert kinds(streamlined)["Threshold"] == 1  # some of the 120 fall


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean", "GlobalAveragePool", "AveragePool"])
@pytest.mark.parametrize("signs", [False, True])
def test_sums_over_windows(tmp_path: Path, op: str, signs: bool) -> None:
    net, _, _ = stem(7, bits=6)
    if signs:
        net.sign()
    step = 0.25 if not signs else 2.0**-2
    if op == "ReduceSum":
        net.node(op, net.const([2, 3], np.int64), shape=[1, 4], keepdims=0)
    elif op == "ReduceMean":
        net.node(op, shape=[1, 4, 1, 1], axes=[2, 3], keepdims=1)
    elif op == "GlobalAveragePool":
        net.node(op, shape=[1, 4, 1, 1])
    else:
        net.node(op, shape=[1, 4, 3, 4], kernel_shape=[2, 2], strides=[2, 1])
    net.quant(7, step, 1)
    if len(net.shape) == 4:
        net.flatten()
    streamlined, kernels = check(net.linear(3, 4), tmp_path, scale=step)
    assert attributes(streamlined, "SumPool")["kernel"] == ([2, 2] if op == "AveragePool" else [6, 5])
    assert ("sum0_window" in {node.name for node in kernels.graph.node}) == (op == "AveragePool")


@pytest.mark.parametrize("values", ["average", "biased"])
def test_convolution_within_channels_becomes_a_sum(tmp_path: Path, values: str) -> None:
    """Weights of a quarter on each output's own channel, none on two more: an average, and channels of zeros."""
    net, stream, _ = stem(8, bits=6)
    weights = np.zeros((6, 4, 2, 2))
    weights[1 + np.arange(4), np.arange(4)] = 0.25
    name = net.const(weights)
    net.nodes.append(
        helper.make_node(
            "Quant", [name, *(net.const(v) for v in (0.125, 0.0, 4.0))], ["average"], domain="qonnx.custom_op.general",
            signed=1, narrow=0, rounding_mode="ROUND",
        )
    )  # fmt: skip
    info = helper.make_tensor_value_info("average", TensorProto.FLOAT, [6, 4, 2, 2])
    net.infos.append(info)
    at(net, stream, [1, 4, 6, 5])
    net.node(
        "Conv",
        "average",
        shape=[1, 6, 3, 2],
        kernel_shape=[2, 2],
        strides=[2, 2],
        pads=[0] * 4,
        group=1,
        dilations=[1] * 2,
    )
    if values == "biased":  # the channels of zeros are none any more
        net.node("Add", net.const(np.full((1, 6, 1, 1), 0.5)))
    net.quant(6, 0.25, 1)
    _, kernels = check(net.flatten().linear(3), tmp_path, scale=0.25)
    names = {node.name for node in kernels.graph.node}
    assert ({"sum0_window", "sum0", "requant0", "pad0"} <= names) == (values == "average")


def test_one_tensor_added_to_itself(tmp_path: Path) -> None:
    net, stream, _ = stem(9)
    net.node("Add", stream).quant(4, 0.25, 1).flatten().linear(3)
    _, kernels = check(net, tmp_path, scale=0.25)
    assert kinds(kernels)["Fork"] == 1


def test_the_image_itself_is_read_twice(tmp_path: Path) -> None:
    net = Net([1, 2, 5, 5], 10).quant(8)
    image, shape = net.end, list(net.shape)
    net.conv(3, 3, 1, 1).bn(400).quant(3, 0.5, 1)
    left = net.end
    at(net, image, shape).conv(3, 1).bn(200).quant(3, 0.5, 1).node("Add", left).quant(3, 0.5, 1).flatten().linear(3)
    _, kernels = check(net, tmp_path, scale=0.5)
    assert kernels.graph.node[0].op_type == "Fork"


def test_layers_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    """A shortcut's layer stands where the file has it, between those of the other path."""
    net, stream, shape = stem(11)
    net.sign().conv(4, 3, 1, 1).bn(6).sign()
    inner, inner_shape = net.end, list(net.shape)
    at(net, stream, shape).conv(4, 1, bits=4).bn(20).quant(4, 0.25, 1)
    shortcut = net.end
    at(net, inner, inner_shape).conv(4, 3, 1, 1).bn(6).quant(4, 0.25, 1).node("Add", shortcut).quant(4, 0.25, 1)
    net.flatten().linear(3)
    path = net.save(tmp_path / "order.onnx")
    report = lower(path, tmp_path / "s.onnx")
    convolutions = [node.name for node in net.nodes if node.op_type == "Conv"]
    assert [layer.source for layer in report.layers[:-1]] == convolutions
    assert [layer.fan_in for layer in report.layers] == [18, 36, 4, 36, 120]
    check(net, tmp_path, scale=0.25)


def test_streamlined_branches_run_under_qonnx(tmp_path: Path) -> None:
    """Additions and sums are ordinary qonnx custom ops, and qonnx infers their datatypes as they are annotated."""
    net, stream, _ = stem(12, bits=5)
    net.sign().conv(4, 3, 1, 1).bn(6).quant(4, 0.25, 1).node("Add", stream)
    total, shape = net.end, list(net.shape)
    net.quant(5, 0.25, 1)
    narrow = net.end
    at(net, total, shape).quant(6, 0.25, 1).node("Add", narrow).quant(5, 0.25, 1)
    net.node("GlobalAveragePool", shape=[1, 4, 1, 1]).quant(6, 0.25, 1).flatten().linear(3)
    streamlined, _ = check(net, tmp_path, scale=0.25)
    image = nhwc(random_images(net, 1)).astype(np.float32)
    (found,) = execute_onnx(streamlined, {"global_in": image}).values()
    np.testing.assert_array_equal(found.astype(np.int64), execute(streamlined, image))
    # INT5 + INT4: -24..22; saturated to -16..15; 30 pixels of that: -480..450
    kinds_of = {"SaturatingAdd": ["INT6", "INT5"], "SumPool": ["INT10"]}
    for op, wanted in kinds_of.items():
        made = [node for node in streamlined.graph.node if node.op_type == op]
        assert [streamlined.get_tensor_datatype(node.output[0]).name for node in made] == wanted
        for node in made:
            annotated = streamlined.get_tensor_datatype(node.output[0])
            getCustomOp(node).infer_node_datatype(streamlined)
            assert streamlined.get_tensor_datatype(node.output[0]) == annotated
