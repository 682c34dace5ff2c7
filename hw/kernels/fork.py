"""A stream for several consumers (RTL module fork_stream; `fork` is a word of SystemVerilog)."""

from typing import Any

from flipflow.hw.kernels.base import KernelOp, RtlModule, Schedule, Stream, Tensor


class Fork(KernelOp):
    """Gives every beat at each of its `Outputs` outputs; they may take it in different cycles."""

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Shape: the frame's tensor, `Elems` elements a beat. SideBits: bits of a beat that are no elements."""
        return {
            "Shape": ("ints", True, []),
            "Elems": ("i", True, 0),
            "Outputs": ("i", True, 2),
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

    def out_streams(self) -> tuple[Stream, ...]:
        """The same stream on every output."""
        return (self.in_stream(),) * self.integer("Outputs")

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """The same values."""
        return tensor

    def get_exp_cycles(self) -> int:
        """One beat a cycle."""
        return self.in_stream().beats

    def schedule(self) -> Schedule:
        """Outputs for the cycle model."""
        return {"name": self.name, "model": "fork", "outputs": self.integer("Outputs")}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """The bits of the outputs; the data are a register."""
        return 2 * self.integer("Outputs") + 2

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """Width in bits."""
        return RtlModule("fork_stream", {"Width": self.in_stream().width, "Outputs": self.integer("Outputs")})
