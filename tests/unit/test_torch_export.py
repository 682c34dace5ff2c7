"""Trained modules, the file they are exported to, and the integers lowered from it: one answer, ties included."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from flipflow.config import ModelConfig
from flipflow.errors import FlipflowError
from flipflow.export.host import CanonicalModel
from flipflow.export.integer import lower
from flipflow.export.torch_export import Exported, export_module
from flipflow.sim import reference
from flipflow.train.models import build_model

SHAPE = (2, 6, 7)
CLASSES = 5
CONV = {"channels": 6, "kernel": 3}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def randomize(model: nn.Sequential, seed: int) -> None:
    """Batch norms with gammas of both signs and 0, and means and biases that put thresholds on whole sums."""
    draw = np.random.default_rng(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            size = module.num_features
            parts = {
                "weight": draw.choice([-1.5, -1.0, -0.3, 0.0, 0.7, 1.0, 2.0], size),
                "bias": draw.choice([0.0, 0.0, 0.5, -0.25, 0.1], size),
                "running_mean": draw.integers(-4, 5, size) * draw.choice([1.0, 3.0], size),
                "running_var": draw.choice([1.0, 4.0, 7.3], size),
            }
            with torch.no_grad():
                for name, values in parts.items():
                    getattr(module, name).copy_(torch.tensor(values))


def images_of(shape: tuple[int, ...], seed: int, count: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.float32)


def compare(model: nn.Sequential, shape: tuple[int, ...], images: np.ndarray, folder: Path) -> Exported:
    """torch == file == integers on these images."""
    exported = export_module(model, shape)
    onnx.save(exported.model, folder / "model.onnx")
    canonical = CanonicalModel.load(folder / "model.onnx")
    with torch.no_grad():
        wanted = model(torch.from_numpy(images)).numpy()
    assert len(np.unique(wanted)) > 1
    np.testing.assert_array_equal(canonical.outputs(images), wanted)
    net = lower(onnx.load(folder / "model.onnx"))
    logits = reference.run(net, canonical.integers(images))
    np.testing.assert_array_equal(logits, canonical.logits(images, net.logit_scale))
    np.testing.assert_array_equal(canonical.epilogue((logits * net.logit_scale).astype(np.float32)), wanted)
    return exported


@pytest.mark.parametrize("padding", ["none", "zero", "minus_one", "plus_one"])
@pytest.mark.parametrize("order", ["conv-bn-sign-pool", "conv-bn-pool-sign", "conv-pool-bn-sign"])
def test_convolutions_of_every_order_and_padding(order: str, padding: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    layers = [CONV | {"channels": 7}, CONV | {"pool": 2, "stride": 1}]
    config = ModelConfig.model_validate(
        {"network": "cnn", "layers": layers, "hidden": [9], "padding": padding, "order": order, "last_weight_bits": 4}
    )
    model = build_model(config, SHAPE, CLASSES)
    randomize(model, 2)
    compare(model.eval(), SHAPE, images_of(SHAPE, 3), tmp_path)


@pytest.mark.parametrize("bits", [(1, 1, 1), (8, 2, 8), (2, 4, 1)])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_bit_widths(bits: tuple[int, int, int], seed: int, tmp_path: Path) -> None:
    torch.manual_seed(seed)
    first, activation, last = bits
    keys = {"first_weight_bits": first, "activation_bits": activation, "last_weight_bits": last}
    config = ModelConfig.model_validate({"network": "mlp", "hidden": [11, 8, 7], **keys})
    model = build_model(config, SHAPE, CLASSES)
    randomize(model, seed)
    compare(model.eval(), SHAPE, images_of(SHAPE, seed), tmp_path)


# --- ties ---


def one_channel_norm(gamma: float, mean: float, variance: float, bias: float) -> tuple[nn.Sequential, nn.BatchNorm1d]:
    """One pixel in, one binary hidden neuron of weight +1: the sum that the norm sees is the pixel itself."""
    config = ModelConfig.model_validate(
        {"network": "mlp", "hidden": [1], "first_weight_bits": 1, "last_weight_bits": 1}
    )
    torch.manual_seed(0)
    model = build_model(config, (1, 1, 1), 2)
    norm = next(module for module in model if isinstance(module, nn.BatchNorm1d))
    with torch.no_grad():
        for name, module in model.named_children():
            if name.startswith("fc_"):
                module.get_parameter("weight").copy_(
                    torch.tensor([[1.0], [-1.0]][: module.get_parameter("weight").shape[0]])
                )
        norm.weight.fill_(gamma)
        norm.bias.fill_(bias)
        norm.running_mean.fill_(mean)
        norm.running_var.fill_(variance)
    return model.eval(), norm


def plain_file_output(gamma: float, mean: float, variance: float, bias: float, value: float) -> float:
    """What onnxruntime itself makes of the norm with these constants."""
    import onnxruntime  # noqa: PLC0415

    names = ("x", "scale", "bias", "mean", "var")
    values = (value, gamma, bias, mean, variance)
    infos = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 1] if n == "x" else [1]) for n in names]
    node = onnx.helper.make_node("BatchNormalization", list(names), ["y"], epsilon=1e-5)
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "norm", infos, [out]), opset_imports=[onnx.helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {n: np.full((1, 1) if n == "x" else 1, v, np.float32) for n, v in zip(names, values, strict=True)}
    return float(session.run(None, feed)[0][0, 0])


def disagreement() -> tuple[tuple[float, float, float, float], int]:
    """A norm, and a pixel at which torch and onnxruntime give it different signs, found by trying.

    The bias is minus what torch makes of the pixel, so that torch's result is a tie or next to it.
    """
    draw = np.random.default_rng(5)
    for _ in range(2000):
        gamma, mean, variance = (
            float(np.float32(v)) for v in (draw.uniform(0.1, 3), draw.uniform(-9, 9), draw.uniform(1, 9))
        )
        pixel = int(draw.integers(1, 256))
        _, norm = one_channel_norm(gamma, mean, variance, 0.0)
        with torch.no_grad():
            bias = -float(norm(torch.tensor([[float(pixel)]])))
            norm.bias.fill_(bias)
            value = float(norm(torch.tensor([[float(pixel)]])))
        if (value >= 0) != (plain_file_output(gamma, mean, variance, bias, pixel) >= 0):
            return (gamma, mean, variance, bias), pixel
    raise AssertionError("torch and onnxruntime round alike here: the test needs another norm")


def test_a_tie_that_rounds_differently_is_restored_and_reported(tmp_path: Path) -> None:
    parameters, pixel = disagreement()
    model, norm = one_channel_norm(*parameters)
    images = np.arange(256, dtype=np.float32).reshape(256, 1, 1, 1)
    exported = compare(model, (1, 1, 1), images, tmp_path)
    (repair,) = exported.repairs
    assert repair.channel == 0 and repair.ulps != 0 and repair.node
    # The file's bias is another than torch's, by what the report says, and the pixel at the tie decides as in torch.
    names = [node.input[2] for node in exported.model.graph.node if node.op_type == "BatchNormalization"]
    (moved,) = [numpy_helper.to_array(init) for init in exported.model.graph.initializer if init.name == names[0]]
    difference = float(moved[0]) - float(norm.bias.detach()[0])
    assert difference != 0.0 and np.sign(difference) == np.sign(repair.ulps) and abs(difference) < 1e-3
    gamma, mean, variance, bias = parameters
    wanted = float(norm(torch.tensor([[float(pixel)]]))) >= 0
    assert (plain_file_output(gamma, mean, variance, bias, pixel) >= 0) != wanted
    assert (plain_file_output(gamma, mean, variance, float(moved[0]), pixel) >= 0) == wanted


def test_no_repair_where_there_is_nothing_to_repair(tmp_path: Path) -> None:
    model, norm = one_channel_norm(1.0, 100.0, 1.0, 0.0)
    exported = compare(model, (1, 1, 1), np.arange(256, dtype=np.float32).reshape(256, 1, 1, 1), tmp_path)
    assert exported.repairs == ()
    names = [node.input[2] for node in exported.model.graph.node if node.op_type == "BatchNormalization"]
    (bias,) = [numpy_helper.to_array(init) for init in exported.model.graph.initializer if init.name == names[0]]
    assert bias[0] == norm.bias.detach().numpy()[0]


def test_a_norm_that_is_not_finite_is_refused() -> None:
    model, norm = one_channel_norm(float("nan"), 0.0, 1.0, 0.0)
    with pytest.raises(FlipflowError) as caught:
        export_module(model, (1, 1, 1))
    assert caught.value.code == "E217" and caught.value.fix
    assert norm.num_features == 1
