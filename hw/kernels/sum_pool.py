"""Sums over the taps of a window or over a whole map (RTL module sum_pool)."""

from typing import Any

from flipflow.hw.kernels.area import Storage, ram
from flipflow.hw.kernels.area_residual import sum_pool_luts
from flipflow.hw.kernels.base import KernelOp, Parameters, RtlModule, Schedule, Stream, Tensor, flag, is_signed


class SumPool(KernelOp):
    """[N, OH, OW, Taps * C] to [N, OH, OW, C]: the sum over taps, in outputDataType, which must hold it.

    Behind a Window the taps are those of its windows; with OfmDim (1, 1) and Taps = H * W they are the pixels of a map as it
    comes, and the sum is the global one.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Channels, folded into SIMD a beat; Taps; OfmDim (height, width)."""
        return {
            "Channels": ("i", True, 0),
            "SIMD": ("i", False, 1),
            "Taps": ("i", True, 0),
            "OfmDim": ("ints", True, []),
            "dataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
        }

    def in_stream(self) -> Stream:
        """The windows."""
        shape = (1, *self.pair("OfmDim"), self.integer("Taps") * self.integer("Channels"))
        return Stream(shape, self.integer("SIMD"), self.text("dataType"))

    def out_stream(self) -> Stream:
        """The sums."""
        shape = (1, *self.pair("OfmDim"), self.integer("Channels"))
        return Stream(shape, self.integer("SIMD"), self.text("outputDataType"))

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Sum over the taps."""
        sums: Tensor = tensor.reshape(*tensor.shape[:-1], self.integer("Taps"), self.integer("Channels")).sum(axis=-2)
        return sums

    def get_exp_cycles(self) -> int:
        """One beat a cycle."""
        return self.in_stream().beats

    @property
    def words(self) -> int:
        """Words of a pixel."""
        return self.integer("Channels") // self.integer("SIMD")

    def schedule(self) -> Schedule:
        """Every step takes a beat; results come with the last tap."""
        words, taps = self.words, self.integer("Taps")
        steps = {"steps": taps * words, "consume": taps * words, "emit_from": (taps - 1) * words, "emit_period": 1}
        return {"name": self.name, "model": "steps", **steps, "latency": 1}

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
