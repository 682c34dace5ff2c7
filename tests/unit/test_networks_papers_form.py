"""The papers' form of each network against plain torch, written down from the papers: values, and all gradients."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flipflow.config import ModelConfig
from flipflow.train.models import build_model
from flipflow.train.random_networks import settle

Values = dict[str, Tensor]


def sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0)


def binary_activation(a: Tensor) -> Tensor:
    """Sign, and the gradient of Bi-Real Net's polynomial of a over each image's standard deviation, taken as a constant."""
    a = a / (a.var(dim=(1, 2, 3), keepdim=True) + 1e-5).sqrt().detach()
    polynomial = torch.where(a.abs() < 1, 2 * a - a * a.abs(), a.detach().sign())
    return sign(a) + (polynomial - polynomial.detach())


def binary_conv(x: Tensor, w: Tensor, stride: int) -> Tensor:
    """OvSW's binary convolution: identity gradient to the weights, alpha_k = mean |(W_k - mean)/sqrt(var + 1e-5)|."""
    signs = sign(w) + (w - w.detach())
    rows = w.detach().flatten(1)
    standard = (rows - rows.mean(1, keepdim=True)) / (rows.var(1, keepdim=True) + 1e-5).sqrt()
    alpha = standard.abs().mean(1)
    y = F.conv2d(binary_activation(x), signs, stride=stride, padding=w.shape[-1] // 2)
    return y * alpha[:, None, None]


def norm(x: Tensor, p: Values, name: str) -> Tensor:
    return F.batch_norm(x, None, None, p[f"{name}.weight"], p[f"{name}.bias"], training=True)


def pixels(x: Tensor) -> Tensor:
    return x / 255


def classifier(x: Tensor, p: Values) -> Tensor:
    return F.linear(norm(x.mean((2, 3)), p, "head_bn"), p["fc.weight"], p["fc.bias"])


def cresnet18(x: Tensor, p: Values, stages: list[int]) -> Tensor:
    x = norm(F.conv2d(pixels(x), p["conv.weight"], padding=1), p, "bn")
    for stage, blocks in enumerate(stages):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            name = f"stage{stage}_{block}"
            y = norm(binary_conv(x, p[f"{name}.branch.conv1.weight"], stride), p, f"{name}.branch.bn1")
            y = binary_conv(F.hardtanh(y), p[f"{name}.branch.conv2.weight"], 1)
            y = norm(y, p, f"{name}.branch.bn2")
            if stride == 2:
                x = norm(binary_conv(x, p[f"{name}.shortcut.conv.weight"], 2), p, f"{name}.shortcut.bn")
            x = F.hardtanh(y + x)
    return classifier(x, p)


def cresnet20(x: Tensor, p: Values, stages: list[int]) -> Tensor:
    x = F.hardtanh(norm(F.conv2d(pixels(x), p["conv.weight"], padding=1), p, "bn"))
    for stage, blocks in enumerate(stages):
        for index in range(2 * blocks):
            stride = 2 if stage and not index else 1
            name = f"stage{stage}_{index}.branch"
            y = norm(binary_conv(x, p[f"{name}.conv.weight"], stride), p, f"{name}.bn")
            if stride == 2:
                n, c, h, w = x.shape
                averages = x.view(n, c, h // 2, 2, w // 2, 2).mean((3, 5))
                left = (y.shape[1] - c) // 2
                x = torch.zeros_like(y)
                x[:, left : left + c] = averages
            x = F.hardtanh(y + x)
    return classifier(x, p)


def resnet18(x: Tensor, p: Values, stages: list[int]) -> Tensor:
    x = F.hardtanh(norm(F.conv2d(pixels(x), p["conv.weight"], stride=2, padding=3), p, "bn"))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, blocks in enumerate(stages):
        for index in range(2 * blocks):
            stride = 2 if stage and not index else 1
            name = f"stage{stage}_{index}"
            y = norm(binary_conv(x, p[f"{name}.branch.conv.weight"], stride), p, f"{name}.branch.bn")
            if stride == 2:
                x = norm(F.conv2d(x, p[f"{name}.shortcut.conv.weight"], stride=2), p, f"{name}.shortcut.bn")
            x = F.hardtanh(y + x)
    return classifier(x, p)


def vggsmall(x: Tensor, p: Values, stages: list[int]) -> Tensor:
    x = F.hardtanh(norm(F.conv2d(pixels(x), p["conv_0.weight"], padding=1), p, "bn_0"))
    for index in range(1, 6):
        x = binary_conv(x, p[f"conv_{index}.weight"], 1)
        if index in (1, 3, 5):
            x = F.max_pool2d(x, 2)
        x = norm(x, p, f"bn_{index}")
        x = F.hardtanh(x) if index < 5 else F.prelu(x, p["act_5.weight"])
    return F.linear(x.flatten(1), p["fc_6.weight"], p["fc_6.bias"])


VGG_LAYERS = [{"channels": count, "pool": 1 + index % 2} for index, count in enumerate([5, 6, 7, 8, 9, 10])]
CASES: dict[str, tuple[Callable[[Tensor, Values, list[int]], Tensor], dict[str, Any], tuple[int, int, int]]] = {
    "cresnet18": (cresnet18, {"widths": [4, 6, 8, 10]}, (3, 16, 16)),
    "cresnet20": (cresnet20, {"widths": [4, 7, 12]}, (3, 16, 16)),
    "resnet18": (resnet18, {"widths": [4, 6, 8, 10]}, (3, 63, 65)),
    "resnet34": (resnet18, {"widths": [4, 4, 6, 6]}, (3, 64, 64)),
    "vggsmall": (vggsmall, {"layers": VGG_LAYERS}, (3, 16, 16)),
}


def papers_form(name: str, **keys: Any) -> tuple[nn.Module, tuple[int, int, int]]:
    _, narrow, shape = CASES[name]
    torch.manual_seed(2)
    config = ModelConfig.model_validate({"network": name, "deployable": False, **narrow, **keys})
    return build_model(config, shape, 5), shape


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_plain_torchs(name: str) -> None:
    model, shape = papers_form(name)
    settle(model, shape, 1).train()
    plain = {
        key: value.detach().clone().requires_grad_(value.is_floating_point())
        for key, value in model.state_dict().items()
    }
    images = torch.randint(0, 256, (4, *shape)).float()
    weights = torch.randn(4, 5)
    given = model(images)
    (given * weights).sum().backward()
    stages = [int(block) for block in ModelConfig.model_validate({"network": name}).blocks]
    wanted = CASES[name][0](images, plain, stages)
    (wanted * weights).sum().backward()
    torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, key
        scale = float(parameter.grad.abs().max())
        torch.testing.assert_close(parameter.grad, plain[key].grad, rtol=1e-4, atol=1e-5 * scale, msg=key)


def test_initial_weights() -> None:
    """kaiming_normal by fan-in; VGGSmall N(0, 2/(k^2 outputs)) and N(0, 0.01^2); ImageNet's batch norms start at 1e-8."""
    model, _ = papers_form("cresnet18", widths=[32, 48, 48, 64])
    conv = model.get_parameter("stage3_0.branch.conv1.weight")
    assert float(conv.detach().std()) == pytest.approx((2 / (48 * 9)) ** 0.5, rel=0.02)
    assert set(model.get_parameter("bn.weight").tolist()) == {1.0}
    layers = [{"channels": count} for count in (16, 32, 48, 48, 64, 96)]
    model, _ = papers_form("vggsmall", layers=layers)
    conv = model.get_parameter("conv_5.weight")
    assert float(conv.detach().std()) == pytest.approx((2 / (96 * 9)) ** 0.5, rel=0.02)
    assert float(model.get_parameter("fc_6.weight").detach().std()) == pytest.approx(0.01, rel=0.02)
    model, _ = papers_form("resnet18")
    gammas = [module.weight for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(gammas) == 1 + 16 + 3 + 1
    assert all(set(gamma.tolist()) == {torch.tensor(1e-8).item()} for gamma in gammas)
