"""What kernels share that pass a stream on as it is."""

from abc import ABC
from typing import Any

from flipflow.hw.kernels.base import KernelOp, Stream, Tensor


class PassingOp(KernelOp, ABC):
    """Base of the ops whose output is their input, `Elems` elements a beat."""

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Shape: the frame's tensor. SideBits: bits of a beat that are no elements."""
        return {
            "Shape": ("ints", True, []),
            "Elems": ("i", True, 0),
            "dataType": ("s", True, ""),
            "HasMask": ("i", False, 0, {0, 1}),
            "SideBits": ("i", False, 0),
        }

    def in_stream(self) -> Stream:
        """The stream."""
        shape = tuple(int(size) for size in self.get_nodeattr("Shape"))
        mask, side = bool(self.integer("HasMask")), self.integer("SideBits")
        return Stream(shape, self.integer("Elems"), self.text("dataType"), mask, side)

    def out_stream(self) -> Stream:
        """The same stream."""
        return self.in_stream()

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """The same values."""
        return tensor

    def get_exp_cycles(self) -> int:
        """One beat a cycle."""
        return self.in_stream().beats
