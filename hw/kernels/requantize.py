"""A line on a stream of integers, in place of many thresholds (RTL module requantize)."""

from typing import Any

import numpy as np

from flipflow.hw.kernels.area import Storage, rom, rom_in_blocks
from flipflow.hw.kernels.area_residual import BLOCK_BITS, multiplier_blocks, requantize_luts
from flipflow.hw.kernels.base import Parameters, RtlModule, Schedule, Tensor, flag, is_signed
from flipflow.hw.kernels.channelwise import ChannelwiseOp
from flipflow.hw.kernels.rom import bits_of, hex_lines
from flipflow.hw.requantize import Line


class Requantize(ChannelwiseOp):
    """PE channels a beat, in and out: y = clip((factor * x + offset) >> Shift, Minimum..Maximum), to the even of two with
    Even (flipflow.hw.requantize.Line).

    Inputs: the stream [N, ..., C]; factor [C]; offset [C], integers.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Minimum and Maximum of a result. The others: Line.attributes."""
        return {
            **super().kernel_attributes(),
            "FactorBits": ("i", True, 0),
            "OffsetBits": ("i", True, 0),
            "AccWidth": ("i", True, 0),
            "Shift": ("i", True, 0),
            "Even": ("i", False, 0, {0, 1}),
            "Uniform": ("i", False, 0, {0, 1}),
            "UnitFactor": ("i", False, 0, {0, 1}),
            "Minimum": ("i", True, 0),
            "Maximum": ("i", True, 0),
        }

    def parameter_names(self) -> tuple[str, ...]:
        """Factors and offsets."""
        return ("factor", "offset")

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """The line."""
        factor, offset = (np.rint(params[key]).astype(np.int64) for key in self.parameter_names())
        line = Line(factor, offset, self.integer("Shift"), bool(self.integer("Even")))
        return line.evaluate(tensor, self.integer("Minimum"), self.integer("Maximum"))

    def schedule(self) -> Schedule:
        """A beat in, a beat out; a wide multiplier has two stages."""
        wide = not self.integer("UnitFactor") and max(self._factors()) > BLOCK_BITS
        steps = {"steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 6 if wide else 5}
        return {"name": self.name, "model": "steps", **steps}

    def _rom(self) -> tuple[int, int]:
        """(depth, width) of the lines."""
        pe = self.integer("PE")
        folds = 1 if self.integer("Uniform") else self.integer("Channels") // pe
        return folds, pe * (self.integer("FactorBits") + self.integer("OffsetBits"))

    def _storage(self) -> Storage:
        return rom(*self._rom(), cut=False)

    def _factors(self) -> tuple[int, int]:
        """Bits of the multiplier's two sides, signs included."""
        return self.in_stream().bits + (not is_signed(self.text("inputDataType"))), self.integer("FactorBits")

    def lut_estimation(self, fpgapart: str = "") -> int:
        """The sum's carry chain and the saturation of each channel, the counter, and a ROM in LUTs."""
        acc, shift, even = self.integer("AccWidth"), self.integer("Shift"), bool(self.integer("Even"))
        depth, _ = self._rom()
        luts = requantize_luts(self.integer("PE"), depth, self._factors(), (acc, shift, even), self.out_stream().bits)
        return luts + self._storage().lut

    def bram_estimation(self, fpgapart: str = "") -> int:
        """18-kbit block RAMs of the lines."""
        return self._storage().bram

    def dsp_estimation(self, fpgapart: str = "") -> int:
        """Multiplier blocks, 18 x 18 bits each; none where all factors are 1."""
        return 0 if self.integer("UnitFactor") else self.integer("PE") * multiplier_blocks(*self._factors())

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit with its ROM: a PE's field is {offset, factor}, PE 0 in the low bits."""
        name = f"{self.name}_lines.mem"
        depth, width = self._rom()
        pe = self.integer("PE")
        fields = [
            bits_of(np.rint(params[key]).astype(np.int64)[: depth * pe, None], self.integer(size))
            for key, size in (("factor", "FactorBits"), ("offset", "OffsetBits"))
        ]
        values: Parameters = {
            "PE": pe,
            "NF": depth,
            "InBits": self.in_stream().bits,
            "Signed": flag(is_signed(self.text("inputDataType"))),
            "FactorBits": self.integer("FactorBits"),
            "OffsetBits": self.integer("OffsetBits"),
            "AccWidth": self.integer("AccWidth"),
            "Shift": self.integer("Shift"),
            "Even": flag(self.integer("Even")),
            "UnitFactor": flag(self.integer("UnitFactor")),
            "OutBits": self.out_stream().bits,
            "Minimum": self.integer("Minimum"),
            "Maximum": self.integer("Maximum"),
            "LineFile": name,
            "LineStyle": 1 if rom_in_blocks(depth, width) else 2,
        }
        words = np.concatenate(fields, axis=1).reshape(depth, -1)
        return RtlModule("requantize", values, {name: hex_lines(words)})
