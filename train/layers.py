"""Layers of binary networks: Brevitas modules whose scales are exactly 1 or a power of two, and what stands between them.

Which method binarizes, and whether the layers deploy, says the network's configuration; docs/methods.md tells what each does.
"""

import math

import torch
import torch.nn.functional as F
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from torch import Tensor, nn

from flipflow.config import ModelConfig
from flipflow.errors import FlipflowError
from flipflow.train.binary import BinaryConv2d, BinaryLinear
from flipflow.train.estimators import Norm, Sign
from flipflow.train.methods.adabin import AdaBinActivation, AdaBinWeight, Maxout
from flipflow.train.methods.irnet import Libra
from flipflow.train.methods.rbnn import Rotation, SampleNorm
from flipflow.train.methods.recu import Recu
from flipflow.train.methods.scales import SCALES
from flipflow.train.methods.weights import WeightMethod
from flipflow.train.methods.xnor import XnorWeight
from flipflow.train.quantizers import (
    BinaryActivation,
    FixedPointActivation,
    FixedPointWeight,
    SignedFixedPointActivation,
)

FLOAT_BITS = 32  # a layer that is not quantized


def conv(
    inputs: int, outputs: int, kernel: int, *, stride: int, padding: int, bits: int, config: ModelConfig
) -> nn.Module:
    """Convolution without bias, square kernel; weights binary (bits = 1), fixed point (2..8) or float (32).

    padding: zeros on each side, which after a sign means border taps that add nothing. Binary weights are those of
    `config.weights`; with weights = "float" they are float, too.
    Raises: FlipflowError E177 where a method that centres the weights gets a fan-in of 1.
    """
    bits = _bits(bits, config)
    if bits == FLOAT_BITS:
        return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
    if bits == 1:
        method, sign = _method(config, inputs * kernel * kernel)
        return BinaryConv2d(inputs, outputs, kernel, stride, padding, method, sign)
    module: nn.Module = QuantConv2d(
        inputs, outputs, kernel, stride=stride, padding=padding, bias=False, weight_quant=_fixed_point(bits)
    )
    return module


def linear(inputs: int, outputs: int, bits: int, config: ModelConfig) -> nn.Module:
    """Fully connected layer without bias; weights and errors as in `conv`."""
    bits = _bits(bits, config)
    if bits == FLOAT_BITS:
        return nn.Linear(inputs, outputs, bias=False)
    if bits == 1:
        return BinaryLinear(inputs, outputs, *_method(config, inputs))
    module: nn.Module = QuantLinear(inputs, outputs, bias=False, weight_quant=_fixed_point(bits))
    return module


def _bits(bits: int, config: ModelConfig) -> int:
    return FLOAT_BITS if bits == 1 and config.weights == "float" else bits


def _fixed_point(bits: int) -> type:
    return FixedPointWeight.let(fixed_point_bits=bits, fixed_point_scale=2.0 ** (1 - bits))  # type: ignore[no-any-return]


def _method(config: ModelConfig, fan_in: int) -> tuple[WeightMethod, Sign]:
    """The transform of latent weights and the sign behind it."""
    name, sign = config.weights, Sign(config.weight_estimator, "weights")
    if name == "xnor":
        return XnorWeight(sign), Sign("identity", "weights")
    if name in ("vanilla", "xnor++"):
        return WeightMethod(), sign
    if fan_in == 1:
        raise FlipflowError(
            "E177",
            f"weights = '{name}' subtracts the mean of each output's weights, and a layer has only one weight an output.",
            "model.weights",
            "Take weights = 'vanilla', or more channels.",
        )
    if name == "rbnn":
        return Rotation(fan_in), sign
    if name == "adabin":
        return AdaBinWeight(two_levels=not config.deployable), sign
    return (Recu() if name == "recu" else Libra()), sign


def scale(layer: nn.Module, config: ModelConfig) -> nn.Module:
    """What stands directly behind a layer of `conv` or `linear`: the method's scale in the paper's form, else nothing."""
    if config.deployable or not is_binary(layer):
        return nn.Identity()
    return SCALES[config.weights](layer)


def activation(bits: int, config: ModelConfig) -> nn.Module:
    """Sign (bits = 1), an unsigned fixed-point quantizer over [0, 2) in steps of 2^(1-bits) (2..8), or nothing (32)."""
    if bits == FLOAT_BITS:
        return nn.Identity()
    if bits > 1:
        quant = FixedPointActivation.let(fixed_point_bits=bits, fixed_point_scale=2.0 ** (1 - bits))
        fixed: nn.Module = QuantIdentity(act_quant=quant)
        return fixed
    if config.estimator == "adabin":
        return AdaBinActivation()
    if config.activation_norm == "mean-std":
        return nn.Sequential(SampleNorm(), _sign(config.estimator, "none"))
    return _sign(config.estimator, config.activation_norm)


def _sign(estimator: str, norm: Norm) -> nn.Module:
    quant = BinaryActivation.let(estimator=Sign(estimator, "activations", norm))
    module: nn.Module = QuantIdentity(act_quant=quant)
    return module


def signed_activation(bits: int, scale: float) -> nn.Module:
    """Signed fixed-point quantizer, -2^(bits-1) .. 2^(bits-1) - 1 times `scale`, a power of two."""
    quant = SignedFixedPointActivation.let(fixed_point_bits=bits, fixed_point_scale=scale)
    module: nn.Module = QuantIdentity(act_quant=quant)
    return module


