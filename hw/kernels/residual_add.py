"""Residual addition with explicit saturation (RTL module residual_add)."""

from typing import Any

import numpy as np
from qonnx.core.datatype import DataType

from flipflow.hw.kernels.area_residual import add_luts
from flipflow.hw.kernels.base import Parameters, RtlModule, Schedule, Stream, Tensor, flag, is_signed
from flipflow.hw.kernels.channelwise import ChannelwiseOp
from flipflow.hw.kernels.rom import signed_width


class ResidualAdd(ChannelwiseOp):
    """Two streams [N, ..., C] of one unit, PE channels a beat: clip(a + b, Minimum..Maximum). A beat of both is taken in the
    same cycle.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """inputDataType, inputDataType1: of the first and second stream. Minimum and Maximum of the sum."""
        return {
            **super().kernel_attributes(),
            "inputDataType1": ("s", True, ""),
            "Minimum": ("i", True, 0),
            "Maximum": ("i", True, 0),
        }

    def in_streams(self) -> tuple[Stream, ...]:
        """Both summands."""
        return self.in_stream(), self.stream(self.text("inputDataType1"))

    def run_many(self, tensors: tuple[Tensor, ...], params: dict[str, Tensor]) -> Tensor:
        """Sum and saturation."""
        first, second = tensors
        result: Tensor = np.clip(first + second, self.integer("Minimum"), self.integer("Maximum"))
        return result

    def schedule(self) -> Schedule:
        """A beat of each in, a beat out."""
        return {"name": self.name, "model": "join", "latency": 1}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """A carry chain and a saturation for each element."""
        ends = [DataType[stream.dtype] for stream in self.in_streams()]
        total = signed_width(sum(int(kind.min()) for kind in ends), sum(int(kind.max()) for kind in ends))
        return add_luts(self.integer("PE"), total, self.out_stream().bits)

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit."""
        first, second = self.in_streams()
        values: Parameters = {
            "Elems": self.integer("PE"),
            "ABits": first.bits,
            "BBits": second.bits,
            "ASigned": flag(is_signed(first.dtype)),
            "BSigned": flag(is_signed(second.dtype)),
            "OutBits": self.out_stream().bits,
            "Minimum": self.integer("Minimum"),
            "Maximum": self.integer("Maximum"),
        }
        return RtlModule("residual_add", values)
