"""Methods of binarization against formulas in NumPy: signs, and gradients by central differences of the transform."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from flipflow.config import ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train import layers as L
from flipflow.train import methods
from flipflow.train.models import binary_weights

OUTPUTS, FAN_IN = 3, 6
EPOCH, EPOCHS = 4, 10
Array = np.ndarray


def config_of(weights: str, deployable: bool = True, **keys: object) -> ModelConfig:
    document = {"network": "mlp", "hidden": [4], "weights": weights, "deployable": deployable, **keys}
    return ModelConfig.model_validate(document)


def layer_of(weights: str, deployable: bool = True, **keys: object) -> nn.Module:
    """A linear layer with known latent weights, in the middle of training."""
    layer = L.linear(FAN_IN, OUTPUTS, 1, config_of(weights, deployable, **keys))
    draw = np.random.default_rng(3)
    with torch.no_grad():
        layer.get_parameter("weight").copy_(torch.from_numpy(0.3 * draw.normal(size=(OUTPUTS, FAN_IN)) + 0.1))
    methods.begin_epoch(layer, EPOCH, EPOCHS)
    return layer


def computed_weights(layer: nn.Module) -> Tensor:
    """What the layer multiplies with: its answer to unit vectors, transposed."""
    result: Tensor = layer(torch.eye(FAN_IN))
    return result.T


def latent(layer: nn.Module) -> Array:
    return layer.get_parameter("weight").detach().double().numpy()


def gradient_of(layer: nn.Module, upstream: Array) -> Array:
    """dC/dW of C = sum(upstream * computed weights)."""
    layer.zero_grad()
    (computed_weights(layer) * torch.from_numpy(upstream).float()).sum().backward()
    grad = layer.get_parameter("weight").grad
    assert grad is not None
    return grad.double().numpy()


def differences(function: Callable[[Array], Array], at: Array, upstream: Array) -> Array:
    """d sum(upstream * function(W)) / dW by central differences."""
    result = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = 1e-6
        result[index] = (upstream * (function(at + step) - function(at - step))).sum() / 2e-6
    return result


def standardise(w: Array, ddof: int = 1) -> Array:
    return (w - w.mean(1, keepdims=True)) / w.std(1, ddof=ddof, keepdims=True)


def ede_slope(x: Array, done: float) -> Array:
    t = 10 ** (-3 + 4 * done)
    return max(1 / t, 1.0) * t * (1 - np.tanh(t * x) ** 2)


def rbnn_slope(x: Array, done: float) -> Array:
    t = 10 ** (-2 + 3 * done)
    return max(1 / t, 1.0) * np.maximum(0, math.sqrt(2) * t - t * t * np.abs(x))


UPSTREAM = np.random.default_rng(4).normal(size=(OUTPUTS, FAN_IN))


def test_vanilla_is_the_sign_with_the_identity() -> None:
    layer = layer_of("vanilla")
    w = latent(layer)
    np.testing.assert_array_equal(computed_weights(layer).detach().numpy(), np.where(w >= 0, 1, -1))
    np.testing.assert_array_equal(gradient_of(layer, UPSTREAM), UPSTREAM.astype(np.float32))


def test_recu() -> None:
    layer = layer_of("recu")
    w = latent(layer)
    a = (0.99 - 0.85) / (math.e - 1)
    tau = a * math.exp(EPOCH / EPOCHS) + 0.85 - a

    def scaled(v: Array) -> Array:
        return (v - v.mean(1, keepdims=True)) * 2 * math.sqrt(2) / np.sqrt(v.var(1, ddof=1, keepdims=True) + 1e-5)

    limit = -np.abs(scaled(w)).mean() * math.log(2 - 2 * tau)
    inside = np.abs(scaled(w)) < limit
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(computed_weights(layer).detach().numpy(), np.where(scaled(w) >= 0, 1, -1))
    wanted = differences(lambda v: np.clip(scaled(v), -limit, limit), w, UPSTREAM)
    np.testing.assert_allclose(gradient_of(layer, UPSTREAM), wanted, rtol=2e-4, atol=2e-5)


def test_libra_with_error_decay() -> None:
    layer = layer_of("irnet")
    w = latent(layer)
    np.testing.assert_array_equal(
        computed_weights(layer).detach().numpy(), np.where(w >= w.mean(1, keepdims=True), 1, -1)
    )
    wanted = differences(standardise, w, UPSTREAM * ede_slope(standardise(w), EPOCH / EPOCHS))
    np.testing.assert_allclose(gradient_of(layer, UPSTREAM), wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("theta", [math.pi / 2, 0.4])
def test_rbnn(theta: float) -> None:
    layer = layer_of("rbnn")
    method = layer.get_submodule("method")
    with torch.no_grad():
        method.get_parameter("theta").fill_(theta)
    w = latent(layer)
    r1, r2 = (method.get_buffer(name).double().numpy() for name in ("r1", "r2"))
    assert (r1.shape, r2.shape) == ((2, 2), (3, 3))  # 6 = 2 x 3

    def turned(v: Array, angle: float = theta) -> Array:
        w_hat = standardise(v)
        rotated = np.stack([(r1.T @ row.reshape(2, 3) @ r2).reshape(6) for row in w_hat])
        return w_hat + abs(math.sin(angle)) * (rotated - w_hat)

    np.testing.assert_array_equal(computed_weights(layer).detach().numpy(), np.where(turned(w) >= 0, 1, -1))
    through = UPSTREAM * rbnn_slope(turned(w), EPOCH / EPOCHS)
    np.testing.assert_allclose(gradient_of(layer, UPSTREAM), differences(turned, w, through), rtol=5e-4, atol=5e-5)
    by_theta = (through * (turned(w, theta + 1e-6) - turned(w, theta - 1e-6))).sum() / 2e-6
    grad = method.get_parameter("theta").grad
    assert grad is not None
    assert float(grad) == pytest.approx(by_theta, rel=1e-4, abs=1e-5)


def test_adabin_levels() -> None:
    layer = layer_of("adabin", deployable=False)
    w = latent(layer)
    beta, alpha = w.mean(1, keepdims=True), w.std(1, keepdims=True)
    signs = np.where(w >= beta, 1, -1)
    np.testing.assert_allclose(computed_weights(layer).detach().numpy(), alpha * signs + beta, rtol=1e-5, atol=1e-6)
    wanted = (
        differences(lambda v: v.std(1, keepdims=True) * signs, w, UPSTREAM)
        + differences(lambda v: np.repeat(v.mean(1, keepdims=True), FAN_IN, 1), w, UPSTREAM)
        + differences(lambda v: standardise(v, 0), w, UPSTREAM * alpha * ede_slope(standardise(w, 0), EPOCH / EPOCHS))
    )
    np.testing.assert_allclose(gradient_of(layer, UPSTREAM), wanted, rtol=2e-4, atol=2e-5)


def test_xnor_net() -> None:
    for deployable in (True, False):
        layer = layer_of("xnor", deployable)
        with torch.no_grad():
            layer.get_parameter("weight")[0, 0] = 1.5  # beyond the clip
        w = latent(layer)
        np.testing.assert_array_equal(computed_weights(layer).detach().numpy(), np.where(w >= 0, 1, -1))
        n_alpha = np.abs(w).sum(1, keepdims=True)
        wanted = UPSTREAM * (1 / n_alpha + (np.abs(w) <= 1))
        np.testing.assert_allclose(gradient_of(layer, UPSTREAM), wanted, rtol=1e-5)


@pytest.mark.parametrize("weights", ["vanilla", "recu", "irnet", "rbnn", "adabin", "xnor", "xnor++"])
@pytest.mark.parametrize("training", [True, False])
def test_deployable_weights_are_signs_and_zero_is_positive(weights: str, training: bool) -> None:
    layer = layer_of(weights).train(training)
    assert sorted(computed_weights(layer).unique().tolist()) == [-1.0, 1.0]
    with torch.no_grad():
        layer.get_parameter("weight").fill_(-0.0)
    assert computed_weights(layer).unique().tolist() == [1.0]


def test_a_channel_of_equal_weights_has_finite_gradients() -> None:
    for weights in ("recu", "irnet", "rbnn", "adabin", "xnor"):
        layer = layer_of(weights)
        with torch.no_grad():
            layer.get_parameter("weight")[1] = 0.0
        assert np.isfinite(gradient_of(layer, UPSTREAM)).all(), weights


def test_conv_and_linear_agree() -> None:
    for weights in ("recu", "irnet", "rbnn", "adabin", "xnor"):
        config = config_of(weights, deployable=False)
        torch.manual_seed(1)
        conv = L.conv(2, OUTPUTS, 3, stride=1, padding=0, bits=1, config=config)
        torch.manual_seed(1)
        linear = L.linear(18, OUTPUTS, 1, config)
        with torch.no_grad():
            linear.get_parameter("weight").copy_(conv.get_parameter("weight").flatten(1))
        x = torch.randn(4, 2, 3, 3)
        torch.testing.assert_close(conv(x).flatten(1), linear(x.flatten(1)), rtol=1e-5, atol=1e-5)


def test_eval_mode_decides_signs_in_double_precision() -> None:
    # The sum of these in float32 depends on the order; the mean is 0.1/6, and the last weight lies just below it.
    layer = layer_of("irnet").eval()
    row = [1e8, 0.1, -1e8, 0.0, 0.0, 0.016]
    with torch.no_grad():
        layer.get_parameter("weight")[0] = torch.tensor(row)
    exact = np.array(row, np.float32).astype(float)
    assert computed_weights(layer)[0].tolist() == np.where(exact >= exact.mean(), 1.0, -1.0).tolist()


def test_binary_weights_are_the_latent_ones() -> None:
    model = nn.Sequential(L.linear(4, 4, 1, config_of("rbnn")), L.linear(4, 4, 8, config_of("rbnn")))
    (found,) = binary_weights(model)
    assert found[0] == "0" and found[1] is model[0].get_parameter("weight")


def test_float_weights_and_float_layers_are_plain() -> None:
    config = config_of("float", deployable=False)
    for layer in (L.linear(4, 3, 1, config), L.linear(4, 3, 32, config_of("vanilla"))):
        x = torch.randn(5, 4)
        assert torch.equal(layer(x), x @ layer.get_parameter("weight").T)
        assert list(layer.state_dict()) == ["weight"]
        assert not L.is_binary(layer) and isinstance(L.scale(layer, config), nn.Identity)
    assert isinstance(L.activation(32, config), nn.Identity)


@pytest.mark.parametrize("weights", ["recu", "irnet", "rbnn", "adabin"])
def test_a_fan_in_of_one_cannot_be_centred(weights: str) -> None:
    with pytest.raises(FlipflowError, match="E177"):
        L.linear(1, 3, 1, config_of(weights))
    L.linear(1, 3, 1, config_of("vanilla"))
