"""Max-pool over the taps of a window, on bits and on integers (RTL module pool)."""

from typing import Any

import numpy as np

from flipflow.hw.kernels.area import bits, chain, compare, lut_ram
from flipflow.hw.kernels.base import (
    Bits,
    Parameters,
    RtlModule,
    Stream,
    Tensor,
    flag,
    is_signed,
    mask_value,
)
from flipflow.hw.kernels.taps import TapsOp


class Pool(TapsOp):
    """[N, OH, OW, Taps * C] to [N, OH, OW, C]: the maximum over taps, the minimum in channels whose `minimum` input is
    nonzero.

    Inputs: the stream; minimum [C]. Masked taps are ignored.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """HasMask: the windows come with a mask bit."""
        return {**super().kernel_attributes(), "HasMask": ("i", False, 0, {0, 1})}

    def parameter_names(self) -> tuple[str, ...]:
        """The channels that take the minimum."""
        return ("minimum",)

    def in_stream(self) -> Stream:
        """The windows."""
        return self.windows(masked=bool(self.integer("HasMask")))

    def out_stream(self) -> Stream:
        """The pooled map."""
        return self.results(self.text("dataType"))

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Maximum or minimum over the taps that are not masked."""
        taps = self.taps(tensor)
        masked = taps == mask_value(self.text("dataType")) if self.integer("HasMask") else np.zeros(taps.shape, bool)
        limits = np.iinfo(np.int64)
        largest = np.where(masked, limits.min, taps).max(axis=-2)
        smallest = np.where(masked, limits.max, taps).min(axis=-2)
        pooled: Tensor = np.where(params["minimum"] != 0, smallest, largest)
        return pooled

    def lut_estimation(self, fpgapart: str = "") -> int:
        """A LUT a bit chooses; an integer is compared first, and a mask makes its choice wider. Beside them the counters and
        the running words.
        """
        stream, masked = self.out_stream(), bool(self.integer("HasMask"))
        words = self.words
        folds = bits(words) if words > 1 else 0
        control = 4 + 2 * bits(self.integer("Taps")) + 2 * folds + chain(folds)
        element = 1.0
        if stream.bits > 1:
            # Measured: with a mask LUT mapping doubles the choice of some bits, to be early for the carry chain.
            choice = 1.7 if masked and chain(stream.bits) else 1.0
            element = 1 + compare(stream.bits) + choice * stream.bits
        running = lut_ram(words, stream.width).lut if words > 1 else 0
        return round(control + element * stream.elems) + running

    def rtl_module(self, params: dict[str, Tensor]) -> RtlModule:
        """The unit; MinMask has one bit a channel."""
        stream = self.out_stream()
        channels = self.integer("Channels")
        least = sum(1 << int(channel) for channel in np.flatnonzero(params["minimum"]))
        values: Parameters = {
            "Elems": self.integer("SIMD"),
            "ElemBits": stream.bits,
            "Signed": flag(is_signed(self.text("dataType"))),
            "Taps": self.integer("Taps"),
            "WordsPerPixel": self.words,
            "HasMask": flag(self.integer("HasMask")),
            "MinMask": Bits(least, channels),
        }
        return RtlModule("pool", values)
