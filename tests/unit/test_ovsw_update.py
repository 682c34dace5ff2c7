"""OvSW on the optimizer's update: equal to the published form under plain SGD, a true floor under Adam, and safe under AMP."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from flipflow.config import OvswConfig
from flipflow.train.optimizers import Lars
from flipflow.train.ovsw import OvswHook

STRONG = OvswConfig(lambda_=0.5, gamma=0.05, sigma=0.05, momentum=0.9)
UPDATE = STRONG.model_copy(update={"ags_target": "update"})


def test_one_step_by_hand() -> None:
    # lr 0.5. Channel 0: |D|/lr = 0.1, |W| = 5, ratio 0.02 < 0.04, so the update doubles to (-0.06, -0.08); both weights are
    # silent, so 0.5 * (0.2 + 0.1) * W = (0.45, 0.6) goes off as well. Channel 1: ratio 0.5/5, untouched but for the decay.
    weight = nn.Parameter(torch.tensor([[3.0, 4.0], [3.0, -4.0]], dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    config = OvswConfig(ags_target="update", lambda_=0.04, gamma=0.1)
    hook = OvswHook([("w", weight)], optimizer, config, weight_decay=0.2)
    weight.grad = torch.tensor([[0.06, 0.08], [0.3, 0.4]], dtype=torch.float64)
    optimizer.step()
    expected = torch.tensor([[3 - 0.06 - 0.45, 4 - 0.08 - 0.6], [3 - 0.15 - 0.45, -4 - 0.2 + 0.6]], dtype=torch.float64)
    torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=1e-12)
    assert hook.telemetry()["w"].ags_rate == 0.5


@pytest.mark.parametrize(("ags", "sad"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 3, 3)])
def test_plain_sgd_agrees_with_the_published_form(shape: tuple[int, ...], ags: bool, sad: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(shape, generator=generator, dtype=torch.float64)
    sizes = torch.rand(60, shape[0], *[1] * (len(shape) - 1), generator=generator, dtype=torch.float64)
    gradients = torch.randn(60, *shape, generator=generator, dtype=torch.float64) * sizes
    results = []
    for target in ("gradient", "update"):
        config = STRONG.model_copy(update={"ags": ags, "sad": sad, "ags_target": target})
        weight = nn.Parameter(start.clone())
        on_update = target == "update"
        optimizer = torch.optim.SGD([weight], lr=0.3, weight_decay=0.0 if on_update else 0.01)
        hook = OvswHook([("w", weight)], optimizer, config, weight_decay=0.01 if on_update else 0.0)
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimizer.step()
        results.append((weight.detach(), hook.telemetry()["w"]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-11, atol=1e-13)
    assert results[0][1] == results[1][1]
    assert not ags or 0 < results[0][1].ags_rate < 1


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "lars": lambda p: Lars(p, lr=0.1, trust=1.0),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_channel_moves_less_than_the_floor(name: str) -> None:
    generator = torch.Generator().manual_seed(4)
    start = torch.randn(6, 8, generator=generator)
    # Channels of very unequal gradients, the last with none: a floor cannot invent a direction. LARS' update depends on the
    # weights, so it is measured as a difference of float32 weights, and is made large enough for that.
    smallest = 0 if name == "lars" else -5
    gradient = torch.randn(6, 8, generator=generator) * torch.logspace(smallest, 2, 6)[:, None]
    gradient[-1] = 0.0
    plain, floored = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizers = [OPTIMIZERS[name]([weight]) for weight in (plain, floored)]
    lr = optimizers[0].param_groups[0]["lr"]

    def ratio(weight: torch.Tensor) -> torch.Tensor:
        return (weight.detach().double() - start).norm(dim=1) / (lr * start.double().norm(dim=1))

    plain.grad = gradient.clone()
    optimizers[0].step()
    own = ratio(plain)
    floor = float(own[:-1].median())  # so that some channels lie below it, whatever the optimizer
    OvswHook([("w", floored)], optimizers[1], OvswConfig(ags_target="update", sad=False, lambda_=floor))
    floored.grad = gradient.clone()
    optimizers[1].step()
    # Weights near 1 hold an update to about 1e-7; the smallest floor here is some 1e-4 of them.
    torch.testing.assert_close(ratio(floored)[:-1], own[:-1].clamp(min=floor), rtol=5e-3, atol=0.0)
    high = own > floor
    assert 0 < int(high.sum()) < 5
    torch.testing.assert_close(floored[high], plain[high], rtol=2e-7, atol=1e-7)
    assert torch.equal(floored[-1].detach(), start[-1])


def train_linear(name: str, scaled: bool, inf_at: int = -1) -> torch.Tensor:
    """Train one weight matrix under OvSW on fixed data; `scaled` runs it under a GradScaler of 2048."""
    generator = torch.Generator().manual_seed(2)
    weight = nn.Parameter(torch.randn(4, 6, generator=generator))
    optimizer = OPTIMIZERS[name]([weight])
    OvswHook([("w", weight)], optimizer, UPDATE)
    scaler = torch.amp.GradScaler("cpu", init_scale=2048.0, growth_interval=1000, enabled=scaled)
    for index, batch in enumerate(torch.randn(12, 8, 6, generator=generator)):
        if index == inf_at and not scaled:
            continue  # what a skipped step must amount to
        optimizer.zero_grad()
        scaler.scale(torch.tanh(batch @ weight.t()).square().mean()).backward()  # type: ignore[no-untyped-call]
        if index == inf_at:
            assert weight.grad is not None
            weight.grad[0, 0] = math.inf
        scaler.step(optimizer)
        scaler.update(2048.0)
    return weight.detach()


@pytest.mark.parametrize("inf_at", [-1, 5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_grad_scaler_changes_nothing(name: str, inf_at: int) -> None:
    scaled = train_linear(name, scaled=True, inf_at=inf_at)
    torch.testing.assert_close(scaled, train_linear(name, scaled=False, inf_at=inf_at), rtol=1e-5, atol=1e-6)


def test_removed_hook_leaves_the_optimizer_alone() -> None:
    weight = nn.Parameter(torch.ones(1, 2))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    OvswHook([("w", weight)], optimizer, UPDATE).remove()
    weight.grad = torch.full((1, 2), 0.25)
    optimizer.step()
    assert weight.tolist() == [[0.875, 0.875]]


@pytest.mark.parametrize("config", [STRONG, UPDATE])
def test_closure_is_refused(config: OvswConfig) -> None:
    weight = nn.Parameter(torch.ones(1, 2))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    OvswHook([("w", weight)], optimizer, config)

    def closure() -> float:
        weight.grad = torch.ones(1, 2)
        return 0.0

    with pytest.raises(ValueError, match="closure"):
        optimizer.step(closure)
    with pytest.raises(ValueError, match="closure"):
        optimizer.step(closure=closure)
    assert weight.tolist() == [[1.0, 1.0]]


def test_what_cannot_work_is_refused() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    with pytest.raises(ValueError, match="weight_decay 0"):
        OvswHook([("w", weight)], torch.optim.AdamW([weight]), UPDATE)
    with pytest.raises(ValueError, match="'auto'"):
        OvswHook([("w", weight)], torch.optim.SGD([weight], lr=1.0), OvswConfig(gamma="auto"))
