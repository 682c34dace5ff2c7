"""Weights as integers: what a weight quantizer, or a file whose weights are already quantized, says they are."""

from dataclasses import dataclass, replace

import numpy as np

_MAX_FRACTION_BITS = 24
MOST_WEIGHT_BITS = 8


@dataclass(frozen=True)
class QuantWeight:
    """`integers` (int64, any shape) times `scale`; bipolar where every value is -1 or +1 by construction."""

    integers: np.ndarray
    scale: float
    bits: int
    signed: bool
    narrow: bool
    bipolar: bool
    source: str

    def reshaped(self, integers: np.ndarray) -> "QuantWeight":
        """The same quantization of rearranged integers."""
        return replace(self, integers=integers)


def power_of_two(value: float) -> bool:
    """Whether float32 arithmetic with this scale is exact: a positive power of two."""
    mantissa, _ = np.frexp(np.float32(value))
    return bool(np.isfinite(value) and value > 0 and mantissa == 0.5)


def recognize(values: np.ndarray, source: str) -> QuantWeight | None:
    """Quantization of weights that come without a quantizer node; None where they are not quantized.

    All of one magnitude: bipolar. Else the coarsest power-of-two grid on which all lie within 8 bits.
    """
    values = values.astype(np.float32)
    magnitude = float(np.abs(values).max(initial=0.0))
    if magnitude == 0.0 or not np.isfinite(values).all():
        return None
    if np.all(np.abs(values) == magnitude):
        return QuantWeight(np.where(values > 0, 1, -1), magnitude, 1, True, False, True, source)
    for fraction in range(-MOST_WEIGHT_BITS, _MAX_FRACTION_BITS):
        scaled = values.astype(np.float64) * 2.0**fraction
        if np.abs(scaled).max() > 2 ** (MOST_WEIGHT_BITS - 1):
            return None
        if np.array_equal(scaled, np.rint(scaled)):
            integers = scaled.astype(np.int64)
            bits = max(2, int(max(integers.max(), -integers.min() - 1)).bit_length() + 1)
            if bits > MOST_WEIGHT_BITS:
                return None
            return QuantWeight(integers, 2.0**-fraction, bits, True, False, False, source)
    return None
