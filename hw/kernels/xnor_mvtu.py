"""XNOR-popcount matrix-vector-threshold unit: bipolar activations times bipolar weights (RTL module xnor_mvtu)."""

from flipflow.hw.kernels.area import xnor_luts
from flipflow.hw.kernels.base import Tensor
from flipflow.hw.kernels.mvtu import MvtuOp
from flipflow.hw.kernels.rom import unsigned_width


class XnorMvtu(MvtuOp):
    """Accumulator: the popcount p of matching bits, 0..MW; with a mask bit acc2 = s + MW, 0..2 MW, s the dot product.

    Thresholds are in that domain (0 always fires, the largest value + 1 never); raw sums are the signed dot products s.
    """

    def accumulate(self, sums: Tensor) -> Tensor:
        """p = (s + MW) / 2, or acc2 = s + MW with a mask."""
        fan_in = self.integer("MW")
        return sums + fan_in if self.integer("HasMask") else (sums + fan_in) // 2

    def unit_luts(self) -> int:
        """XNOR, popcount, accumulator and comparators."""
        lanes = self.integer("PE"), self.integer("SIMD")
        return xnor_luts(*lanes, self.integer("AccWidth"), self.integer("Thresholds"))

    def module_name(self) -> str:
        """The RTL module."""
        return "xnor_mvtu"


def xnor_acc_width(fan_in: int, masked: bool) -> int:
    """Bits of the unsigned accumulator: ceil(log2(K + 1)) for 0..K, one more bit's range (0..2K) with a mask."""
    return unsigned_width(2 * fan_in if masked else fan_in)
