"""The OvSW hook against values worked out by hand, and against a literal transcription of the formulas in scalars."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from flipflow.config.training import OvswConfig
from flipflow.train.ovsw import OvswHook

SAD_ONLY = OvswConfig(ags=False, gamma=0.1)
AGS_ONLY = OvswConfig(sad=False, lambda_=0.04)


def step(values: list[list[float]], gradient: list[list[float]], config: OvswConfig) -> tuple[torch.Tensor, OvswHook]:
    """One SGD step with learning rate 1 on a single tensor; returns the gradient as the optimizer saw it."""
    weight = nn.Parameter(torch.tensor(values))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    hook = OvswHook([("w", weight)], optimizer, config)
    weight.grad = torch.tensor(gradient)
    optimizer.step()
    return weight.grad, hook


def test_ags_raises_only_low_channels() -> None:
    # Channel 0: |W| = 5, |G| = 0.1, ratio 0.02 < 0.04, factor 0.04 * 5 / 0.1 = 2.
    # Channel 1: |W| = 1, |G| = 0.05, ratio 0.05: left as it is.
    grad, hook = step([[3.0, 4.0], [0.6, -0.8]], [[0.06, 0.08], [0.03, -0.04]], AGS_ONLY)
    torch.testing.assert_close(grad, torch.tensor([[0.12, 0.16], [0.03, -0.04]]))
    assert hook.telemetry()["w"].ags_rate == 0.5


def test_ags_clamps_gradient_norm() -> None:
    # |G| = 5e-7 counts as 1e-6: factor 0.04 * 5 / 1e-6 = 2e5, so the norm ends at 0.1 and not at 0.2.
    grad, _ = step([[3.0, 4.0]], [[3e-7, 4e-7]], AGS_ONLY)
    torch.testing.assert_close(grad, torch.tensor([[0.06, 0.08]]))


def test_ags_leaves_a_zero_gradient_zero() -> None:
    grad, _ = step([[3.0, 4.0]], [[0.0, 0.0]], AGS_ONLY)
    assert torch.equal(grad, torch.zeros(1, 2))


def test_ags_clamps_weight_norm() -> None:
    # |W| = 5e-4 counts as 1e-3, |G| = 3e-5: ratio 0.03 < 0.04, factor 0.04 * 1e-3 / 3e-5 = 4/3.
    # Unclamped the ratio would be 0.06, and nothing would change.
    grad, _ = step([[3e-4, 4e-4]], [[1.8e-5, 2.4e-5]], AGS_ONLY)
    torch.testing.assert_close(grad, torch.tensor([[2.4e-5, 3.2e-5]]), rtol=1e-5, atol=0.0)


def test_sad_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([0.5, -0.5], dtype=torch.float64).view(1, 2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    hook = OvswHook([("w", weight)], optimizer, SAD_ONLY)
    # (gradient, weights after the step). S starts at 0: both silent, so each gradient gains 0.1 W.
    # 1: G = (.05, -.05).  2: G = (1.045, -.045), weight 0 flips.  3: S_0 = .001 >= 1e-4, awake: only weight 1 decays.
    # 4: S_0 = .000999, still awake; its sign did not change again.
    expected: list[tuple[list[float], list[float]]] = [
        ([0.0, 0.0], [0.45, -0.45]),
        ([1.0, 0.0], [-0.595, -0.405]),
        ([0.0, 0.0], [-0.595, -0.3645]),
        ([0.0, 0.0], [-0.595, -0.32805]),
    ]
    for gradient, after in expected:
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        torch.testing.assert_close(weight.detach(), torch.tensor([after], dtype=torch.float64), rtol=0, atol=1e-12)
    telemetry = hook.telemetry()["w"]
    # One flip in 4 steps of 2 weights; one of two weights never flipped, and is the silent one.
    assert telemetry.flip_ratio == 1 / 8
    assert telemetry.never_flipped == 0.5
    assert telemetry.silent == 0.5


def test_ags_comes_before_sad() -> None:
    # AGS doubles (0.06, 0.08) as above; SAD then adds 0.1 * (3, 4). The other order would not have scaled at all:
    # |(0.36, 0.48)| / 5 = 0.12 >= 0.04.
    grad, _ = step([[3.0, 4.0]], [[0.06, 0.08]], OvswConfig(lambda_=0.04, gamma=0.1))
    torch.testing.assert_close(grad, torch.tensor([[0.42, 0.56]]))


@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_sign_of_zero_is_plus_one(zero: float) -> None:
    weight = nn.Parameter(torch.tensor([[zero, zero]]))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    hook = OvswHook([("w", weight)], optimizer, OvswConfig(ags=False, sad=False))
    weight.grad = torch.tensor([[-1.0, 1.0]])
    optimizer.step()  # weights become (1, -1)
    weight.grad = torch.zeros(1, 2)
    optimizer.step()  # the hook sees +1 -> +1, and +1 -> -1
    assert hook.telemetry()["w"].never_flipped == 0.5


def transcription(
    weight: list[list[float]], gradients: list[list[list[float]]], config: OvswConfig, lr: float
) -> list[list[float]]:
    """The formulas of the hook's docstring, element by element in Python floats, followed by W <- W - lr G."""
    sign = [[1 if x >= 0 else -1 for x in row] for row in weight]
    rate = [[0.0 for _ in row] for row in weight]
    for gradient in gradients:
        g = [list(row) for row in gradient]
        for k, row in enumerate(weight):
            norm_g = max(math.sqrt(sum(x * x for x in g[k])), 1e-6)
            norm_w = max(math.sqrt(sum(x * x for x in row)), 1e-3)
            if config.ags and norm_g / norm_w < config.lambda_:
                g[k] = [config.lambda_ * (norm_w / norm_g) * x for x in g[k]]
            for i, x in enumerate(row):
                new = 1 if x >= 0 else -1
                rate[k][i] = config.momentum * rate[k][i] + (1 - config.momentum) * (new != sign[k][i])
                sign[k][i] = new
                if config.sad and rate[k][i] < config.sigma:
                    g[k][i] += config.gamma * x
        weight = [[x - lr * d for x, d in zip(row, grow, strict=True)] for row, grow in zip(weight, g, strict=True)]
    return weight