def is_weight_layer(module: nn.Module) -> bool:
    """Whether a module is a layer of `conv` or `linear`."""
    return isinstance(module, nn.Conv2d | nn.Linear)


def is_binary(module: nn.Module) -> bool:
    """Whether a layer of `conv` or `linear` has binary weights."""
    return isinstance(module, BinaryConv2d | BinaryLinear)


def nonlinearity(channels: int, config: ModelConfig) -> nn.Module:
    """Between two binary layers of the paper's form: hardtanh, or the Maxout of AdaBin."""
    return Maxout(channels) if config.weights == "adabin" else nn.Hardtanh()


def pixel_input() -> nn.Module:
    """Unsigned 8-bit integers with scale 1: pixels 0..255, given as floats, pass unchanged."""
    module: nn.Module = QuantIdentity(act_quant=FixedPointActivation.let(fixed_point_bits=8, fixed_point_scale=1.0))
    return module


class PixelNorm(nn.Module):
    """(x - mean)/std of pixels 0..255 [N, C, H, W]: the input of the paper's form. Both are saved with the model."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        """Before `fit`: pixels over 255."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.full((channels,), 255.0))

    def fit(self, mean: Tensor, std: Tensor) -> None:
        """Take these statistics, [C] in units of pixels. Raises: ValueError where they are no [C], or a std is not positive."""
        if mean.shape != self.mean.shape or std.shape != self.std.shape or not bool((std > 0).all()):
            raise ValueError(
                f"mean {tuple(mean.shape)} and std {tuple(std.shape)} must be {tuple(self.mean.shape)}, std > 0"
            )
        self.mean.copy_(mean)
        self.std.copy_(std)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        return (x - self.mean[:, None, None]) / self.std[:, None, None]


class DyadicNorm2d(nn.BatchNorm2d):
    """Batch norm whose eval mode is a line with integer slope and offset over a power of two, exact in float32.

    For sums that are integers times `unit`, before a quantizer of `bits` bits in steps of `step`. In steps, slope and offset are
    multiples of 2^-F, with F so large that float32 just holds every product and sum that the quantizer does not clip. So
    contracted or separate operations, torch, onnxruntime and integer arithmetic all give the same; a plain batch norm differs by
    a rounding among them, which before a quantizer of many levels is a wrong integer now and then. The offset is an odd multiple
    of 2^-(F+1): no value lies midway between two levels. Slopes near 2^-F are rounded coarsely: see docs/layers.md.
    """

    def __init__(self, channels: int, unit: float, step: float, bits: int) -> None:
        """`unit` and `step` are powers of two."""
        super().__init__(channels)
        self.unit, self.step, self.bits = unit, step, bits

    def line(self) -> tuple[Tensor, Tensor]:
        """Slope and offset of eval mode, float32 [C]: y = slope * x + offset."""
        assert self.running_mean is not None and self.running_var is not None
        slope = self.weight / torch.sqrt(self.running_var + self.eps)
        offset = (self.bias - self.running_mean * slope) / self.step
        # Where the result is within the quantizer's range, the product is within 2^exponent steps, and float32 has 24 bits.
        exponent = torch.frexp(offset.abs() + 2.0 ** (self.bits - 1)).exponent
        grid = torch.ldexp(torch.ones_like(offset), exponent - 24)
        slope = torch.round(slope * (self.unit / self.step) / grid) * grid * (self.step / self.unit)
        offset = (torch.floor(offset / grid) + 0.5) * grid * self.step
        return slope, offset

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        if self.training:
            return super().forward(x)
        slope, offset = self.line()
        if torch.onnx.is_in_onnx_export():
            # Constants of the file, not operations in it.
            slope, offset = (torch.from_numpy(value.detach().numpy()) for value in (slope, offset))
        return x * slope[:, None, None] + offset[:, None, None]


class GlobalSum(nn.Module):
    """Sum over rows and columns: the global average pool without its division."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, 1, 1]."""
        return x.sum(dim=(2, 3), keepdim=True)


class ConstantBorder(nn.Module):
    """Pads both map dimensions of [N, C, H, W] by `amount` pixels of `value`, for an unpadded convolution."""

    def __init__(self, amount: int, value: float) -> None:
        """`amount` pixels on every side."""
        super().__init__()
        self.amount = amount
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, H + 2 amount, W + 2 amount]."""
        return F.pad(x, (self.amount,) * 4, value=self.value)


class LogitScale(nn.Module):
    """Logits times 2^-shift: keeps the class, and brings sums near 1 so that cross-entropy trains well."""

    def __init__(self, shift: int) -> None:
        """`shift`: see logit_shift."""
        super().__init__()
        self.scale = 2.0**-shift

    def forward(self, x: Tensor) -> Tensor:
        """[N, classes] to [N, classes]."""
        return x * self.scale


LAST_WEIGHT_STD = 0.25  # of a fixed-point last layer at the start: uses its range (-1, 1) without clipping


def logit_shift(fan_in: int, bits: int) -> int:
    """Power of two nearest to the logits' standard deviation at the start, for +-1 inputs."""
    std = math.sqrt(fan_in) * (1.0 if bits == 1 else LAST_WEIGHT_STD)
    return max(0, round(math.log2(std)))
