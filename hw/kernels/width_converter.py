"""Gearbox between streams of different beat sizes (RTL module width_converter)."""

from math import gcd, pow
from typing import Any

from flipflow.hw.kernels.base import KernelOp, Parameters, RtlModule, Schedule, Stream, Tensor


class WidthConverter(KernelOp):
    """InElems elements a beat to OutElems, any ratio, order kept. Its buffer holds InElems + OutElems elements."""

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Shape: the frame's tensor."""
        return {
            "Shape": ("ints", True, []),
            "InElems": ("i", True, 0),
            "OutElems": ("i", True, 0),
            "dataType": ("s", True, ""),
        }

    def _stream(self, elems: int) -> Stream:
        return Stream(tuple(int(size) for size in self.get_nodeattr("Shape")), elems, self.text("dataType"))

    def in_stream(self) -> Stream:
        """Beats of InElems."""
        return self._stream(self.integer("InElems"))

    def out_stream(self) -> Stream:
        """Beats of OutElems."""
        return self._stream(self.integer("OutElems"))

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """The same values."""
        return tensor

    def get_exp_cycles(self) -> int:
        """Cycles a frame at full speed, from the gearbox's own rhythm (it loses cycles where neither size divides the
        other).
        """
        cycles, elements = gearbox_rhythm(self.integer("InElems"), self.integer("OutElems"))
        return -(-self.in_stream().beats * self.integer("InElems") * cycles // elements)

    def schedule(self) -> Schedule:
        """Sizes for the cycle model."""
        sizes = {"in_elems": self.integer("InElems"), "out_elems": self.integer("OutElems")}
        return {"name": self.name, "model": "gearbox", **sizes, "cap": sum(sizes.values())}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """Where one size divides the other, a choice a bit of the larger or smaller word, and a counter; else a shifter over
        the buffer.
        """
        into, out = self.integer("InElems"), self.integer("OutElems")
        unit = gcd(into, out)
        bits, into, out = unit * self.in_stream().bits, into // unit, out // unit
        if into == 1:
            return bits + round(7 + 1.3 * (out - 1).bit_length())
        if out == 1:
            return into * bits + 4 + 3 * (into - 1).bit_length()
        # Every unit of the buffer takes what is shifted down or one of several units of the input word. Fitted.
        sources = sum(min(into, place + 1, into + out - place) + (place < into) for place in range(into + out))
        return 18 + round(bits * 0.6 * pow(sources, 1.25))

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """Element width and beat sizes."""
        values: Parameters = {
            "ElemWidth": self.in_stream().bits,
            "InElems": self.integer("InElems"),
            "OutElems": self.integer("OutElems"),
        }
        return RtlModule("width_converter", values)


def gearbox_rhythm(into: int, out: int) -> tuple[int, int]:
    """(cycles, elements) of the gearbox's steady state when its source always offers and its sink always takes.

    Every cycle it takes a beat if level + into <= into + out and gives one if level >= out, both judged by the level
    before.
    """
    seen: dict[int, tuple[int, int]] = {}
    level = cycle = taken = 0
    while level not in seen:
        seen[level] = (cycle, taken)
        accept, emit = level <= out, level >= out
        level += into * accept - out * emit
        taken += into * accept
        cycle += 1
    first_cycle, first_taken = seen[level]
    return cycle - first_cycle, taken - first_taken
