"""Residual networks that deploy exactly: the residual stream is a fixed-point tensor, and every addition saturates in the model.

Bi-Real double skips (Liu et al. 2018): around every binary convolution
    r <- saturate(r + Q(BN(conv3x3(sign(r)))))
with zero padding after the sign. Q and saturate quantize to one format, `residual_bits` signed bits in steps of
2^-residual_fraction, so that the sum is an integer addition. Where a stage halves the map, the shortcut is
Q(BN(conv1x1(r))) with 8-bit weights and stride 2. The head sums the map, quantizes to 8 bits and ends in an 8-bit layer.
"""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from flipflow.config.training import ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train import layers as L

_HEAD_BITS = 8
_SHORTCUT_BITS = 8


class ResidualUnit(nn.Module):
    """One binary convolution and the skip around it; stride 2 or another width puts a convolution into the skip."""

    def __init__(self, config: ModelConfig, inputs: int, outputs: int, stride: int) -> None:
        """`inputs`, `outputs`: channels of [N, C, H, W]."""
        super().__init__()
        self.sign = L.activation(1, config.estimator)
        self.conv = L.conv(inputs, outputs, 3, stride=stride, padding=1, bits=1, estimator=config.weight_estimator)
        self.bn = _norm(config, outputs, unit=1.0)
        self.quant = _residual_quant(config)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            estimator = config.weight_estimator
            conv = L.conv(inputs, outputs, 1, stride=stride, padding=0, bits=_SHORTCUT_BITS, estimator=estimator)
            norm = _norm(config, outputs, unit=2.0 ** (1 - _SHORTCUT_BITS - config.residual_fraction))
            parts = {"conv": conv, "bn": norm, "quant": _residual_quant(config)}
            self.shortcut = nn.Sequential(OrderedDict(parts))
        self.saturate = _residual_quant(config)

    def forward(self, r: Tensor) -> Tensor:
        """Residual stream to residual stream."""
        branch = self.quant(self.bn(self.conv(self.sign(r))))
        total: Tensor = self.saturate(self.shortcut(r) + branch)
        return total


def _norm(config: ModelConfig, channels: int, unit: float) -> nn.Module:
    """Norm of sums in steps of `unit`, before the residual quantizer."""
    return L.DyadicNorm2d(channels, unit, 2.0**-config.residual_fraction, config.residual_bits)


def _residual_quant(config: ModelConfig) -> nn.Module:
    return L.signed_activation(config.residual_bits, 2.0**-config.residual_fraction)


def build_resnet(config: ModelConfig, input_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The residual network of `config`, with fresh weights from torch's global generator; see `build_model`.

    Raises: FlipflowError E171 where a map shrinks to nothing.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict(input=L.pixel_input())
    channels, size = _add_stem(modules, config, input_shape)
    for stage, (width, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
        for index in range(2 * blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            modules[f"stage{stage}_{index}"] = ResidualUnit(config, channels, width, stride)
            channels, size = width, _shrunk(size, 3, stride, 1)
    pixels = size[0] * size[1]
    # The smallest power of two with which the head's quantizer covers every sum of `pixels` residuals.
    growth = math.ceil(math.log2(pixels)) + config.residual_bits - _HEAD_BITS
    modules["sum"] = L.GlobalSum()
    modules["offset"] = L.Offset(2.0 ** (-config.residual_fraction - 1))
    modules["head"] = L.signed_activation(_HEAD_BITS, 2.0 ** (growth - config.residual_fraction))
    modules["fc"] = L.linear(channels, classes, config.last_weight_bits, config.weight_estimator)
    shift = L.logit_shift(channels, config.last_weight_bits) + math.ceil(math.log2(pixels))
    modules["logits"] = L.LogitScale(shift)
    model = nn.Sequential(modules)
    _initialise(model, config)
    return model


def _add_stem(
    modules: "OrderedDict[str, nn.Module]", config: ModelConfig, input_shape: tuple[int, int, int]
) -> tuple[int, tuple[int, int]]:
    """First convolution, norm, quantizer and, in the ImageNet form, max-pool; channels and map size behind it."""
    channels, height, width = input_shape
    kernel, stride = (7, 2) if config.stem == "7x7-pool" else (3, 1)
    outputs, bits = config.widths[0], config.first_weight_bits
    modules["conv"] = L.conv(
        channels, outputs, kernel, stride=stride, padding=kernel // 2, bits=bits, estimator=config.weight_estimator
    )
    modules["bn"] = _norm(config, outputs, 1.0 if bits == 1 else 2.0 ** (1 - bits))
    modules["quant"] = _residual_quant(config)
    size = _shrunk((height, width), kernel, stride, kernel // 2)
    if config.stem == "7x7-pool":
        modules["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
        size = _shrunk(size, 3, 2, 1)
    return outputs, size


def _shrunk(size: tuple[int, int], kernel: int, stride: int, padding: int) -> tuple[int, int]:
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in size)
    if min(size) + 2 * padding < kernel or min(height, width) < 1:
        raise FlipflowError(
            "E171",
            f"a {kernel}x{kernel} window with stride {stride} leaves nothing of its {size[0]}x{size[1]} input.",
            "model.widths",
            "Take fewer stages, or larger images.",
        )
    return height, width


def _initialise(model: nn.Sequential, config: ModelConfig) -> None:
    for name, module in model.named_modules():
        if L.is_weight_layer(module):
            weight = module.get_parameter("weight")
            if name == "fc" and config.last_weight_bits > 1:
                nn.init.normal_(weight, std=L.LAST_WEIGHT_STD)
            else:
                nn.init.kaiming_normal_(weight, mode="fan_in")


# --- untrained networks for benchmarks and tests ---

INPUT_SHAPES: dict[str, tuple[tuple[int, int, int], int]] = {
    "resnet18": ((3, 224, 224), 1000),
    "resnet34": ((3, 224, 224), 1000),
    "cresnet18": ((3, 32, 32), 10),
}


def random_network(name: str, seed: int = 0) -> nn.Sequential:
    """An untrained named network (a key of INPUT_SHAPES) in eval mode with the batch norms of a trained one, by way of chance.

    Norms bring sums to about unit variance, with scales of both signs; so every level of the residual stream is in use.
    """
    shape, classes = INPUT_SHAPES[name]
    config = ModelConfig.model_validate({"network": name})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_resnet(config, shape, classes)
    randomize_norms(model, seed)
    return model.eval()


def randomize_norms(model: nn.Module, seed: int) -> None:
    """Draw scale, bias, mean and variance of every batch norm that follows a convolution, in proportion to its sums."""
    generator = torch.Generator().manual_seed(seed)
    deviation = 1.0
    for name, module in model.named_modules():
        if L.is_weight_layer(module):
            weight = module.get_parameter("weight").detach()
            # Of one product: a sign, an 8-bit weight times a residual of about unit variance, or times a pixel of about 128.
            factor = 1.0 if L.is_binary(module) else float(weight.std()) * (128.0 if name == "conv" else 1.0)
            deviation = factor * math.sqrt(weight[0].numel())
        elif isinstance(module, nn.BatchNorm2d):
            count = module.num_features
            sign = 1.0 - 2.0 * (torch.rand(count, generator=generator) < 0.25).float()
            module.weight.data = sign * (0.5 + torch.rand(count, generator=generator))
            module.bias.data = 0.5 * torch.randn(count, generator=generator)
            module.running_mean = 0.3 * deviation * torch.randn(count, generator=generator)
            module.running_var = deviation**2 * (0.5 + torch.rand(count, generator=generator))
