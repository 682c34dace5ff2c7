"""Max-pool over the taps of a window, on bits and on integers (RTL module pool)."""

from typing import Any

import numpy as np

from flipflow.hw.kernels.area import bits, chain, compare, lut_ram
from flipflow.hw.kernels.base import (
    Bits,
    KernelOp,
    Parameters,
    RtlModule,
    Schedule,
    Stream,
    Tensor,
    flag,
    is_signed,
    mask_value,
)


class Pool(KernelOp):
    """[N, OH, OW, Taps * C] to [N, OH, OW, C]: the maximum over taps, the minimum in channels whose `minimum` input is
    nonzero.

    Inputs: the stream; minimum [C]. Masked taps are ignored.
    """

    def kernel_attributes(self) -> dict[str, tuple[Any, ...]]:
        """Channels, folded into SIMD a beat; Taps; OfmDim (height, width)."""
        return {
            "Channels": ("i", True, 0),
            "SIMD": ("i", False, 1),
            "Taps": ("i", True, 0),
            "OfmDim": ("ints", True, []),
            "dataType": ("s", True, ""),
            "HasMask": ("i", False, 0, {0, 1}),
        }

    def parameter_names(self) -> tuple[str, ...]:
        """The channels that take the minimum."""
        return ("minimum",)

    def in_stream(self) -> Stream:
        """The windows."""
        shape = (1, *self.pair("OfmDim"), self.integer("Taps") * self.integer("Channels"))
        return Stream(shape, self.integer("SIMD"), self.text("dataType"), bool(self.integer("HasMask")))

    def out_stream(self) -> Stream:
        """The pooled map."""
        return Stream((1, *self.pair("OfmDim"), self.integer("Channels")), self.integer("SIMD"), self.text("dataType"))

    def run(self, tensor: Tensor, params: dict[str, Tensor]) -> Tensor:
        """Maximum or minimum over the taps that are not masked."""
        taps = tensor.reshape(*tensor.shape[:-1], self.integer("Taps"), self.integer("Channels"))
        masked = taps == mask_value(self.text("dataType")) if self.integer("HasMask") else np.zeros(taps.shape, bool)
        limits = np.iinfo(np.int64)
        largest = np.where(masked, limits.min, taps).max(axis=-2)
        smallest = np.where(masked, limits.max, taps).min(axis=-2)
        pooled: Tensor = np.where(params["minimum"] != 0, smallest, largest)
        return pooled

    def get_exp_cycles(self) -> int:
        """One beat a cycle."""
        return self.in_stream().beats

    def schedule(self) -> Schedule:
        """Every step takes a beat; results come with the last tap."""
        words = self.integer("Channels") // self.integer("SIMD")
        taps = self.integer("Taps")
        steps = {"steps": taps * words, "consume": taps * words, "emit_from": (taps - 1) * words, "emit_period": 1}
        return {"name": self.name, "model": "steps", **steps, "latency": 1}

    def lut_estimation(self, fpgapart: str = "") -> int:
        """A LUT a bit chooses; an integer is compared first, and a mask makes its choice wider. Beside them the counters and
        the running words.
        """
        stream, masked = self.out_stream(), bool(self.integer("HasMask"))
        words = self.integer("Channels") // self.integer("SIMD")
        folds = bits(words) if words > 1 else 0
        control = 4 + 2 * bits(self.integer("Taps")) + 2 * folds + chain(folds)
        element = 1.0
        if stream.bits > 1:
            # Measured: with a mask LUT mapping doubles the choice of some bits, to be early for the carry chain.
            choice = (1.7 if is_signed(self.text("dataType")) else 1.3) if masked and chain(stream.bits) else 1.0
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
            "WordsPerPixel": channels // self.integer("SIMD"),
            "HasMask": flag(self.integer("HasMask")),
            "MinMask": Bits(least, channels),
        }
        return RtlModule("pool", values)
