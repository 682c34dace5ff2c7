"""Layers of deployable networks: Brevitas modules whose scales are exactly 1 or a power of two.

Binary tensors have scale 1.0 (not the 0.1 of Brevitas' stock constant quantizer, which also clamps the latent weights
in place): batch norm absorbs any other, and a scale inside W would make zero sums non-zero. Gradients come from
flipflow.train.estimators.
"""

import math

import torch
import torch.nn.functional as F
from brevitas.inject.enum import QuantType
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from brevitas.quant.solver import ActQuantSolver, WeightQuantSolver
from torch import Tensor, nn

from flipflow.train.estimators import fixed_point, sign

QuantTuple = tuple[Tensor, Tensor, Tensor, Tensor]


class BinaryTensorQuant(nn.Module):
    """Signs with an estimator's gradient, as Brevitas' (value, scale 1, zero point 0, bit width 1)."""

    scale: Tensor
    zero_point: Tensor
    bit_width: Tensor

    def __init__(self, estimator: str) -> None:
        """`estimator`: a key of ESTIMATORS."""
        super().__init__()
        self.estimator = estimator
        _constants(self, scale=1.0, bits=1)

    def forward(self, x: Tensor) -> QuantTuple:
        """Quantize any shape."""
        return sign(x, self.estimator), self.scale, self.zero_point, self.bit_width


class FixedPointTensorQuant(nn.Module):
    """Integers times a constant power of two, as Brevitas' (value, scale, zero point 0, bit width)."""

    scale: Tensor
    zero_point: Tensor
    bit_width: Tensor

    def __init__(self, fixed_point_bits: int, fixed_point_scale: float, signed: bool, narrow_range: bool) -> None:
        """Arguments are named as the injectors below name them."""
        super().__init__()
        self.step = fixed_point_scale
        self.low, self.high = integer_range(fixed_point_bits, signed, narrow_range)
        _constants(self, scale=fixed_point_scale, bits=fixed_point_bits)

    def forward(self, x: Tensor) -> QuantTuple:
        """Quantize any shape."""
        return fixed_point(x, self.step, self.low, self.high), self.scale, self.zero_point, self.bit_width


def _constants(module: nn.Module, scale: float, bits: int) -> None:
    # Not persistent: they are configuration, and a checkpoint should not carry them.
    module.register_buffer("scale", torch.tensor(scale), persistent=False)
    module.register_buffer("zero_point", torch.tensor(0.0), persistent=False)
    module.register_buffer("bit_width", torch.tensor(float(bits)), persistent=False)


def integer_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Smallest and largest integer of a format; `narrow` leaves out the most negative (signed only)."""
    if not signed:
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)) + int(narrow), 2 ** (bits - 1) - 1


class BinaryWeight(WeightQuantSolver):  # type: ignore[misc]
    """+-1 weights; give the estimator with `.let(estimator=...)`."""

    quant_type = QuantType.BINARY
    tensor_quant = BinaryTensorQuant
    signed = True
    narrow_range = True


class BinaryActivation(ActQuantSolver):  # type: ignore[misc]
    """+-1 activations; give the estimator with `.let(estimator=...)`."""

    quant_type = QuantType.BINARY
    tensor_quant = BinaryTensorQuant
    signed = True
    narrow_range = True


class FixedPointWeight(WeightQuantSolver):  # type: ignore[misc]
    """Signed, symmetric integers times 2^-(bits-1), so |w| < 1."""

    quant_type = QuantType.INT
    tensor_quant = FixedPointTensorQuant
    signed = True
    narrow_range = True
    float_to_int_impl_type = "ROUND"


class FixedPointActivation(ActQuantSolver):  # type: ignore[misc]
    """Unsigned integers times a power of two."""

    quant_type = QuantType.INT
    tensor_quant = FixedPointTensorQuant
    signed = False
    narrow_range = False
    float_to_int_impl_type = "ROUND"


class SignedFixedPointActivation(FixedPointActivation):
    """Two's complement integers times a power of two."""

    signed = True


def _weight_quant(bits: int, estimator: str) -> type:
    if bits == 1:
        return BinaryWeight.let(estimator=estimator)  # type: ignore[no-any-return]
    return FixedPointWeight.let(fixed_point_bits=bits, fixed_point_scale=2.0 ** (1 - bits))  # type: ignore[no-any-return]


def conv(inputs: int, outputs: int, kernel: int, *, stride: int, padding: int, bits: int, estimator: str) -> nn.Module:
    """Convolution without bias, square kernel; weights binary (bits = 1, gradient of `estimator`) or fixed point.

    padding: zeros on each side, which after a sign means border taps that add nothing.
    """
    module: nn.Module = QuantConv2d(
        inputs, outputs, kernel, stride=stride, padding=padding, bias=False, weight_quant=_weight_quant(bits, estimator)
    )
    return module


def linear(inputs: int, outputs: int, bits: int, estimator: str) -> nn.Module:
    """Fully connected layer without bias; weights as in `conv`."""
    module: nn.Module = QuantLinear(inputs, outputs, bias=False, weight_quant=_weight_quant(bits, estimator))
    return module


def activation(bits: int, estimator: str) -> nn.Module:
    """Sign (bits = 1), else an unsigned fixed-point quantizer over [0, 2): scale 2^(1-bits)."""
    quant = (
        BinaryActivation.let(estimator=estimator)
        if bits == 1
        else FixedPointActivation.let(fixed_point_bits=bits, fixed_point_scale=2.0 ** (1 - bits))
    )
    module: nn.Module = QuantIdentity(act_quant=quant)
    return module


def signed_activation(bits: int, scale: float) -> nn.Module:
    """Signed fixed-point quantizer, -2^(bits-1) .. 2^(bits-1) - 1 times `scale`, a power of two."""
    quant = SignedFixedPointActivation.let(fixed_point_bits=bits, fixed_point_scale=scale)
    module: nn.Module = QuantIdentity(act_quant=quant)
    return module


def is_weight_layer(module: nn.Module) -> bool:
    """Whether a module is a layer of `conv` or `linear`."""
    return isinstance(module, QuantConv2d | QuantLinear)


def is_binary(module: nn.Module) -> bool:
    """Whether a layer of `conv` or `linear` has +-1 weights."""
    return isinstance(module, QuantConv2d | QuantLinear) and isinstance(
        module.weight_quant.tensor_quant, BinaryTensorQuant
    )


def pixel_input() -> nn.Module:
    """Unsigned 8-bit integers with scale 1: pixels 0..255, given as floats, pass unchanged."""
    module: nn.Module = QuantIdentity(act_quant=FixedPointActivation.let(fixed_point_bits=8, fixed_point_scale=1.0))
    return module


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


class Offset(nn.Module):
    """Adds a constant, a fraction of the step of its input, so that no value lies midway between two levels of a quantizer."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x + self.value


class GlobalSum(nn.Module):
    """Sum over rows and columns: the global average pool without its division."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C]."""
        return x.sum(dim=(2, 3))


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
