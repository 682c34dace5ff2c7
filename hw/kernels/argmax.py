"""Index of the largest logit beside the logits themselves (RTL module argmax)."""

from typing import Any

from flipflow.hw.kernels.area import chain, compare
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
        """For each comparison its carry chain and the choice of value and index; for frames of several words another one,
        the counter of classes and the sum with the index in the word.
        """
        pe, width = self.integer("PE"), self.in_stream().bits
        luts = (pe - 1) * (compare(width) + width + 1) + _index_luts(pe) + 3
        if self.integer("Classes") > pe:
            counters = (2 if pe > 1 else 1) * (chain(self.class_bits) or 2)
            luts += compare(width) + counters + 10
        return luts

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit."""
        pe = self.integer("PE")
        values: Parameters = {
            "PE": pe,
            "NF": self.integer("Classes") // pe,
            "Width": self.in_stream().bits,
        }
        return RtlModule("argmax", values)


def _index_luts(pe: int) -> int:
    """Choices of index bits in the tree over a word: an entry of level n has n bits, the top one without a choice."""
    luts, level = 0, 1
    while pe > 1:
        luts += (pe // 2) * (level - 1)
        pe, level = -(-pe // 2), level + 1
    return luts
