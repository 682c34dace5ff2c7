"""First-in first-out queue between two kernels (RTL module fifo)."""

from typing import Any

from flipflow.hw.kernels.area import memory_blocks, memory_luts
from flipflow.hw.kernels.base import KernelOp, RtlModule, Schedule, Stream, Tensor


class Fifo(KernelOp):
    """Passes a stream of `Elems` elements a beat; holds `Depth` beats. A beat pushed in cycle t is at the output in
    cycle t + 1.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Shape: the frame's tensor. Depth in beats, at least 2. SideBits: bits of a beat that are no elements."""
        return {
            "Shape": ("ints", True, []),
            "Elems": ("i", True, 0),
            "Depth": ("i", True, 2),
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

    def schedule(self) -> Schedule:
        """Depth for the cycle model."""
        return {"name": self.name, "model": "fifo", "depth": self.integer("Depth")}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """Two counters, comparisons, and the shallow queue itself."""
        depth, width = self.integer("Depth"), self.in_stream().width
        return 6 * depth.bit_length() + memory_luts(depth, width)

    def bram_estimation(self, fpgapart: str = "") -> int:
        """18-kbit block RAMs of a deep queue."""
        return memory_blocks(self.integer("Depth"), self.in_stream().width)

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """Width in bits, depth in beats."""
        return RtlModule("fifo", {"Width": self.in_stream().width, "Depth": self.integer("Depth")})
