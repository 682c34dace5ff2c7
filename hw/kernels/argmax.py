"""Index of the largest logit beside the logits themselves (RTL module argmax)."""

from typing import Any

from flipflow.hw.kernels.base import KernelOp, Parameters, RtlModule, Schedule, Stream, Tensor
from flipflow.hw.kernels.rom import unsigned_width


class Argmax(KernelOp):
    """PE logits a beat in; out the same logits, the class above them (valid with the frame's last beat) and the `last`
    flag.

    The lowest index wins a tie. The tensor that leaves the op is the logits [N, C]; the class is a function of them.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Classes, folded into PE a beat, of a signed datatype."""
        return {"Classes": ("i", True, 0), "PE": ("i", False, 1), "dataType": ("s", True, "")}

    def in_stream(self) -> Stream:
        """Logits."""
        return Stream((1, self.integer("Classes")), self.integer("PE"), self.text("dataType"))

    def out_stream(self) -> Stream:
        """Logits, and beside them class and last."""
        stream = self.in_stream()
        return Stream(stream.shape, stream.elems, stream.dtype, side=self.class_bits + 1)

    @property
    def class_bits(self) -> int:
        """Bits of the class index."""
        return unsigned_width(self.integer("Classes") - 1)

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """The logits."""
        return tensor

    def get_exp_cycles(self) -> int:
        """One beat a cycle."""
        return self.in_stream().beats

    def schedule(self) -> Schedule:
        """A beat in, a beat out; a stage for each level of the word's tree of comparisons, one for the frame."""
        latency = 1 + (self.integer("PE") - 1).bit_length()
        steps = {"steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": latency}
        return {"name": self.name, "model": "steps", **steps}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """A comparator and two multiplexers a logit."""
        pe = self.integer("PE")
        return 20 + pe * (2 * self.in_stream().bits + self.class_bits)

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit."""
        pe = self.integer("PE")
        values: Parameters = {
            "PE": pe,
            "NF": self.integer("Classes") // pe,
            "Width": self.in_stream().bits,
        }
        return RtlModule("argmax", values)
