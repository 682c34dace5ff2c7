"""What kernels share that make a value of every element of a stream."""

from abc import ABC
from typing import Any

from flipflow.hw.kernels.base import KernelOp, Stream


class ChannelwiseOp(KernelOp, ABC):
    """Base of the ops from [N, ..., C] to [N, ..., C], PE channels a beat, in inputDataType and outputDataType."""

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Channels, folded into PE a beat; Leading: the frame's shape before the channels."""
        return {
            "Channels": ("i", True, 0),
            "PE": ("i", False, 1),
            "Leading": ("ints", True, []),
            "inputDataType": ("s", True, ""),
            "outputDataType": ("s", True, ""),
        }

    def stream(self, dtype: str) -> Stream:
        """Such a stream, of elements of `dtype`."""
        shape = (*(int(size) for size in self.get_nodeattr("Leading")), self.integer("Channels"))
        return Stream(shape, self.integer("PE"), dtype)

    def in_stream(self) -> Stream:
        """The elements; the first summands of a sum."""
        return self.stream(self.text("inputDataType"))

    def out_stream(self) -> Stream:
        """The results."""
        return self.stream(self.text("outputDataType"))

    def get_exp_cycles(self) -> int:
        """One beat a cycle."""
        return self.in_stream().beats
