"""A stream for several consumers (RTL module fork_stream; `fork` is a word of SystemVerilog)."""

from typing import Any

from flipflow.hw.kernels.base import RtlModule, Schedule, Stream, Tensor
from flipflow.hw.kernels.passing import PassingOp


class Fork(PassingOp):
    """Gives every beat at each of its `Outputs` outputs; they may take it in different cycles."""

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Outputs: how many."""
        return {**super().kernel_attributes(), "Outputs": ("i", True, 2)}

    def out_streams(self) -> tuple[Stream, ...]:
        """The same stream on every output."""
        return (self.in_stream(),) * self.integer("Outputs")

    def schedule(self) -> Schedule:
        """Outputs for the cycle model."""
        return {"name": self.name, "model": "fork", "outputs": self.integer("Outputs")}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """The bits of the outputs; the data are a register."""
        return 2 * self.integer("Outputs") + 2

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """Width in bits."""
        return RtlModule("fork_stream", {"Width": self.in_stream().width, "Outputs": self.integer("Outputs")})
