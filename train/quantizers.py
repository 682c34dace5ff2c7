"""Quantizers for Brevitas' modules with scales of exactly 1 or a power of two.

Binary tensors have scale 1.0 (not the 0.1 of Brevitas' stock constant quantizer, which also clamps the latent weights
in place): batch norm absorbs any other, and a scale inside W would make zero sums non-zero. Gradients come from
flipflow.train.estimators.
"""

import torch
from brevitas.inject.enum import QuantType
from brevitas.quant.solver import ActQuantSolver, WeightQuantSolver
from torch import Tensor, nn

from flipflow.train.estimators import Sign, fixed_point

QuantTuple = tuple[Tensor, Tensor, Tensor, Tensor]


class BinaryTensorQuant(nn.Module):
    """Signs with an estimator's gradient, as Brevitas' (value, scale 1, zero point 0, bit width 1)."""

    scale: Tensor
    zero_point: Tensor
    bit_width: Tensor

    def __init__(self, estimator: Sign) -> None:
        """The sign to take, as the injectors below name it."""
        super().__init__()
        self.estimator = estimator
        _constants(self, scale=1.0, bits=1)

    def forward(self, x: Tensor) -> QuantTuple:
        """Quantize any shape."""
        return self.estimator(x), self.scale, self.zero_point, self.bit_width


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
