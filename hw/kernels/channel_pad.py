"""Channels of zeros before and after those of a map (RTL module channel_pad)."""

from typing import Any

import numpy as np

from flipflow.hw.kernels.area_residual import channel_pad_luts
from flipflow.hw.kernels.base import KernelOp, Parameters, RtlModule, Schedule, Stream, Tensor


class ChannelPad(KernelOp):
    """[N, ..., C] to [N, ..., Before + C + After], integers; Elems a beat divides Before, C and After."""

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Leading: the frame's shape before the channels."""
        return {
            "Channels": ("i", True, 0),
            "Before": ("i", True, 0),
            "After": ("i", True, 0),
            "Elems": ("i", False, 1),
            "Leading": ("ints", True, []),
            "dataType": ("s", True, ""),
        }

    def _stream(self, channels: int) -> Stream:
        shape = (*(int(size) for size in self.get_nodeattr("Leading")), channels)
        return Stream(shape, self.integer("Elems"), self.text("dataType"))

    def in_stream(self) -> Stream:
        """The map."""
        return self._stream(self.integer("Channels"))

    def out_stream(self) -> Stream:
        """The wider map."""
        return self._stream(self.integer("Before") + self.integer("Channels") + self.integer("After"))

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Zeros around the last axis."""
        around = (self.integer("Before"), self.integer("After"))
        return np.pad(tensor, [(0, 0)] * (tensor.ndim - 1) + [around])

    def get_exp_cycles(self) -> int:
        """One beat out a cycle."""
        return self.out_stream().beats

    def _words(self) -> tuple[int, int, int]:
        """Words of a pixel: zeros, data, zeros."""
        elems = self.integer("Elems")
        return self.integer("Before") // elems, self.integer("Channels") // elems, self.integer("After") // elems

    def schedule(self) -> Schedule:
        """Words of a pixel for the cycle model."""
        before, through, after = self._words()
        return {"name": self.name, "model": "pad", "before": before, "pass": through, "after": after, "latency": 1}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """The counter of words; zeros are a reset of the register."""
        return channel_pad_luts(sum(self._words()))

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit."""
        before, through, after = self._words()
        values: Parameters = {
            "Width": self.in_stream().width,
            "Before": before,
            "Pass": through,
            "After": after,
        }
        return RtlModule("channel_pad", values)
