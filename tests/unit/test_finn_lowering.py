"""FINN lowering against qonnx' execution of the same canonical file: equal to the bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finn.transformation.streamline import Streamline
from finn_nets import Net, canonical_logits, first_quantized, nhwc, random_images, random_net
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from flipflow.errors import FlipflowError
from flipflow.export.finn import evaluate, thresholds
from flipflow.export.finn.assemble import assemble
from flipflow.export.finn.environment import quiet
from flipflow.export.finn.execute import execute
from flipflow.export.finn.passes import run_finn
from flipflow.export.finn.read import read_network
from flipflow.export.finn.report import LoweringReport
from flipflow.export.finn.rewrite import to_integers
from flipflow.export.finn.streamline import lower

ALLOWED = {"Window", "XnorPopcountMatMul", "MatMul", "MultiThreshold", "Threshold", "MaxMinPool", "Flatten"}


def lower_and_compare(net: Net, folder: Path, count: int = 40) -> tuple[LoweringReport, ModelWrapper]:
    """For nets whose first node is an 8-bit unsigned Quant of scale 1, all scales 1."""
    path, out = net.save(folder / "net.onnx"), folder / "streamlined.onnx"
    report = lower(path, out)
    images = random_images(net, count)
    expected = canonical_logits(path, images)
    assert np.array_equal(execute(out, nhwc(images)), expected)
    model = ModelWrapper(str(out))
    assert {node.op_type for node in model.graph.node} <= ALLOWED
    return report, model


def nodes(model: ModelWrapper, op: str) -> list[Any]:
    return [node for node in model.graph.node if node.op_type == op]


def test_mlp(tmp_path: Path) -> None:
    net = Net([1, 21]).quant(8).linear(33).bn(400).sign().linear(17).bn().sign().linear(5)
    report, model = lower_and_compare(net, tmp_path)
    assert [node.op_type for node in model.graph.node] == [
        "MatMul",
        "MultiThreshold",
        "XnorPopcountMatMul",
        "MultiThreshold",
        "XnorPopcountMatMul",
    ]
    assert report.input.shape == (21,)
    output = report.output
    assert (output.kind, output.scale, output.offset, output.classes) == ("popcount", 2, -17, 5)
    facts = json.loads(model.get_metadata_prop("flipflow"))
    assert facts["input"] == {"shape": [21], "bits": 8, "signed": False, "bipolar": False}
    # 33 inputs: popcounts 0..33 need 6 bits, 17 need 5
    assert [layer.accumulator for layer in report.layers[1:]] == ["UINT6", "UINT5"]


@pytest.mark.parametrize("kind", ["zero", "minus_one", "plus_one"])
def test_every_border_of_a_binary_convolution(tmp_path: Path, kind: str) -> None:
    net = Net([1, 2, 7, 5], seed=3).quant(8).conv(5).bn(400).sign()
    net.conv(7, 3, [2, 1], (1, 2, 0, 1), kind).bn().sign().flatten().linear(6)
    report, _ = lower_and_compare(net, tmp_path)
    assert report.layers[1].pad_kind == kind
    assert report.layers[1].op == ("MatMul" if kind == "zero" else "XnorPopcountMatMul")
    assert report.layers[1].input == ("TERNARY" if kind == "zero" else "BINARY")


def test_integer_input_pads_with_zero(tmp_path: Path) -> None:
    net = Net([1, 3, 6, 4]).quant(8).conv(8, 3, 1, 1).bn(500).sign().flatten().linear(4)
    report, _ = lower_and_compare(net, tmp_path)
    assert report.layers[0].input == "UINT8"


@pytest.mark.parametrize("order", ["pool bn sign", "bn pool sign", "bn sign pool"])
@pytest.mark.parametrize("gamma", [-1.5, 0.0, 1.5, "mixed"])
def test_pool_orders_and_signs_of_gamma(tmp_path: Path, order: str, gamma: Any) -> None:
    net = Net([1, 2, 9, 7], seed=5).quant(8).conv(5).bn(400).sign().conv(7, 3, 1, 1, "minus_one")
    for step in order.split():
        if step == "bn":
            net.bn(gamma=None if gamma == "mixed" else gamma)
        elif step == "pool":
            net.pool(2)
        else:
            net.sign()
    net.flatten().linear(3)
    _, model = lower_and_compare(net, tmp_path)
    low = [list(a.ints) for a in nodes(model, "MaxMinPool")[0].attribute if a.name == "min_channels"]
    if order == "pool bn sign" and gamma == -1.5:
        assert low == [list(range(7))]  # every channel falls after the pool: all take the minimum
    elif order != "pool bn sign" or gamma in (0.0, 1.5):
        assert low == []


def test_thresholds_by_hand_with_ties(tmp_path: Path) -> None:
    """K = 9, y = (s - m) * gamma + beta: sign fires at the tie s = m too; gamma = 0: beta decides."""
    net = Net([1, 9]).sign().linear(6)
    net.node("Sub", net.const([3.0, 3.0, 0.0, 0.0, -9.0, 10.0]))
    net.node("Mul", net.const([1.0, -1.0, 0.0, 0.0, 2.0, 1.0]))
    net.node("Add", net.const([0.0, 0.0, -1.0, 0.0, 0.0, 0.0]))
    net.sign().linear(3)
    out = tmp_path / "s.onnx"
    report = lower(net.save(tmp_path / "n.onnx"), out)
    model = ModelWrapper(str(out))
    level = model.get_initializer(nodes(model, "MultiThreshold")[0].input[1])
    # p = (s + 9) / 2: s >= 3 -> 6; -s >= -3 -> 3; never -> 10; always -> 0; s >= -9 -> 0; s >= 10 -> never -> 10
    assert level.tolist() == [[6], [3], [10], [0], [0], [10]]
    assert report.layers[0].falling == 1
    assert model.get_tensor_datatype(model.graph.input[0].name).name == "BINARY"
    images = np.random.default_rng(0).choice([-1, 1], [200, 9])
    assert np.array_equal(execute(out, images), canonical_logits(tmp_path / "n.onnx", images))


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "HALF_UP"])
def test_k_bit_activations_on_ties(tmp_path: Path, signed: int, mode: str) -> None:
    """y = s / 4 before a quantizer of scale 1/2: every other value is a tie or a half."""
    net = Net([1, 12]).quant(8).linear(9)
    net.node("Mul", net.const(np.float32(2.0**-9)))
    net.quant(3, 0.5, signed, 1, mode).linear(7, bits=4)
    net.node("Mul", net.const(np.where(np.arange(7) % 2, -0.25, 0.25).astype(np.float32)))
    net.quant(2, 1.0, signed, 0, mode).linear(4, bits=3)
    path = net.save(tmp_path / "n.onnx")
    report = lower(path, tmp_path / "s.onnx")
    images = random_images(net, 200)
    assert np.array_equal(execute(tmp_path / "s.onnx", images), canonical_logits(path, images))
    assert [layer.output for layer in report.layers[:2]] == (["INT3", "INT2"] if signed else ["UINT3", "UINT2"])
    model = ModelWrapper(str(tmp_path / "s.onnx"))
    # narrow: signed -3..3 and unsigned 0..6 have 6 thresholds; 2 bits have 3
    shapes = [model.get_tensor_shape(node.input[1]) for node in nodes(model, "MultiThreshold")]
    assert shapes == [[9, 6], [7, 3]]


def test_prelu_and_clip_before_a_quantizer(tmp_path: Path) -> None:
    net = Net([1, 2, 6, 5]).quant(8).conv(5).bn(400)
    net.node("PRelu", net.const(np.linspace(0.1, 2, 5).reshape(5, 1, 1))).quant(4, 1.0, 1)
    net.conv(6, 3, 1, 1).bn(10).node("Clip", net.const(-1.0), net.const(1.0)).sign().flatten().linear(3)
    lower_and_compare(net, tmp_path)


@pytest.mark.parametrize("where", ["before bn", "before sign"])
def test_flatten_inside_a_chain(tmp_path: Path, where: str) -> None:
    net = Net([1, 2, 5, 4]).quant(8).conv(3).bn(400).sign().conv(4, 2)
    if where == "before bn":  # parameters that repeat per channel are one channel's parameters
        channels, pixels = net.shape[1], net.shape[2] * net.shape[3]
        net.flatten().bn(
            gamma=np.repeat([1.0, -1.0, 0.5, 0.0], pixels),
            mean=np.repeat(np.arange(channels), pixels),
            beta=0.0,
            var=1.0,
        )
    else:
        net.bn().flatten()
    lower_and_compare(net.sign().linear(5), tmp_path, 20)


def test_last_layer_is_a_convolution(tmp_path: Path) -> None:
    net = Net([1, 2, 5, 4]).quant(8).conv(6).bn(400).sign().conv(7, [3, 2]).flatten()
    report, model = lower_and_compare(net, tmp_path)
    assert model.graph.node[-1].op_type == "Flatten"
    assert report.output.classes == 7


def test_scalar_affine_after_the_last_layer_stays_on_the_host(tmp_path: Path) -> None:
    net = Net([1, 8]).quant(8).linear(9).bn(300).sign().linear(4)
    net.node("Mul", net.const(0.125)).node("Add", net.const([2.0]))
    path = net.save(tmp_path / "n.onnx")
    lower(path, tmp_path / "s.onnx")
    images = random_images(net, 20)
    logits = execute(tmp_path / "s.onnx", images)
    assert np.array_equal(logits * 0.125 + 2, canonical_logits(path, images))


@pytest.mark.parametrize("layer", ["xnor", "masked", "wide"])
def test_bipolar_input(tmp_path: Path, layer: str) -> None:
    """The sign is the first quantizer, the float part before it runs on the host; a pool follows on bits."""
    net = Net([1, 3, 7, 7])
    net.node("Sub", net.const(127.5)).sign()
    first = net.end
    net.pool(2, 1, 1)
    net.conv(5, 3, 1, 1, "plus_one" if layer == "xnor" else "zero", bits=3 if layer == "wide" else 1)
    net.bn().sign().flatten().linear(3)
    path = net.save(tmp_path / "n.onnx")
    report = lower(path, tmp_path / "s.onnx")
    images = random_images(net, 10)
    bits = first_quantized(path, images, first, 1.0)
    assert np.array_equal(execute(tmp_path / "s.onnx", bits), canonical_logits(path, images))
    assert report.input.bipolar
    model = ModelWrapper(str(tmp_path / "s.onnx"))
    dtype = model.get_tensor_datatype(model.graph.input[0].name).name
    assert dtype == ("BINARY" if layer == "xnor" else "BIPOLAR")


@pytest.mark.parametrize("target", ["sign", "quant"])
def test_threshold_on_the_input_with_falling_channels(tmp_path: Path, target: str) -> None:
    net = (
        Net([1, 4, 6, 5])
        .quant(8)
        .pool(2, 1)
        .bn(gamma=[1.0, -1.0, 0.0, -0.5], mean=[100.0, 50.5, 3.0, 127.0], beta=0.0, var=400.0)
    )
    _ = net.sign() if target == "sign" else net.quant(3, 1.0, 1)
    net.conv(5, 3).bn().sign().flatten().linear(3)
    _, model = lower_and_compare(net, tmp_path)
    threshold = nodes(model, "Threshold")
    assert len(threshold) == 1
    assert model.get_initializer(threshold[0].input[2]).tolist() == [0.0, 1.0, 0.0, 1.0]


def test_weights_at_the_lowest_value_of_their_format(tmp_path: Path) -> None:
    """-8 in 4 bits has no negative in 4 bits; a falling channel needs it."""
    net = Net([1, 6]).quant(8).linear(5).bn(300).sign().linear(4, bits=4)
    weights = next(c for c in net.constants if list(c.dims) == [5, 4])
    weights.ClearField("raw_data")
    weights.float_data.extend([-8.0] * 20)
    net.bn(gamma=-1.0).sign().linear(3)
    report, _ = lower_and_compare(net, tmp_path)
    assert report.layers[1].weights == "INT5"


def test_two_quantizers_in_a_row_become_one(tmp_path: Path) -> None:
    """Also with a pool between them, behind which every other channel falls."""
    net = Net([1, 2, 8, 7], seed=4).quant(8).conv(6).bn(400).quant(3, 0.5, 1).pool(2, 1).bn(1.0).sign()
    net.conv(5, 3, 1, 1).bn(5).quant(2).bn(1.0, mean=1.0).sign().flatten().linear(3)
    report, _ = lower_and_compare(net, tmp_path)
    assert len(report.layers) == 3


def test_full_streamline_finds_nothing_more(tmp_path: Path) -> None:
    """`passes` runs only those passes of FINN's Streamline that apply: all of them together give the same graph."""
    net = Net([1, 2, 8, 7], seed=6).node("Sub", "half").sign().conv(5).pool(2, 1).bn().sign()
    net.constants.append(helper.make_tensor("half", TensorProto.FLOAT, [], [127.5]))
    net.conv(4, 3, 1, 1, "minus_one").bn().sign().conv(4, 3, 1, 1).bn().sign().flatten().linear(6).bn().sign().linear(3)
    lower(net.save(tmp_path / "n.onnx"), tmp_path / "s.onnx")
    with quiet():
        integer = to_integers(read_network(ModelWrapper(str(tmp_path / "n.onnx"))))
        full = assemble(integer, lambda body, stretch: run_finn(body, stretch).transform(Streamline())).model
    written = ModelWrapper(str(tmp_path / "s.onnx"))
    assert full.model.graph.SerializeToString() == written.model.graph.SerializeToString()


