"""Residual networks: the papers' float form, and one that deploys exactly because its residual stream is fixed point.

With H a hardtanh, S an optional shortcut and zero padding behind the sign, a unit of two forms

    skip "convolution" (Bi-Real Net, Liu et al. 2018):  r <- H(S(r) + BN(conv(sign(r))))
    skip "block":                                       r <- H(S(r) + BN(conv(sign(H(BN(conv(sign(r))))))))

and in front of the classifier stand the global average and a batch norm. In the deployable form H is a quantizer of
`residual_bits` signed bits in steps of 2^-residual_fraction: with 8 and 7, of -1 .. 127/128. What is added to the stream has a
bit more: beyond -2 .. 2 nothing changes behind H. So every addition is one of integers that saturates.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from flipflow.config import ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train import layers as L
from flipflow.train import methods
from flipflow.train.ends import classifier, initialise_classifier, input_layer

_BITS = 8  # of weights in a shortcut, and of what the classifier sees
_HEAD_STEP = 2.0**-5  # normalised features are quantized to -4 .. 4
_SMALL_GAMMA = 1e-8  # of batch norms in the papers' ImageNet networks, at the start


class ResidualUnit(nn.Module):
    """One or two binary convolutions with a skip around them; stride 2 or another width puts something into the skip."""

    def __init__(self, config: ModelConfig, inputs: int, outputs: int, stride: int) -> None:
        """`inputs`, `outputs`: channels of [N, C, H, W]."""
        super().__init__()
        branch = _Parts()
        if config.skip == "block":
            branch.add_conv(config, "1", inputs, outputs, 3, stride)
            branch["bn1"] = nn.BatchNorm2d(outputs)
            branch["htanh1"] = nn.Hardtanh() if config.deployable else L.nonlinearity(outputs, config)
            inputs_of_last, stride_of_last, suffix = outputs, 1, "2"
        else:
            inputs_of_last, stride_of_last, suffix = inputs, stride, ""
        branch.add_conv(config, suffix, inputs_of_last, outputs, 3, stride_of_last)
        branch.add_norm(config, suffix, outputs, unit=1.0)
        self.branch = nn.Sequential(branch)
        changes = stride != 1 or inputs != outputs
        self.shortcut = _shortcut(config, inputs, outputs, stride) if changes else nn.Identity()
        self.saturate = _saturation(config, outputs)

    def forward(self, r: Tensor) -> Tensor:
        """Residual stream to residual stream."""
        total: Tensor = self.saturate(self.shortcut(r) + self.branch(r))
        return total


class _Parts(OrderedDict[str, nn.Module]):
    """Modules of a branch, in order."""

    def add_conv(self, config: ModelConfig, suffix: str, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        """Sign, binary convolution and, in the paper's form, the method's scale."""
        self["sign" + suffix] = L.activation(config.activation_bits, config)
        conv = L.conv(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bits=1, config=config)
        self["conv" + suffix] = conv
        scale = L.scale(conv, config)
        if not isinstance(scale, nn.Identity):
            self["scale" + suffix] = scale

    def add_norm(self, config: ModelConfig, suffix: str, channels: int, unit: float) -> None:
        """Batch norm of sums in steps of `unit`, to what is added to the stream."""
        bits = config.residual_bits + 1
        self["bn" + suffix] = _norm(config, channels, unit, bits)
        if config.deployable:
            self["quant" + suffix] = _quant(config, bits)


def _norm(config: ModelConfig, channels: int, unit: float, bits: int) -> nn.Module:
    if not config.deployable:
        return nn.BatchNorm2d(channels)
    return L.DyadicNorm2d(channels, unit, 2.0**-config.residual_fraction, bits)


def _quant(config: ModelConfig, bits: int) -> nn.Module:
    return L.signed_activation(bits, 2.0**-config.residual_fraction)


def _saturation(config: ModelConfig, channels: int) -> nn.Module:
    """H: what bounds the stream."""
    return _quant(config, config.residual_bits) if config.deployable else L.nonlinearity(channels, config)


def _shortcut(config: ModelConfig, inputs: int, outputs: int, stride: int) -> nn.Module:
    if config.shortcut == "pool":
        return _fixed_pool_shortcut(config, inputs, outputs) if config.deployable else PoolShortcut(inputs, outputs)
    parts = _Parts()
    if config.shortcut == "binary":
        parts.add_conv(config, "", inputs, outputs, 1, stride)
        unit = 1.0
    else:
        bits = _BITS if config.deployable else L.FLOAT_BITS
        parts["conv"] = L.conv(inputs, outputs, 1, stride=stride, padding=0, bits=bits, config=config)
        unit = 2.0 ** (1 - bits - config.residual_fraction)
    parts.add_norm(config, "", outputs, unit)
    return nn.Sequential(parts)


class PoolShortcut(nn.Module):
    """Average of 2x2 windows, with channels of 0 on both sides of the others (option A of He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Half of the new channels, rounded down, come first."""
        super().__init__()
        self.first = (outputs - inputs) // 2
        self.after = outputs - inputs - self.first

    def forward(self, r: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H / 2, W / 2]."""
        return F.pad(F.avg_pool2d(r, 2), (0, 0, 0, 0, self.first, self.after))


def _fixed_pool_shortcut(config: ModelConfig, inputs: int, outputs: int) -> nn.Module:
    """The same for a stream of integers, as a layer that every level knows: a convolution that is not trained."""
    conv = L.conv(inputs, outputs, 2, stride=2, padding=0, bits=_BITS, config=config)
    weight = conv.get_parameter("weight").requires_grad_(False)
    channels = torch.arange(inputs)
    nn.init.zeros_(weight)
    weight[channels + (outputs - inputs) // 2, channels] = 0.25
    return nn.Sequential(OrderedDict(conv=conv, quant=_quant(config, config.residual_bits)))


def build_resnet(config: ModelConfig, input_shape: tuple[int, int, int], classes: int) -> nn.Sequential:
    """The residual network of `config`, with fresh weights from torch's global generator; see `build_model`.

    Raises: FlipflowError E171 where a map shrinks to nothing, or an odd one is to be averaged 2x2.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict(input=input_layer(input_shape[0], config))
    channels, size = _add_stem(modules, config, input_shape)
    units = 1 if config.skip == "block" else 2
    for stage, (width, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
        for index in range(units * blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            modules[f"stage{stage}_{index}"] = ResidualUnit(config, channels, width, stride)
            if stride == 2 and config.shortcut == "pool":
                _require_even(size)
            channels, size = width, _shrunk(size, 3, stride, 1)
    _add_head(modules, config, channels, size, classes)
    model = nn.Sequential(modules)
    _initialise(model, config)
    return model


def _add_stem(
    modules: "OrderedDict[str, nn.Module]", config: ModelConfig, input_shape: tuple[int, int, int]
) -> tuple[int, tuple[int, int]]:
    """First convolution and what stands behind it, up to the residual stream; channels and map size of that."""
    channels, height, width = input_shape
    kernel, stride = (7, 2) if config.stem == "7x7-pool" else (3, 1)
    outputs, bits = config.widths[0], config.first_weight_bits
    modules["conv"] = L.conv(channels, outputs, kernel, stride=stride, padding=kernel // 2, bits=bits, config=config)
    linear = config.stem == "3x3-linear"
    stream_bits = config.residual_bits + (1 if linear else 0)
    modules["bn"] = _norm(config, outputs, 1.0 if bits == 1 else 2.0 ** (1 - bits), stream_bits)
    if config.deployable:
        modules["quant"] = _quant(config, stream_bits)
    elif not linear:
        modules["htanh"] = L.nonlinearity(outputs, config)
    size = _shrunk((height, width), kernel, stride, kernel // 2)
    if config.stem == "7x7-pool":
        modules["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
        size = _shrunk(size, 3, 2, 1)
    return outputs, size


def _add_head(
    modules: "OrderedDict[str, nn.Module]", config: ModelConfig, channels: int, size: tuple[int, int], classes: int
) -> None:
    """Global average, batch norm and classifier."""
    if config.deployable:
        # The batch norm takes the place of the average's division, too.
        modules["sum"] = L.GlobalSum()
        modules["head_bn"] = L.DyadicNorm2d(channels, 2.0**-config.residual_fraction, _HEAD_STEP, _BITS)
        modules["head"] = L.signed_activation(_BITS, _HEAD_STEP)
    else:
        modules["average"] = nn.AdaptiveAvgPool2d(1)
        modules["head_bn"] = nn.BatchNorm2d(channels)
    modules["flatten"] = nn.Flatten(1)
    modules |= classifier(channels, classes, "fc", config)


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


def _require_even(size: tuple[int, int]) -> None:
    if size[0] % 2 or size[1] % 2:
        raise FlipflowError(
            "E171",
            f"shortcut 'pool' averages windows of 2x2, and a stage begins with a map of {size[0]}x{size[1]}.",
            "model.shortcut",
            "Take images whose sides halve evenly, fewer stages, or shortcut = 'binary' or 'fixed-point'.",
        )


def _initialise(model: nn.Sequential, config: ModelConfig) -> None:
    for name, module in model.named_modules():
        if L.is_weight_layer(module) and name != "fc":
            weight = module.get_parameter("weight")
            if weight.requires_grad:
                nn.init.kaiming_normal_(weight, mode="fan_in")
        elif isinstance(module, nn.BatchNorm2d) and config.stem == "7x7-pool" and not config.deployable:
            # Not where a stream has steps: there it would be 0 throughout, and every sign the same.
            nn.init.constant_(module.weight, _SMALL_GAMMA)
    initialise_classifier(model.get_submodule("fc"), config)
    methods.initialise(model)
