"""Methods in whole networks: rotations, states that resume, copies, and an export that gives torch's integers."""

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from flipflow.config import ModelConfig
from flipflow.export.host import CanonicalModel
from flipflow.export.integer import lower
from flipflow.export.torch_export import export_module
from flipflow.sim import reference
from flipflow.train import layers as L
from flipflow.train import methods
from flipflow.train.methods.rbnn import most_square, rotation_round
from flipflow.train.models import build_model
from tests.e2e.levels import qonnx_outputs

ALL = ["vanilla", "recu", "irnet", "rbnn", "adabin", "xnor", "xnor++"]


def layer_config(weights: str, deployable: bool = True) -> ModelConfig:
    document = {"network": "mlp", "hidden": [4], "weights": weights, "deployable": deployable}
    return ModelConfig.model_validate(document)


# --- RBNN's rotations ---


def rotation_layer(inputs: int = 12, outputs: int = 20) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(4)
    layer = L.linear(inputs, outputs, 1, layer_config("rbnn"))
    return layer, layer.get_submodule("method")


def agreement(layer: nn.Module, method: nn.Module) -> float:
    """What the rotations maximise: the sum of |R1^T X R2|, that is B's product with the rotated weights."""
    w = layer.get_parameter("weight").detach().double()
    w_hat = (w - w.mean(1, keepdim=True)) / w.std(1, keepdim=True)
    r1, r2 = method.get_buffer("r1").double(), method.get_buffer("r2").double()
    return float(sum((r1.T @ row.view(len(r1), len(r2)) @ r2).abs().sum() for row in w_hat))


@pytest.mark.parametrize(("count", "factors"), [(12, (3, 4)), (4608, (64, 72)), (7, (1, 7)), (576, (24, 24))])
def test_most_square_factors(count: int, factors: tuple[int, int]) -> None:
    assert most_square(count) == factors


def test_rotations_stay_orthogonal_and_agree_better() -> None:
    layer, method = rotation_layer()
    seen = [agreement(layer, method)]
    for epoch in range(5):
        methods.begin_epoch(nn.Sequential(layer), epoch, 5)
        for name in ("r1", "r2"):
            r = method.get_buffer(name).double()
            assert torch.allclose(r.T @ r, torch.eye(len(r), dtype=torch.float64), atol=1e-6)
        seen.append(agreement(layer, method))
    assert seen[1] > seen[0] * 1.01
    assert all(after >= before - 1e-4 for before, after in pairwise(seen))


def test_a_round_is_optimal_for_each_rotation() -> None:
    # For fixed B the largest tr(R1^T M) over orthogonal R1 is M's nuclear norm (von Neumann), M = sum X_i R2 B_i^T.
    draw = np.random.default_rng(1)
    x = draw.normal(size=(5, 3, 4))
    r1, r2 = (np.linalg.qr(draw.normal(size=(size, size)))[0] for size in (3, 4))
    b = np.where(r1.T @ x @ r2 >= 0, 1.0, -1.0)
    new1, new2 = (r.numpy() for r in rotation_round(*(torch.from_numpy(value) for value in (x, r1, r2))))
    m1 = sum(xi @ r2 @ bi.T for xi, bi in zip(x, b, strict=True))
    assert np.trace(new1.T @ m1) == pytest.approx(np.linalg.norm(m1, "nuc"))
    m2 = sum(xi.T @ new1 @ bi for xi, bi in zip(x, b, strict=True))
    assert np.trace(new2.T @ m2) == pytest.approx(np.linalg.norm(m2, "nuc"))


def test_a_second_call_for_the_same_epoch_changes_nothing() -> None:
    layer, method = rotation_layer()
    methods.begin_epoch(layer, 0, 5)
    before = method.get_buffer("r1").clone()
    methods.begin_epoch(layer, 0, 5)
    assert torch.equal(method.get_buffer("r1"), before)
    with torch.no_grad():
        layer.get_parameter("weight").neg_().add_(torch.randn(20, 12))
    methods.begin_epoch(layer, 1, 5)
    assert not torch.equal(method.get_buffer("r1"), before)


# --- states ---


def small_network(weights: str, deployable: bool, seed: int) -> nn.Module:
    """Two binary layers with what stands around them."""
    torch.manual_seed(seed)
    config = layer_config(weights, deployable)
    conv = L.conv(3, 4, 3, stride=1, padding=1, bits=1, config=config)
    fc = L.linear(4 * 16, 5, 1, config)
    parts = [L.activation(1, config), conv, L.scale(conv, config), nn.BatchNorm2d(4), L.nonlinearity(4, config)]
    model = nn.Sequential(*parts, L.activation(1, config), nn.Flatten(1), fc, L.scale(fc, config))
    methods.initialise(model)
    return model