def test_streamlined_graph_runs_under_qonnx(tmp_path: Path) -> None:
    """Our operators are ordinary qonnx custom ops."""
    net = Net([1, 2, 8, 7], seed=9).quant(8).conv(5).bn(400).sign().conv(6, 3, 1, 1).pool(2).bn().sign()
    net.conv(4, 3, 1, 1, "plus_one").bn().pool(2, 1, 1).sign().flatten().linear(3)
    report, model = lower_and_compare(net, tmp_path)
    images = random_images(net, 3)
    source, target = model.graph.input[0].name, model.graph.output[0].name
    raw = [execute_onnx(model, {source: nhwc(image[None]).astype(np.float32)})[target] for image in images]
    logits = np.concatenate(raw) * report.output.scale + report.output.offset
    assert np.array_equal(logits, canonical_logits(tmp_path / "net.onnx", images))


def test_chunked_evaluation_gives_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net([1, 2, 7, 6], seed=2).quant(8).conv(7).bn(400).pool(2).bn().sign().flatten().linear(3)
    path = net.save(tmp_path / "n.onnx")
    lower(path, tmp_path / "a.onnx")
    monkeypatch.setattr(evaluate, "BATCH", 1000)
    monkeypatch.setattr(thresholds, "GROUP", 30000)
    lower(path, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def _searchable() -> Net:
    """Chains that keep order: rising and falling, with pools between, clipped and constant channels, several levels."""
    net = Net([1, 2, 8, 7], seed=12).quant(8).conv(6, bits=4).bn(900, gamma=[1.0, -2.0, 0.0, 0.3, -1.0, 5.0])
    net.node("Clip", net.const(-1.5), net.const(1.25)).pool(2, 1).quant(5, 0.25, 1)
    net.conv(5, 3, 1, 1, bits=3).pool(2).bn(60, gamma=[-1.0, 1.0, -0.5, 2.0, 0.0]).quant(4, 0.5, 0, 1, "FLOOR")
    net.node("Neg").node("Sub", net.const(-3.0)).sign()
    return net.flatten().linear(3)


def test_searched_thresholds_are_the_enumerated_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _searchable().save(tmp_path / "n.onnx")
    lower(path, tmp_path / "a.onnx")
    enumerated: list[bool] = []
    genuine = thresholds._derive_part
    monkeypatch.setattr(thresholds, "_derive_part", lambda *given: enumerated.append(True) or genuine(*given))
    monkeypatch.setattr(thresholds, "SEARCHED", 0)
    lower(path, tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert not enumerated


def test_search_is_given_up_where_a_chain_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were an operator listed as ordered that is not, samples would tell, and the whole chain be looked at."""
    monkeypatch.setattr(thresholds, "SEARCHED", 0)
    monkeypatch.setattr(evaluate, "ORDERED", evaluate.ORDERED | {"Abs"})
    net = Net([1, 9]).quant(8).linear(6).node("Abs")
    path = net.node("Sub", net.const(300.0)).sign().linear(3).save(tmp_path / "n.onnx")
    with pytest.raises(FlipflowError) as caught:
        lower(path, tmp_path / "s.onnx")
    assert caught.value.code == "E259"


def compare_random(seed: int, folder: Path, count: int) -> None:
    net, first, scale, logit_scale = random_net(seed)
    path = net.save(folder / "n.onnx")
    lower(path, folder / "s.onnx")
    images = random_images(net, count, seed)
    logits = execute(folder / "s.onnx", first_quantized(path, images, first, scale))
    assert np.array_equal(logits, canonical_logits(path, images, logit_scale))
    check_contract(ModelWrapper(str(folder / "s.onnx")))


def check_contract(model: ModelWrapper) -> None:
    """What the docstring of `streamline` promises about thresholds and datatypes."""
    for node in model.graph.node:
        assert node.op_type in ALLOWED
        x, y = (model.get_tensor_datatype(name) for name in (node.input[0], node.output[0]))
        for name in node.input[1:]:
            values = model.get_initializer(name)
            dtype = model.get_tensor_datatype(name)
            assert np.array_equal(values, np.rint(values))
            assert dtype.min() <= values.min()
            assert values.max() <= dtype.max()
        if node.op_type == "XnorPopcountMatMul":
            fan_in = model.get_tensor_shape(node.input[1])[0]
            assert x.name == "BINARY"
            assert y.name == f"UINT{int(np.ceil(np.log2(fan_in + 1)))}" or (fan_in == 1 and y.bitwidth() == 1)
        if node.op_type in ("MultiThreshold", "Threshold"):
            level = model.get_initializer(node.input[1])
            assert (np.diff(level, axis=1) >= 0).all()
            assert level.min() >= x.min()
            assert level.max() <= x.max() + 1
        if node.op_type == "MatMul":
            assert not (x.name == "BIPOLAR" and model.get_tensor_datatype(node.input[1]).name == "BIPOLAR")


@pytest.mark.parametrize("block", range(8))
def test_random_networks(tmp_path: Path, block: int) -> None:
    for seed in range(5 * block, 5 * block + 5):
        compare_random(seed, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(40))
def test_many_random_networks(tmp_path: Path, block: int) -> None:
    for seed in range(1000 + 10 * block, 1010 + 10 * block):
        compare_random(seed, tmp_path, 100)
