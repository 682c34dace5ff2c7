"""Estimators, per-sample norms, scales and schedules against formulas written out here."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flipflow.config import ModelConfig
from flipflow.train import layers as L
from flipflow.train import methods
from flipflow.train.estimators import Sign
from flipflow.train.methods import schedule

Array = np.ndarray


def config_of(weights: str, **keys: object) -> ModelConfig:
    document = {"network": "mlp", "hidden": [4], "weights": weights, "deployable": False, **keys}
    return ModelConfig.model_validate(document)


def sign_and_gradient(module: nn.Module, x: Array, upstream: Array) -> tuple[Array, Array]:
    given = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    y = module(given)
    (y * torch.from_numpy(upstream).float()).sum().backward()
    assert given.grad is not None
    return y.detach().double().numpy(), given.grad.double().numpy()


# --- schedules ---


def test_schedules_at_their_ends() -> None:
    assert schedule.ede_shape(0.0) == pytest.approx((1e-3, 1e3))
    assert schedule.ede_shape(1.0) == pytest.approx((10.0, 1.0))
    assert schedule.ede_shape(schedule.progress(9, 10)) == pytest.approx((10**0.6, 1.0))
    assert schedule.rbnn_weight_shape(0.0) == pytest.approx((1e-2, 1e2))
    assert schedule.rbnn_weight_shape(1.0) == pytest.approx((10.0, 1.0))
    assert schedule.rbnn_activation_shape(0.0) == (1.0, 1.0)
    assert schedule.rbnn_activation_shape(1.0) == pytest.approx((10.0, 1.0))
    assert schedule.recu_tau(0.0) == pytest.approx(0.85)
    assert schedule.recu_tau(1.0) == pytest.approx(0.99)
    # By hand: 0.14 / (e - 1) = 0.0814767, e^0.9 = 2.4596031.
    assert schedule.recu_tau(schedule.progress(9, 10)) == pytest.approx(0.968924, abs=1e-6)


@pytest.mark.parametrize(("epoch", "epochs"), [(-1, 10), (10, 10), (0, 0)])
def test_an_epoch_outside_of_the_run_is_refused(epoch: int, epochs: int) -> None:
    with pytest.raises(ValueError, match=f"epoch {epoch}"):
        methods.begin_epoch(nn.Sequential(Sign("ede", "weights")), epoch, epochs)


# --- estimators ---

X = np.array([-2.5, -1.0, -0.3, 0.0, 0.4, 3.0])


@pytest.mark.parametrize("epoch", [0, 5, 9])
def test_error_decay(epoch: int) -> None:
    module = Sign("ede", "activations")
    module.begin_epoch(epoch, 10)
    t = 10 ** (-3 + 4 * epoch / 10)
    k = 1 / t if t < 1 else 1
    y, grad = sign_and_gradient(module, X, np.full(6, 3.0))
    assert y.tolist() == [-1, -1, -1, 1, 1, 1]
    np.testing.assert_allclose(grad, 3 * k * t * (1 - np.tanh(t * X) ** 2), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("epoch", [0, 5, 9])
@pytest.mark.parametrize("role", ["weights", "activations"])
def test_rbnn_estimator(role: str, epoch: int) -> None:
    module = Sign("rbnn", role)  # type: ignore[arg-type]
    module.begin_epoch(epoch, 10)
    t = 10 ** (-2 + 3 * epoch / 10)
    k = max(1 / t, 1.0)
    if role == "activations":
        t, k = max(t, 1.0), 1.0
    y, grad = sign_and_gradient(module, X, np.full(6, 3.0))
    assert y.tolist() == [-1, -1, -1, 1, 1, 1]
    np.testing.assert_allclose(grad, 3 * k * np.maximum(0, math.sqrt(2) * t - t * t * np.abs(X)), rtol=1e-4, atol=1e-5)


def test_a_scheduled_estimator_keeps_half_precision() -> None:
    for name in ("ede", "rbnn"):
        x = torch.randn(8, dtype=torch.bfloat16, requires_grad=True)
        y = Sign(name, "activations")(x)
        y.sum().backward()
        assert y.dtype == torch.bfloat16 and x.grad is not None and x.grad.dtype == torch.bfloat16


# --- per-sample norms ---

MAPS = np.random.default_rng(0).normal(size=(2, 3, 2, 2)) * np.array([0.4, 3.0])[:, None, None, None] + 0.2
UP = np.random.default_rng(1).normal(size=MAPS.shape)


def sample_std(maps: Array) -> Array:
    return np.sqrt(maps.reshape(2, -1).var(1, ddof=1) + 1e-5)[:, None, None, None]


@pytest.mark.parametrize("weights", ["vanilla", "recu"])
def test_std_of_each_sample_in_the_gradient(weights: str) -> None:
    module = L.activation(1, config_of(weights))
    y, grad = sign_and_gradient(module, MAPS, UP)
    np.testing.assert_array_equal(y, np.where(MAPS >= 0, 1, -1))
    std = sample_std(MAPS)
    inner = UP * np.maximum(0, 2 - 2 * np.abs(MAPS / std))  # of sign(a/s) by a/s
    if weights == "vanilla":
        wanted = inner / std
    else:  # by central differences of a/s(a)
        wanted = np.zeros_like(MAPS)
        for index in np.ndindex(MAPS.shape):
            step = np.zeros_like(MAPS)
            step[index] = 1e-6
            up, down = MAPS + step, MAPS - step
            wanted[index] = (inner * (up / sample_std(up) - down / sample_std(down))).sum() / 2e-6
    np.testing.assert_allclose(grad, wanted, rtol=1e-3, atol=1e-5)


def test_rbnn_normalises_each_sample_before_the_sign() -> None:
    module = L.activation(1, config_of("rbnn"))
    for mode in (True, False):
        module.train(mode)
        y, _ = sign_and_gradient(module, MAPS, UP)
        np.testing.assert_array_equal(y, np.where(MAPS.mean((1, 2, 3), keepdims=True) <= MAPS, 1, -1))


# --- AdaBin's activations ---


def test_adabin_activation() -> None:
    module = L.activation(1, config_of("adabin"))
    with torch.no_grad():
        module.get_parameter("alpha").fill_(0.5)
        module.get_parameter("beta").fill_(0.25)
    upstream = np.arange(1.0, 7.0)
    y, grad = sign_and_gradient(module, X, upstream)
    signs = np.where(X >= 0.25, 1.0, -1.0)
    np.testing.assert_allclose(y, 0.5 * signs + 0.25)
    slope = np.maximum(0, 2 - 2 * np.abs((X - 0.25) / 0.5))
    np.testing.assert_allclose(grad, upstream * slope, rtol=1e-5)
    # y = alpha s((a - beta)/alpha) + beta: dy/dalpha = s - s' (a - beta)/alpha, dy/dbeta = 1 - s'.
    for name, wanted in (
        ("alpha", (upstream * (signs - slope * (X - 0.25) / 0.5)).sum()),
        ("beta", (upstream * (1 - slope)).sum()),
    ):
        found = module.get_parameter(name).grad
        assert found is not None
        assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_maxout_by_hand() -> None:
    module = L.nonlinearity(2, config_of("adabin"))
    x = torch.tensor([[-4.0, 8.0], [2.0, -1.0]])
    assert module(x).tolist() == [[-1.0, 8.0], [2.0, -0.25]]
    with torch.no_grad():
        module.get_parameter("negative").copy_(torch.tensor([0.5, 2.0]))
    assert module(x[:, :, None, None]).flatten(1).tolist() == [[-2.0, 8.0], [2.0, -2.0]]
    assert isinstance(L.nonlinearity(2, config_of("vanilla")), nn.Hardtanh)


# --- scales ---


def conv_and_scale(weights: str) -> tuple[nn.Module, nn.Module, Array]:
    config = config_of(weights)
    conv = L.conv(2, 3, 3, stride=1, padding=0, bits=1, config=config)
    model = nn.Sequential(conv, L.scale(conv, config))
    with torch.no_grad():
        conv.get_parameter("weight").copy_(torch.randn(3, 2, 3, 3) * 0.5 + 0.2)
    methods.initialise(model)
    return conv, model[1], conv.get_parameter("weight").detach().double().numpy().reshape(3, -1)


def alpha_of(scale: nn.Module) -> Array:
    result: Tensor = scale(torch.ones(2, 3, 4, 5))
    assert torch.equal(result, result[:1, :, :1, :1].expand_as(result))
    assert torch.equal(scale(torch.ones(2, 3)), result[:, :, 0, 0])
    return result[0, :, 0, 0].detach().double().numpy()


def test_scales() -> None:
    torch.manual_seed(2)
    _, scale, w = conv_and_scale("vanilla")
    standard = (w - w.mean(1, keepdims=True)) / np.sqrt(w.var(1, ddof=1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(alpha_of(scale), np.abs(standard).mean(1), rtol=1e-5)
    assert not list(scale.parameters())
    _, scale, w = conv_and_scale("xnor")
    np.testing.assert_allclose(alpha_of(scale), np.abs(w).mean(1), rtol=1e-5)
    _, scale, w = conv_and_scale("irnet")
    size = np.abs((w - w.mean(1, keepdims=True)) / w.std(1, ddof=1, keepdims=True)).mean(1)
    assert alpha_of(scale).tolist() == [2.0 ** round(math.log2(value)) for value in size]
    conv, scale, w = conv_and_scale("xnor++")
    np.testing.assert_allclose(alpha_of(scale), np.abs(w).mean(1), rtol=1e-5)
    assert [p.shape for p in scale.parameters()] == [(3,)] and list(scale.state_dict()) == ["value"]
    with torch.no_grad():
        conv.get_parameter("weight").zero_()
    np.testing.assert_allclose(alpha_of(scale), np.abs(w).mean(1), rtol=1e-5)  # learned from now on
    _, scale, _ = conv_and_scale("recu")
    start = alpha_of(scale)
    assert (start > 0).all() and (start < 1).all() and len(set(start)) == 3


@pytest.mark.parametrize("weights", ["rbnn", "adabin"])
def test_methods_without_a_scale(weights: str) -> None:
    assert isinstance(conv_and_scale(weights)[1], nn.Identity)


@pytest.mark.parametrize("weights", ["vanilla", "recu", "irnet", "rbnn", "adabin", "xnor", "xnor++"])
def test_no_scale_in_a_deployable_network(weights: str) -> None:
    config = config_of(weights, deployable=True)
    assert isinstance(L.scale(L.linear(4, 3, 1, config), config), nn.Identity)


# --- pixels ---


def test_pixel_norm() -> None:
    norm = L.PixelNorm(2)
    pixels = torch.tensor([[[[51.0]], [[255.0]]]])
    assert norm(pixels).flatten().tolist() == pytest.approx([0.2, 1.0])
    norm.fit(torch.tensor([1.0, 5.0]), torch.tensor([10.0, 50.0]))
    again = L.PixelNorm(2)
    again.load_state_dict(norm.state_dict())
    assert again(pixels).flatten().tolist() == [5.0, 5.0]
    for mean, std in ((torch.zeros(3), torch.ones(3)), (torch.zeros(2), torch.zeros(2))):
        with pytest.raises(ValueError, match="std"):
            norm.fit(mean, std)