@pytest.mark.parametrize(("ags", "sad"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 3, 3)])
def test_many_steps_equal_the_formulas(shape: tuple[int, ...], ags: bool, sad: bool) -> None:
    config = OvswConfig(ags=ags, sad=sad, lambda_=0.5, gamma=0.05, sigma=0.05, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator, dtype=torch.float64)
    # Gradients of very unequal size, so that AGS acts on some channels and steps only.
    sizes = torch.rand(60, shape[0], *[1] * (len(shape) - 1), generator=generator, dtype=torch.float64)
    gradients = torch.randn(60, *shape, generator=generator, dtype=torch.float64) * sizes
    weight = nn.Parameter(start.clone())
    optimizer = torch.optim.SGD([weight], lr=0.3)
    hook = OvswHook([("w", weight)], optimizer, config)
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    expected = transcription(start.flatten(1).tolist(), gradients.flatten(2).tolist(), config, 0.3)
    torch.testing.assert_close(weight.detach().flatten(1).tolist(), expected, rtol=1e-10, atol=1e-12)
    telemetry = hook.telemetry()["w"]
    assert 0 < telemetry.flip_ratio < 1
    assert not ags or 0 < telemetry.ags_rate < 1
    assert not sad or 0 < telemetry.silent < 1


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "sgd-fused": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
}
STRONG = OvswConfig(lambda_=0.5, gamma=0.05, sigma=0.05, momentum=0.9)


def train_linear(name: str, scaled: bool, steps: int = 12, accumulate: int = 1, inf_at: int = -1) -> torch.Tensor:
    """Train one weight matrix under OvSW on fixed data; `scaled` runs it under a GradScaler of 2048."""
    generator = torch.Generator().manual_seed(2)
    weight = nn.Parameter(torch.randn(4, 6, generator=generator))
    data = torch.randn(steps, 8, 6, generator=generator)
    optimizer = OPTIMIZERS[name]([weight])
    hook = OvswHook([("w", weight)], optimizer, STRONG)
    scaler = torch.amp.GradScaler("cpu", init_scale=2048.0, growth_interval=1000, enabled=scaled)
    for index, batch in enumerate(data):
        if index == inf_at and not scaled:
            continue  # what a skipped step must amount to
        optimizer.zero_grad()
        for part in batch.chunk(accumulate):
            loss = torch.tanh(part @ weight.t()).square().mean() / accumulate
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if index == inf_at:
            assert weight.grad is not None
            weight.grad[0, 0] = math.inf
        scaler.step(optimizer)
        scaler.update(2048.0)
    hook.remove()
    return weight.detach()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_grad_scaler_changes_nothing(name: str) -> None:
    # A power of two scales exactly; fused optimizers divide inside step(), after the hook has seen scaled gradients.
    torch.testing.assert_close(train_linear(name, scaled=True), train_linear(name, scaled=False), rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_step_with_infinite_gradients_is_as_if_it_had_not_been(name: str) -> None:
    scaled = train_linear(name, scaled=True, inf_at=5)
    torch.testing.assert_close(scaled, train_linear(name, scaled=False, inf_at=5), rtol=2e-6, atol=1e-7)


def test_accumulation_acts_once_a_step() -> None:
    torch.testing.assert_close(
        train_linear("sgd", scaled=False, accumulate=4), train_linear("sgd", scaled=False), rtol=1e-5, atol=1e-7
    )


def test_bfloat16_autocast_gradients_are_float32() -> None:
    layer = nn.Linear(6, 4, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    hook = OvswHook([("w", layer.weight)], optimizer, STRONG)
    with torch.autocast("cpu", torch.bfloat16):
        loss = layer(torch.randn(8, 6)).square().mean()
    loss.backward()
    optimizer.step()
    assert hook.state_dict()["layers"]["w"]["flip_rate"].dtype == torch.float32
    assert torch.isfinite(layer.weight).all()


def test_state_is_its_own_and_round_trips() -> None:
    weight = nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(3)))
    optimizer = torch.optim.Adam([weight], lr=0.5)
    hook = OvswHook([("w", weight)], optimizer, STRONG)
    for index in range(5):
        weight.grad = torch.randn(3, 4, generator=torch.Generator().manual_seed(index))
        optimizer.step()
    assert set(optimizer.state[weight]) == {"step", "exp_avg", "exp_avg_sq"}
    other = OvswHook([("w", weight)], torch.optim.SGD([weight], lr=1.0), STRONG)
    other.load_state_dict(hook.state_dict())
    for key, tensor in hook.state_dict()["layers"]["w"].items():
        assert torch.equal(tensor, other.state_dict()["layers"]["w"][key]), key
    assert other.telemetry() == hook.telemetry()


def test_state_of_other_layers_is_refused() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    state = OvswHook([("a", weight)], optimizer, STRONG).state_dict()
    with pytest.raises(ValueError, match="layers"):
        OvswHook([("b", weight)], optimizer, STRONG).load_state_dict(state)
    small = nn.Parameter(torch.ones(1, 2))
    with pytest.raises(ValueError, match="layer a"):
        OvswHook([("a", small)], optimizer, STRONG).load_state_dict(state)
