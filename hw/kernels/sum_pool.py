"""Sums over the taps of a window or over a whole map (RTL module sum_pool)."""

from typing import Any

from flipflow.hw.kernels.area import Storage, ram
from flipflow.hw.kernels.area_residual import sum_pool_luts
from flipflow.hw.kernels.base import Parameters, RtlModule, Stream, Tensor, flag, is_signed
from flipflow.hw.kernels.taps import TapsOp


class SumPool(TapsOp):
    """[N, OH, OW, Taps * C] to [N, OH, OW, C]: the sum over taps, in outputDataType, which must hold it.

    Behind a Window the taps are those of its windows; with OfmDim (1, 1) and Taps = H * W they are the pixels of a map as it
    comes, and the sum is the global one.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """outputDataType: of the sums."""
        return {**super().kernel_attributes(), "outputDataType": ("s", True, "")}

    def in_stream(self) -> Stream:
        """The windows."""
        return self.windows()

    def out_stream(self) -> Stream:
        """The sums."""
        return self.results(self.text("outputDataType"))

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Sum over the taps."""
        sums: Tensor = self.taps(tensor).sum(axis=-2)
        return sums

    def _memory(self) -> Storage:
        return ram(self.words, self.out_stream().width) if self.words > 1 else Storage()

    def lut_estimation(self, fpgapart: str = "") -> int:
        """A carry chain a sum, the counters, and the running sums."""
        stream = self.out_stream()
        return sum_pool_luts(stream.elems, stream.bits, self.integer("Taps"), self.words) + self._memory().lut

    def bram_estimation(self, fpgapart: str = "") -> int:
        """18-kbit block RAMs of the running sums."""
        return self._memory().bram

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit."""
        values: Parameters = {
            "Elems": self.integer("SIMD"),
            "ElemBits": self.in_stream().bits,
            "Signed": flag(is_signed(self.text("dataType"))),
            "Taps": self.integer("Taps"),
            "WordsPerPixel": self.words,
            "SumBits": self.out_stream().bits,
        }
        return RtlModule("sum_pool", values)


def sum_dtype_of(dtype: str, taps: int) -> str:
    """The smallest datatype, signed like `dtype`, of the sum of so many values of `dtype`."""
    from qonnx.core.datatype import DataType  # noqa: PLC0415

    from flipflow.hw.kernels.rom import signed_width, unsigned_width  # noqa: PLC0415

    low, high = taps * int(DataType[dtype].min()), taps * int(DataType[dtype].max())
    return f"INT{max(2, signed_width(low, high))}" if low < 0 else f"UINT{unsigned_width(high)}"
