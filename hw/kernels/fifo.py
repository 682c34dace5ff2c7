"""First-in first-out queue between two kernels (RTL module fifo)."""

from typing import Any

from flipflow.hw.kernels.area import Storage, bits, chain, lut_ram, ram
from flipflow.hw.kernels.base import RtlModule, Schedule, Tensor
from flipflow.hw.kernels.passing import PassingOp

# Deepest FIFO that the RTL keeps in LUT RAM.
_LUT_DEPTH = 32
# The FIFO that has two registers and no memory.
_PAIR_DEPTH = 2


class Fifo(PassingOp):
    """Passes a stream of `Elems` elements a beat; holds `Depth` beats. A beat pushed in cycle t is at the output in
    cycle t + 1.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Depth: beats, at least 2."""
        return {**super().kernel_attributes(), "Depth": ("i", True, 2)}

    def schedule(self) -> Schedule:
        """Depth for the cycle model."""
        return {"name": self.name, "model": "fifo", "depth": self.integer("Depth")}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """Two pointers with their comparisons, the choice of a deep queue's head, and a shallow memory itself."""
        depth, width = self.integer("Depth"), self.in_stream().width
        if depth == _PAIR_DEPTH:
            return width + 5
        head = 2 * width if depth > _LUT_DEPTH else 0
        return round(_pointers(_slots(depth))) + head + self._memory().lut

    def bram_estimation(self, fpgapart: str = "") -> int:
        """18-kbit block RAMs of a deep queue."""
        return self._memory().bram

    def _memory(self) -> Storage:
        depth, width = self.integer("Depth"), self.in_stream().width
        if depth == _PAIR_DEPTH:
            return Storage()
        return ram(_slots(depth), width) if depth > _LUT_DEPTH else lut_ram(depth, width)

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """Width in bits, depth in beats."""
        return RtlModule("fifo", {"Width": self.in_stream().width, "Depth": self.integer("Depth")})


def _slots(depth: int) -> int:
    """Words in the memory: the head of a deep queue lies in a register."""
    return depth - 1 if depth > _LUT_DEPTH else depth


def _pointers(slots: int) -> float:
    """LUTs of the two pointers, of the tests for full and empty and of the handshake.

    Up to four bits everything is gates, above there are two carry chains. Pointers of a number of words that is no power of two
    are compared with its end; of a deep queue, the bits of that number are cleared then. The constants are fitted to the FIFOs
    that docs/results/area.json marks so.
    """
    width = bits(slots)
    if width <= 4:
        return 5 * width + 6
    if slots == 1 << width:
        rest = 1.5 * width + 14
    elif slots <= _LUT_DEPTH:
        rest = 3.6 * width + 17
    else:
        rest = 3.6 * width + 2.2 * slots.bit_count() + 5.6
    return 2 * chain(width) + rest
