"""What the FINN lowering refuses, by code, and that the message names the place and the remedy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from finn_nets import Net
from onnx import TensorProto, helper

from flipflow.catalogue import CATALOGUE
from flipflow.errors import FlipflowError
from flipflow.export.finn import streamline
from flipflow.export.finn.execute import execute
from flipflow.export.finn.streamline import lower


def mlp(middle: Callable[[Net], Net]) -> Net:
    return middle(Net([1, 8]).quant(8).linear(6)).linear(3)


def joined(op: str, scale: float) -> Net:
    """Two layers' activations, the second in steps of `scale`, joined by `op`."""
    net = Net([1, 8]).quant(8)
    start = net.end
    net.linear(6).quant(4, 1.0, 1)
    left, net.end, net.shape = net.end, start, [1, 8]
    return net.linear(6).quant(4, scale, 1).node(op, left).sign().linear(3)


def _parted_early() -> Net:
    net = Net([1, 8])
    return net.node("Relu").node("Add", "image").quant(8).linear(3)


def _unsaturated() -> Net:
    """A sum of two tensors that a layer reads as it is."""
    net = joined("Add", 1.0)
    sign = next(node for node in net.nodes if node.op_type == "BipolarQuant" and node.input[0].endswith("_Add"))
    sign.op_type, sign.domain = "Identity", ""
    del sign.input[1:]
    return net


def _floats(*shape: int) -> str:
    return "floats"


def _padded_with_two() -> Net:
    net = Net([1, 2, 5, 5]).quant(8).conv(3).bn(300).sign()
    net.conv(3, 3, 1, 1, "plus_one")
    pad = next(node for node in net.nodes if node.op_type == "Pad")
    pad.input[2] = net.const(2.0)
    return net.bn().sign().flatten().linear(2)


def _scaled_logits(factor: object) -> Net:
    net = Net([1, 8]).quant(8).linear(3)
    return net.node("Mul", net.const(factor))


def _per_pixel() -> Net:
    net = Net([1, 2, 5, 5]).quant(8).conv(3)
    net.node("Add", net.const(np.arange(9).reshape(1, 1, 3, 3)))
    return net.sign().flatten().linear(2)


CASES = {
    "scale no power of two": ("E251", lambda: mlp(lambda n: n.sign(0.3))),
    "scale per channel": ("E251", lambda: mlp(lambda n: n.node("BipolarQuant", n.const([1, 1, 1, 1, 2, 2])))),
    "joined by a product": ("E252", lambda: joined("Mul", 1.0)),
    "added in different steps": ("E252", lambda: joined("Add", 0.5)),
    "paths part before any quantizer": ("E252", _parted_early),
    "sum of two tensors into a layer": ("E255", _unsaturated),
    "layer before any quantizer": ("E253", lambda: Net([1, 8]).linear(6).sign().linear(3)),
    "float weights": ("E253", lambda: Net([1, 8]).quant(8).node("MatMul", _floats(8, 3), shape=[1, 3])),
    "padding with 2": ("E254", _padded_with_two),
    "no quantizer between": ("E255", lambda: mlp(lambda n: n.bn())),
    "unquantized after quantizer": ("E255", lambda: mlp(lambda n: n.sign().bn())),
    "falling epilogue": ("E256", lambda: _scaled_logits(-2.0)),
    "epilogue per class": ("E256", lambda: _scaled_logits([1.0, 2.0, 3.0])),
    "softmax between": ("E257", lambda: mlp(lambda n: n.node("Softmax", axis=1).sign())),
    "constant per pixel": ("E257", _per_pixel),
    "sum beyond 2^24": ("E258", lambda: Net([1, 600]).quant(16).linear(3)),
    "activation turns": ("E259", lambda: mlp(lambda n: n.node("Abs").node("Sub", n.const(100.0)).sign())),
    "too many levels": ("E260", lambda: mlp(lambda n: n.quant(12))),
}


@pytest.mark.parametrize("case", CASES)
def test_refusals(tmp_path: Path, case: str) -> None:
    code, build = CASES[case]
    net = build()
    if "floats" in {name for node in net.nodes for name in node.input}:
        net.constants.append(helper.make_tensor("floats", TensorProto.FLOAT, [8, 3], [0.5] * 24))
    with pytest.raises(FlipflowError) as caught:
        lower(net.save(tmp_path / "n.onnx"), tmp_path / "s.onnx")
    assert caught.value.code == code
    assert caught.value.where
    assert caught.value.fix
    assert code in CATALOGUE
    assert not (tmp_path / "s.onnx").exists()


def test_non_monotone_activation_names_chain_and_channel(tmp_path: Path) -> None:
    net = mlp(lambda n: n.bn(gamma=1.0, mean=0.0, beta=0.0, var=1.0).node("Abs").node("Sub", n.const(9.0)).sign())
    with pytest.raises(FlipflowError, match=r"Abs -> Sub -> BipolarQuant.*channel 0 is not monotone"):
        lower(net.save(tmp_path / "n.onnx"), tmp_path / "s.onnx")


def test_pool_before_a_turning_activation_is_refused(tmp_path: Path) -> None:
    """|x - 128| falls and then rises over 0..255."""
    net = Net([1, 1, 4, 4]).quant(8).pool(2)
    net.node("Sub", net.const(128.0)).node("Abs").node("Sub", net.const(50.0)).sign().flatten().linear(2)
    with pytest.raises(FlipflowError) as caught:
        lower(net.save(tmp_path / "n.onnx"), tmp_path / "s.onnx")
    assert caught.value.code == "E259"


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(b"\x08\x07no model")
    for name in ("cut.onnx", "missing.onnx"):
        with pytest.raises(FlipflowError) as caught:
            lower(tmp_path / name, tmp_path / "s.onnx")
        assert caught.value.code == "E262"


def test_images_that_do_not_fit(tmp_path: Path) -> None:
    net = Net([1, 8]).quant(8).linear(3)
    lower(net.save(tmp_path / "n.onnx"), tmp_path / "s.onnx")
    for images in (np.zeros((2, 9)), np.full((2, 8), 256), np.full((2, 8), -1), np.full((2, 8), 0.5)):
        with pytest.raises(FlipflowError) as caught:
            execute(tmp_path / "s.onnx", images)
        assert caught.value.code == "E263"


def test_a_wrong_result_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were FINN to change one threshold, the lowering would notice and name the layer."""
    genuine = streamline.run_finn

    def faulty(model: object, stretch: object) -> object:
        body = genuine(model, stretch)
        name = next(node.input[1] for node in body.graph.node if node.op_type == "MultiThreshold")
        body.set_initializer(name, np.zeros_like(body.get_initializer(name)) - 30000)
        return body

    monkeypatch.setattr(streamline, "run_finn", faulty)
    net = Net([1, 8]).quant(8).linear(30).bn(300).sign().linear(3)
    with pytest.raises(FlipflowError, match="input of layer") as caught:
        lower(net.save(tmp_path / "n.onnx"), tmp_path / "s.onnx")
    assert caught.value.code == "E261"
    assert not (tmp_path / "s.onnx").exists()


def test_full_disk(tmp_path: Path) -> None:
    net = Net([1, 8]).quant(8).linear(3)
    with pytest.raises(FlipflowError) as caught:
        lower(net.save(tmp_path / "n.onnx"), tmp_path / "no such folder" / "s.onnx")
    assert caught.value.code == "E264"