def train(model: nn.Module, optimizer: torch.optim.Optimizer, epochs: range) -> None:
    for epoch in epochs:
        methods.begin_epoch(model, epoch, 4)
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 3, 4, 4, generator=generator)).square().mean().backward()
            optimizer.step()


@pytest.mark.parametrize("weights", ALL)
@pytest.mark.parametrize("deployable", [True, False])
def test_a_loaded_state_goes_on_to_the_same_bits(weights: str, deployable: bool) -> None:
    model = small_network(weights, deployable, 0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    train(model, optimizer, range(2))
    again = small_network(weights, deployable, 1)
    resumed = torch.optim.SGD(again.parameters(), lr=0.05, momentum=0.9)
    again.load_state_dict(copy.deepcopy(model.state_dict()))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    methods.begin_epoch(again, 1, 4)  # after a resume, as the loop does
    train(model, optimizer, range(2, 4))
    train(again, resumed, range(2, 4))
    wanted, found = model.state_dict(), again.state_dict()
    assert list(wanted) == list(found)
    for key, value in wanted.items():
        assert torch.equal(value, found[key]), key


@pytest.mark.parametrize("weights", ALL)
def test_a_copy_is_of_its_own(weights: str) -> None:
    model = small_network(weights, False, 0).eval()
    other = copy.deepcopy(model)
    x = torch.randn(2, 3, 4, 4)
    before = model(x)
    with torch.no_grad():
        for value in other.state_dict().values():
            if value.is_floating_point():
                value.normal_()
    other.load_state_dict(other.state_dict())
    assert torch.equal(model(x), before)
    assert not torch.equal(other(x), before)


def test_every_parameter_is_there_once() -> None:
    for weights in ALL:
        model = small_network(weights, False, 0)
        assert len({id(p) for p in model.state_dict(keep_vars=True).values()}) == len(model.state_dict())


@pytest.mark.parametrize("weights", ["irnet", "rbnn", "recu"])
def test_autocast_keeps_the_signs(weights: str) -> None:
    layer = L.linear(64, 16, 1, layer_config(weights))
    x = torch.eye(64)
    plain = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x)
    assert torch.equal(half.float(), plain)


# --- deployment ---


CHAIN = {
    "network": "cnn",
    "layers": [{"channels": 6}, {"channels": 7, "pool": 2}],
    "hidden": [9],
    "order": "conv-bn-pool-sign",
}
RESIDUAL = {"network": "resnet", "widths": [6, 8], "skip": "block", "shortcut": "binary"}


@pytest.mark.parametrize(
    ("network", "weights"), [*((CHAIN, name) for name in ALL), (RESIDUAL, "rbnn"), (RESIDUAL, "recu")]
)
def test_torch_qonnx_and_integers_agree(network: dict[str, object], weights: str, tmp_path: Path) -> None:
    shape = (2, 6, 7)
    torch.manual_seed(3)
    model = build_model(ModelConfig.model_validate({**network, "weights": weights}), shape, 5)
    images = torch.randint(0, 256, (24, *shape), generator=torch.Generator().manual_seed(1)).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(3):
        methods.begin_epoch(model, epoch, 3)
        for _ in range(4):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), torch.arange(24) % 5).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        wanted = model(images).numpy()
    assert len(np.unique(wanted)) > 5
    exported = export_module(model, shape)
    onnx.save(exported.model, tmp_path / "model.onnx")
    canonical = CanonicalModel.load(tmp_path / "model.onnx")
    np.testing.assert_array_equal(canonical.outputs(images.numpy()), wanted)
    np.testing.assert_array_equal(qonnx_outputs(exported.model, images[:2].numpy()), wanted[:2])
    net = lower(exported.model)
    logits = reference.run(net, canonical.integers(images.numpy()))
    np.testing.assert_array_equal(logits, canonical.logits(images.numpy(), net.logit_scale))
    np.testing.assert_array_equal(canonical.epilogue((logits * net.logit_scale).astype(np.float32)), wanted)
    if weights in ("recu", "irnet", "rbnn", "adabin"):
        # The equality above says something: the transform changes some signs.
        changed = [
            (module.quant_weight().value != torch.where(module.weight >= 0, 1.0, -1.0)).any()
            for module in model.modules()
            if L.is_binary(module)
        ]
        assert all(changed)
