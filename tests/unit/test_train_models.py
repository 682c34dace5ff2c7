"""Estimators, layers and networks: gradients by hand, exact integers, and an export that computes the same."""

from pathlib import Path

import numpy as np
import pytest
import torch
from brevitas.export import export_qonnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model
from torch import nn

from flipflow.config.model import ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train.estimators import fixed_point, sign
from flipflow.train.layers import logit_shift
from flipflow.train.models import binary_weights, build_model


@pytest.mark.parametrize(
    ("estimator", "slope"),
    [
        ("identity", [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("clipped_identity", [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]),
        ("bireal", [0.0, 0.0, 1.0, 2.0, 1.5, 0.0]),  # max(0, 2 - 2|x|)
    ],
)
def test_sign_and_its_gradients(estimator: str, slope: list[float]) -> None:
    x = torch.tensor([-1.5, -1.0, -0.5, -0.0, 0.25, 2.0], requires_grad=True)
    y = sign(x, estimator)
    y.backward(torch.full((6,), 3.0))
    assert y.tolist() == [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]
    assert x.grad is not None
    assert x.grad.tolist() == [3.0 * s for s in slope]


def test_fixed_point_rounds_to_even_and_clips() -> None:
    # Step 1/4, integers -3..3: 0.125 and 0.375 are ties (0.5 -> 0, 1.5 -> 2); +-0.9 leave the range.
    x = torch.tensor([0.125, 0.375, -0.3, 0.9, -0.9], requires_grad=True)
    y = fixed_point(x, 0.25, -3, 3)
    y.sum().backward()
    assert y.tolist() == [0.0, 0.5, -0.25, 0.75, -0.75]
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_logit_shift_by_hand() -> None:
    assert logit_shift(256, bits=1) == 4  # standard deviation sqrt(256) = 2^4
    assert logit_shift(256, bits=8) == 2  # a quarter of it
    assert logit_shift(2, bits=8) == 0


def randomise(model: nn.Module) -> None:
    """Batch norms with gammas of both signs and some 0, and running statistics of real data."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, std=0.3)
            with torch.no_grad():
                module.weight[0] = 0.0


LAYERS = ({"channels": 5, "stride": 2}, {"channels": 6, "pool": 2}, {"channels": 4})
CASES = {
    "none": ModelConfig(network="cnn", layers=LAYERS, padding="none"),
    "zero": ModelConfig(network="cnn", layers=LAYERS, padding="zero", order="conv-bn-pool-sign"),
    "minus": ModelConfig(network="cnn", layers=LAYERS, padding="minus_one", order="conv-pool-bn-sign", hidden=(7,)),
    "plus": ModelConfig(network="cnn", layers=LAYERS, padding="plus_one", first_weight_bits=1, last_weight_bits=1),
    "2-bit": ModelConfig(network="cnn", layers=LAYERS, activation_bits=2, order="conv-bn-pool-sign"),
    "mlp": ModelConfig(network="mlp", hidden=(9, 8), first_weight_bits=4),
}


@pytest.mark.parametrize("name", CASES)
def test_qonnx_export_computes_the_same(name: str, tmp_path: Path) -> None:
    torch.manual_seed(5)
    shape = (2, 19, 17)
    model = build_model(CASES[name], shape, 3)
    images = torch.randint(0, 256, (16, *shape)).float()
    randomise(model)
    model.train()
    model(images)
    model.eval()
    path = tmp_path / "model.onnx"
    export_qonnx(model, args=torch.zeros(1, *shape), export_path=str(path), opset_version=13, dynamo=False)
    graph = cleanup_model(ModelWrapper(str(path)))
    source = graph.graph.input[0].name
    result = [next(iter(execute_onnx(graph, {source: x[None].numpy()}).values()))[0] for x in images[:6]]
    with torch.no_grad():
        expected = model(images[:6]).numpy()
    assert np.array_equal(np.stack(result), expected)
    assert len(np.unique(expected)) > 3


@pytest.mark.parametrize("name", CASES)
def test_sums_are_integers(name: str) -> None:
    torch.manual_seed(6)
    config = CASES[name]
    shape = (2, 19, 17)
    model = build_model(config, shape, 3).eval()
    sums = []
    for module_name, module in model.named_children():
        if module_name.startswith(("conv_", "fc_")):
            module.register_forward_hook(lambda _module, _inputs, output: sums.append(output.detach()))
    with torch.no_grad():
        model(torch.randint(0, 256, (4, *shape)).float())
    for index, value in enumerate(sums):
        weight_bits = {0: config.first_weight_bits, len(sums) - 1: config.last_weight_bits}.get(index, 1)
        activation_step = 1.0 if index == 0 or config.activation_bits == 1 else 2.0 ** (1 - config.activation_bits)
        integer = value / (activation_step * (1.0 if weight_bits == 1 else 2.0 ** (1 - weight_bits)))
        assert torch.equal(integer, integer.round())


@pytest.mark.parametrize(
    ("padding", "border_sum"),
    [("zero", 6.0), ("plus_one", 9.0), ("minus_one", 3.0)],
)
def test_border_kinds_by_hand(padding: str, border_sum: float) -> None:
    # All activations and weights +1, 3x3 window: 9 inside; at an edge 6 taps are real and 3 are border (0, +1 or -1).
    config = ModelConfig(network="cnn", layers=({"channels": 1}, {"channels": 1}), padding=padding)
    model = build_model(config, (1, 5, 5), 2).eval()
    conv = model.get_submodule("conv_1")
    with torch.no_grad():
        conv.get_parameter("weight").fill_(0.3)
        x = torch.ones(1, 1, 5, 5)
        border = dict(model.named_children()).get("border_1", nn.Identity())
        y = conv(border(x))
    assert y.shape == (1, 1, 5, 5)
    assert y[0, 0, 2, 2] == 9.0
    assert y[0, 0, 0, 2] == border_sum


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("conv-bn-sign-pool", ["conv_0", "bn_0", "act_0", "pool_0"]),
        ("conv-bn-pool-sign", ["conv_0", "bn_0", "pool_0", "act_0"]),
        ("conv-pool-bn-sign", ["conv_0", "pool_0", "bn_0", "act_0"]),
    ],
)
def test_order_of_a_block(order: str, expected: list[str]) -> None:
    config = ModelConfig(network="cnn", layers=({"channels": 2, "pool": 2},), order=order)
    names = [name for name, _ in build_model(config, (1, 8, 8), 2).named_children()]
    assert names == ["input", *expected, "flatten", "fc_1", "logits"]


def test_cnv_is_finns() -> None:
    config = ModelConfig(network="cnv", first_weight_bits=1)
    model = build_model(config, (3, 32, 32), 10)
    shapes = [tuple(weight.shape) for _, weight in binary_weights(model)]
    assert shapes == [
        (64, 3, 3, 3),
        (64, 64, 3, 3),
        (128, 64, 3, 3),
        (128, 128, 3, 3),
        (256, 128, 3, 3),
        (256, 256, 3, 3),
        (512, 256),
        (512, 512),
    ]
    assert tuple(model.get_parameter("fc_8.weight").shape) == (10, 512)


def test_binary_weights_leave_out_fixed_point_layers() -> None:
    config = ModelConfig(network="tfc")
    model = build_model(config, (1, 28, 28), 10)
    assert [name for name, _ in binary_weights(model)] == ["fc_1", "fc_2"]


def test_network_that_shrinks_to_nothing_is_refused() -> None:
    with pytest.raises(FlipflowError, match="E171") as caught:
        build_model(ModelConfig(network="cnv"), (1, 8, 8), 10)  # 8, 6, 4, pooled to 2: less than a kernel of 3
    assert "layers[2]" in caught.value.where
