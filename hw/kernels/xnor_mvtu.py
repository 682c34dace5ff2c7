"""XNOR-popcount matrix-vector-threshold unit: bipolar activations times bipolar weights (RTL module xnor_mvtu)."""

from flipflow.hw.kernels.area_mvtu import has_extra, popcount_luts
from flipflow.hw.kernels.base import Tensor
from flipflow.hw.kernels.mvtu import MvtuOp, popcount_stages


class XnorMvtu(MvtuOp):
    """Accumulator: the popcount p of matching bits, 0..MW; with a mask bit acc2 = s + MW, 0..2 MW, s the dot product.

    Thresholds are in that domain (0 always fires, the largest value + 1 never); raw sums are the signed dot products s.
    """

    def accumulate(self, sums: Tensor) -> Tensor:
        """p = (s + MW) / 2, or acc2 = s + MW with a mask."""
        fan_in = self.integer("MW")
        return sums + fan_in if self.integer("HasMask") else (sums + fan_in) // 2

    def sum_stages(self) -> int:
        """Those of the popcount."""
        return popcount_stages(self.integer("SIMD"))

    def sum_luts(self) -> float:
        """XNOR and popcount, and the choice of what a masked step adds."""
        simd = self.integer("SIMD")
        return popcount_luts(simd) + (simd.bit_length() + 1 if self.integer("HasMask") else 0)

    def threshold_bits(self) -> int:
        """All but the accumulator's top bit where that is set for its largest value alone: hardly a channel fires there."""
        largest = self.integer("MW") * (2 if self.integer("HasMask") else 1)
        return self.integer("AccWidth") - (largest & (largest - 1) == 0)

    def has_carry(self) -> bool:
        """True where a match stays outside the popcount's tree."""
        return bool(has_extra(self.integer("SIMD")))

    def module_name(self) -> str:
        """The RTL module."""
        return "xnor_mvtu"
