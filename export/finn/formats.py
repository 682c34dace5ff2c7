"""Integer formats of tensors: levels, scale, datatype name."""

import math
from dataclasses import dataclass

from onnx import NodeProto
from onnx.helper import get_attribute_value

from flipflow.errors import FlipflowError

QUANTIZERS = ("Quant", "IntQuant", "BipolarQuant")
EXACT_FLOAT = 2**24  # float32 holds every integer up to here


@dataclass(frozen=True)
class Format:
    """A quantized tensor: integers low..high (bipolar: -1 and +1 only), real value = integer * scale."""

    low: int
    high: int
    bits: int
    signed: bool
    bipolar: bool
    scale: float

    @property
    def dtype(self) -> str:
        """FINN's name of the datatype."""
        if self.bipolar:
            return "BIPOLAR"
        return f"{'INT' if self.signed else 'UINT'}{self.bits}"

    @property
    def levels(self) -> list[int]:
        """All values, ascending."""
        return [-1, 1] if self.bipolar else list(range(self.low, self.high + 1))


def attributes(node: NodeProto) -> dict[str, object]:
    """Attributes of an ONNX node by name."""
    return {attribute.name: get_attribute_value(attribute) for attribute in node.attribute}


def quantizer_format(node: NodeProto, scale: float, zero_point: float, bits: float) -> Format:
    """Format that a Quant, IntQuant or BipolarQuant node produces.

    Raises: FlipflowError E251 for a scale that is no power of two, a zero point, or a width that is no whole number.
    """
    mantissa, _ = math.frexp(scale)
    if mantissa != 0.5:
        raise FlipflowError(
            "E251",
            f"the scale {scale:g} is not a power of two.",
            f"quantizer {node.name!r}",
            "Train or export with power-of-two scales (1.0 for binary tensors).",
        )
    if node.op_type == "BipolarQuant":
        return Format(-1, 1, 1, True, True, scale)
    values = attributes(node)
    signed, narrow = bool(values.get("signed", 1)), bool(values.get("narrow", 1))
    if zero_point != 0 or bits != int(bits) or bits < 1:
        raise FlipflowError(
            "E251",
            f"zero point {zero_point:g} and width {bits:g} are not supported.",
            f"quantizer {node.name!r}",
            "Use zero point 0 and a whole number of bits.",
        )
    width = int(bits)
    if width == 1 and signed:  # qonnx executes this as a sign function
        return Format(-1, 1, 1, True, True, scale)
    if signed:
        half = 2 ** (width - 1)
        return Format(-half + narrow, half - 1, width, True, False, scale)
    return Format(0, 2**width - 1 - narrow, width, False, False, scale)


def signed_bits(low: int, high: int) -> int:
    """Bits of the smallest two's complement integer (2 at least) that holds low..high."""
    return max(2, high.bit_length() + 1 if high > 0 else 1, (-low - 1).bit_length() + 1 if low < 0 else 1)


def integer_dtype(low: int, high: int) -> str:
    """Smallest integer datatype (2 bits at least) that holds low..high."""
    return f"INT{signed_bits(low, high)}" if low < 0 else f"UINT{max(2, high.bit_length())}"
