"""Standalone thresholds on an integer stream (RTL module threshold)."""

from math import lgamma, log
from typing import Any

import numpy as np

from flipflow.hw.kernels.area import Storage, bits, chain, compare, unforced_rom
from flipflow.hw.kernels.base import Parameters, RtlModule, Schedule, Tensor, flag, is_signed
from flipflow.hw.kernels.channelwise import ChannelwiseOp
from flipflow.hw.kernels.thresholding import apply_thresholds, threshold_lines


class Threshold(ChannelwiseOp):
    """PE channels a beat, in and out. Inputs: the stream [N, ..., C]; thresholds [C, Thresholds], rising; invert
    [C].
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """AccWidth: bits of a threshold, one step wider than the input's range. Thresholds: of a channel. OutBias: the
        result where none is passed.
        """
        return {
            **super().kernel_attributes(),
            "AccWidth": ("i", True, 0),
            "Thresholds": ("i", True, 0),
            "OutBias": ("i", False, 0),
        }

    def parameter_names(self) -> tuple[str, ...]:
        """Thresholds and the channels that fall."""
        return ("thresholds", "invert")

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Thresholds passed."""
        bipolar = self.text("outputDataType") == "BIPOLAR"
        return apply_thresholds(tensor, params["thresholds"], params["invert"], self.integer("OutBias"), bipolar)

    def schedule(self) -> Schedule:
        """A beat in, a beat out."""
        steps = {"steps": 1, "consume": 1, "emit_from": 0, "emit_period": 1, "latency": 2}
        return {"name": self.name, "model": "steps", **steps}

    def _rom(self) -> Storage:
        pe, levels, width = self.integer("PE"), self.integer("Thresholds"), self._width()
        # Bits above the input's repeat its sign, and levels that rise hold log2(levels!) bits less than any levels.
        random = levels * min(width, max(2, self.in_stream().bits)) - lgamma(levels + 1) / log(2)
        return unforced_rom(self.integer("Channels") // pe, pe * (1 + levels * width), round(pe * (1 + random)))

    def _width(self) -> int:
        """Bits of a threshold in the RTL: two for bits."""
        return 2 if self.text("inputDataType") == "BIPOLAR" else self.integer("AccWidth")

    def lut_estimation(self, fpgapart: str = "") -> int:
        """A carry chain a threshold, about two LUTs for each of several to count, counters, and a ROM in LUTs."""
        pe, levels = self.integer("PE"), self.integer("Thresholds")
        folds = self.integer("Channels") // pe
        fold_bits = bits(folds) if folds > 1 else 0
        width = self._width() if folds > 1 else self.in_stream().bits
        channel = levels * compare(width) + (1.9 * levels if levels > 1 else 1)
        return round(pe * channel) + 4 + 2 * fold_bits + chain(fold_bits) + self._rom().lut

    def bram_estimation(self, fpgapart: str = "") -> int:
        """18-kbit block RAMs of the threshold ROM."""
        return self._rom().bram

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit with its ROM."""
        name = f"{self.name}_thresholds.mem"
        pe, width, dtype = self.integer("PE"), self._width(), self.text("inputDataType")
        levels = params["thresholds"]
        if dtype == "BIPOLAR":
            # The unit sees bits: 2b - 1 >= t is b >= (t + 1) / 2, rounded up; 0 is always passed, 2 never.
            levels = np.clip(-(-(np.asarray(levels).astype(np.int64) + 1) // 2), 0, 2)
        values: Parameters = {
            "PE": pe,
            "NF": self.integer("Channels") // pe,
            "InBits": self.in_stream().bits,
            "Signed": flag(is_signed(dtype)),
            "AccWidth": width,
            "N": self.integer("Thresholds"),
            "OutBits": self.out_stream().bits,
            "OutBias": 0 if self.text("outputDataType") == "BIPOLAR" else self.integer("OutBias"),
            "ThresholdFile": name,
        }
        return RtlModule("threshold", values, {name: threshold_lines(levels, params["invert"], pe, width)})
