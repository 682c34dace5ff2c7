"""Mixed-precision matrix-vector-threshold unit (RTL module mixed_mvtu).

Integer activations times bipolar weights, bipolar activations times integer weights, or both integers: plain signed
sums. There is no multiplier where a factor is bipolar.
"""

from flipflow.hw.kernels.area import chain
from flipflow.hw.kernels.area_mvtu import adder_tree_luts, has_extra, popcount_luts
from flipflow.hw.kernels.area_residual import multiplier_blocks
from flipflow.hw.kernels.base import Parameters, Tensor, flag, is_signed
from flipflow.hw.kernels.mvtu import MvtuOp, popcount_stages


class MixedMvtu(MvtuOp):
    """Accumulator: the signed sum; thresholds are in its domain. With a mask bit (bipolar activations) masked taps add
    0.
    """

    def accumulate(self, sums: Tensor) -> Tensor:
        """The sums themselves."""
        return sums

    def sum_stages(self) -> int:
        """Products, operands before them where both factors are wide, and an adder tree with a register every two
        levels.
        """
        simd = self.integer("SIMD")
        if self.text("inputDataType") == "BIPOLAR" and self.weight_bits == 1:
            return popcount_stages(simd)
        return (2 if self._wide() else 1) + ((simd - 1).bit_length() + 1) // 2

    def read_stages(self) -> int:
        """One where both factors are wide: their sum starts with a register for the operands. Rows of weights need two."""
        return 1 if self._wide() and not self.row_words()[0] else super().read_stages()

    def sum_luts(self) -> float:
        """Products and adder tree. A product of two wide factors is a multiplier block."""
        simd, act, weight = self.integer("SIMD"), self.in_stream().bits, self.weight_bits
        bipolar = self.text("inputDataType") == "BIPOLAR"
        if bipolar and weight == 1:
            width = simd.bit_length() + 1
            return popcount_luts(simd) + chain(width) + (width if self.integer("HasMask") else 0)
        one_bit = act == 1 and not is_signed(self.text("inputDataType"))
        product = act + 1 if weight == 1 else weight if one_bit else act + weight
        lane = 0 if self._wide() else product
        full = product + (simd - 1).bit_length()
        tree = adder_tree_luts(simd, product, min(full, self.integer("AccWidth")), self.has_carry())
        return simd * lane + tree

    def dsp_estimation(self, fpgapart: str = "") -> int:
        """Multiplier blocks: one a product (up to 18 bits a side) where both factors are wide."""
        act, weight = self.in_stream().bits + (not is_signed(self.text("inputDataType"))), self.weight_bits
        if not self._wide():
            return 0
        return self.integer("PE") * self.integer("SIMD") * multiplier_blocks(act, weight)

    def _wide(self) -> bool:
        """True where no factor is a single bit."""
        dtype = self.text("inputDataType")
        one_bit = self.in_stream().bits == 1 and not is_signed(dtype)  # bipolar, or 0 and 1
        return not one_bit and self.weight_bits > 1

    def has_carry(self) -> bool:
        """True where a bipolar factor negates (-w = ~w + 1): a carry for each product."""
        if self.text("inputDataType") == "BIPOLAR" and self.weight_bits == 1:
            return bool(has_extra(self.integer("SIMD")))
        return self.text("inputDataType") == "BIPOLAR" or self.weight_bits == 1

    def module_name(self) -> str:
        """The RTL module."""
        return "mixed_mvtu"

    def extra_parameters(self) -> Parameters:
        """Widths and signs of the factors."""
        dtype = self.text("inputDataType")
        return {
            "ActBits": self.in_stream().bits,
            "ActSigned": flag(is_signed(dtype)),
            "ActBipolar": flag(dtype == "BIPOLAR"),
            "WeightBits": self.weight_bits,
        }
