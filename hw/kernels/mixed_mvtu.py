"""Mixed-precision matrix-vector-threshold unit (RTL module mixed_mvtu).

Integer activations times bipolar weights, bipolar activations times integer weights, or both integers: plain signed
sums. There is no multiplier where a factor is bipolar.
"""

from flipflow.hw.kernels.area import mixed_luts
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
        simd, act, weight = self.integer("SIMD"), self.text("inputDataType"), self.weight_bits
        if act == "BIPOLAR" and weight == 1:
            return popcount_stages(simd)
        one_bit = self.in_stream().bits == 1 and not is_signed(act)  # bipolar, or 0 and 1
        wide = not one_bit and weight > 1
        return (2 if wide else 1) + ((simd - 1).bit_length() + 1) // 2

    def unit_luts(self) -> int:
        """Adder trees and comparators; a multiplier of a x w bits counts a * w LUTs where both factors are wide."""
        act, weight = self.in_stream().bits, self.weight_bits
        wide = self.text("inputDataType") != "BIPOLAR" and weight > 1
        lane = act + weight + 1 + act * weight if wide else max(act, weight) + 1
        lanes = self.integer("PE"), self.integer("SIMD")
        return mixed_luts(*lanes, lane, self.integer("AccWidth"), self.integer("Thresholds"))

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
